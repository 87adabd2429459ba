"""What does not fit an op is an error of ours while it is traced, with the op, the operand, and what was expected."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe
from jaxtbe import _native, ops
from jaxtbe.ops import FeatureLayout, SourceLayout, UpdateLookup
from jaxtbe.ops.operands import Operand
from jaxtbe.ops.signatures import OPS
from jaxtbe.optim.group import make_groups
from jaxtbe.optim.rules.adam import ADAM
from jaxtbe.writes.plan import split_by_rows

TABLE = jax.ShapeDtypeStruct((5, 4), jnp.float32)
IDS = jax.ShapeDtypeStruct((6,), jnp.int32)
OFFSETS = jax.ShapeDtypeStruct((5,), jnp.int32)  # two features, two samples


def array(dtype, *shape):
    return jax.ShapeDtypeStruct(shape, dtype)


def trace(op, arrays, **static):
    """Only traces: what is refused here never runs."""
    return jax.eval_shape(lambda a: op(**a, **static), arrays)


FEATURES = (FeatureLayout(0), FeatureLayout(0, column=4))
SOURCES = (SourceLayout(1, 2, 0),)


def lookup(features=FEATURES, columns=8, **changed):
    arrays = {"tables": [TABLE], "ids": IDS, "offsets": OFFSETS, "id_weights": None} | changed
    return trace(ops.lookup, arrays, features=features, columns=columns)


def share(sources=SOURCES, **changed):
    arrays = {"ids": IDS, "offsets": OFFSETS, "id_weights": None, "update_mask": None, "d_acts": array("float32", 2, 4)}
    return UpdateLookup(**(arrays | changed), sources=sources)


def update(static=(), **changed):
    arrays = {
        "tables": [TABLE],
        "states": [[TABLE, TABLE]],
        "hyper": array("float32", 1, 11),
        "noise": array("uint32", 3),
        "lookups": [share()],
    } | changed
    return trace(ops.update, arrays, **({"rule": ADAM, "duplicates": ("sum",), "table_ids": (0,)} | dict(static)))


def row_gradients(shapes=((5, 4),), duplicates=("sum",), lookups=None, op=ops.row_gradients):
    return trace(op, {"lookups": lookups or [share()]}, shapes=shapes, duplicates=duplicates)


def find(access=("read_only", None), **changed):
    arrays = {"identities": array("uint32", 8, 2), "ids": array("uint32", 6, 2), "offsets": OFFSETS} | changed
    return trace(ops.zch_find, arrays, zch=jaxtbe.Zch(), access=access)


def gather(**changed):
    return trace(ops.gather_rows, {"tables": [TABLE], "rows": IDS, "starts": array("int32", 2)} | changed)


def reset(scale=1.0, table_number=0, **changed):
    arrays = {"table": TABLE, "states": [TABLE], "slots": IDS, "ids": array("uint32", 6, 2), "seed": array("uint32")}
    return trace(ops.reset_rows, arrays | changed, scale=scale, table_number=table_number)


none = FeatureLayout(0, pooling="none", max_length=2)
CASES = {
    "no array": (
        lambda: ops.gather_rows([TABLE], 3.0, OFFSETS),
        TypeError,
        r"gather_rows: operand 'rows': expected an array i32\[N\], got a float",
    ),
    "dtype": (
        lambda: gather(tables=[array("int8", 5, 4)]),
        TypeError,
        r"'tables\[0\]': expected float32 or bfloat16 or",
    ),
    "int64": (
        lambda: ops.gather_rows([TABLE], np.zeros(5, np.int64), OFFSETS),
        TypeError,
        "operand 'rows': expected int32, got int64. Cast it to int32",
    ),
    "rank": (lambda: lookup(ids=array("int32", 6, 1)), ValueError, r"'ids': expected i32\[N\].*got shape \(6, 1\)"),
    "offsets": (
        lambda: lookup(offsets=array("int32", 6)),
        ValueError,
        r"expected i32\[F\*B\+1\] with .*F=2.*, got shape \(6,",
    ),
    "no offsets": (lambda: lookup(offsets=array("int32", 0)), ValueError, r"'offsets': expected i32\[F\*B\+1\]"),
    "weights": (
        lambda: lookup(id_weights=array("float32", 5)),
        ValueError,
        r"'id_weights': expected f32\[N\] with N=6, got",
    ),
    "too many": (
        lambda: lookup(ids=array("int32", 2**31)),
        ValueError,
        r"'ids': expected fewer than 2\*\*31 along each axis",
    ),
    "no rows": (
        lambda: lookup(tables=[array("float32", 0, 4)]),
        ValueError,
        "expected a row and a column at least, got",
    ),
    "two dtypes": (
        lambda: lookup(tables=[TABLE, array("bfloat16", 5, 4)]),
        TypeError,
        r"'tables\[1\]': expected float32 as the first of them, got bfloat16. Call once a dtype",
    ),
    "a bare table": (lambda: lookup(tables=TABLE), TypeError, "'tables': expected a list or tuple, got a"),
    "no table": (lambda: lookup(tables=[]), ValueError, "'tables': expected one at least, got none"),
    "no feature": (lambda: lookup(features=()), ValueError, "'features': expected one at least, got none"),
    "table index": (
        lambda: lookup((FeatureLayout(1), FeatureLayout(-1)), 4),
        ValueError,
        r"features\[0\].table: expected an int from -1 to 0, got 1",
    ),
    "column": (
        lambda: lookup((FeatureLayout(0, column=4000000), FeatureLayout(-1))),
        ValueError,
        r"features\[0\].column: expected an int from 0 to 8, got 4000000. Correct the static argument",
    ),
    "width": (
        lambda: lookup((dataclasses.replace(none, column=4), FeatureLayout(-1))),
        ValueError,
        r"features\[0\]: expected 8 columns from column 4 on, got 8 columns in all. Correct the layout",
    ),
    "max_length": (
        lambda: lookup((dataclasses.replace(none, max_length=0), FeatureLayout(-1))),
        ValueError,
        r"features\[0\].max_length: expected an int from 1 to \d+, got 0",
    ),
    "gap": (
        lambda: lookup((FeatureLayout(0), FeatureLayout(-1))),
        ValueError,
        r"features: expected outputs that fill 8 columns, each once, got the columns \[\(0, 4\)\]",
    ),
    "overlap": (
        lambda: lookup((FeatureLayout(0), FeatureLayout(0, column=2)), 6),
        ValueError,
        "outputs that fill 6 columns",
    ),
    "pooling": (
        lambda: lookup((FeatureLayout(0, "max"), FeatureLayout(-1)), 4),
        ValueError,
        r"features\[0\].pooling: expected one of \('sum', 'mean', 'none'\), got 'max'",
    ),
    "layout": (lambda: lookup((0, 1)), TypeError, r"features\[0\]: expected a jaxtbe.ops.FeatureLayout, got a int"),
    "states": (
        lambda: update(states=[[TABLE]]),
        ValueError,
        r"'states\[0\]': expected 2 of them, got 1. Pass one for each",
    ),
    "state rows": (
        lambda: update(states=[[TABLE, array("float32", 4, 4)]]),
        ValueError,
        r"'states\[0\], nu': expected f32\|bf16\[rows, dim\] with rows=5, dim=4, got shape \(4, 4\)",
    ),
    "state dtype": (
        lambda: update(states=[[TABLE, array("float16", 5, 4)]]),
        TypeError,
        "expected float32 or bfloat16, got",
    ),
    "hyper": (lambda: update(hyper=array("float32", 1, 6)), ValueError, "'hyper': expected 11 columns for adam, got 6"),
    "hyper rows": (
        lambda: update(hyper=array("float32", 2, 11)),
        ValueError,
        r"'hyper': expected f32\[T, K\] with T=1",
    ),
    "noise": (
        lambda: update(noise=array("uint32", 2)),
        ValueError,
        r"'noise': expected u32\[T\+2\] with T=1, got shape",
    ),
    "rule": (lambda: update({"rule": "adam"}), TypeError, "rule: expected a jaxtbe.optim.Rule, got a str"),
    "table_ids": (
        lambda: update({"table_ids": (-1,)}),
        ValueError,
        r"table_ids\[0\]: expected an int from 0 to 4294967295",
    ),
    "duplicates": (
        lambda: update({"duplicates": ("all",)}),
        ValueError,
        r"duplicates\[0\]: expected one of \('sum', 'first",
    ),
    "lookups": (
        lambda: update(lookups=[(IDS, OFFSETS)]),
        TypeError,
        r"'lookups\[0\]': expected a jaxtbe.ops.UpdateLookup",
    ),
    "d_acts": (
        lambda: update(lookups=[share(d_acts=array("float32", 1, 4))]),
        ValueError,
        r"'lookups\[0\].d_acts': expected f32\[B, columns\] with B=2, got shape \(1, 4\)",
    ),
    "mask": (
        lambda: update(lookups=[share(update_mask=array("bool", 5))]),
        ValueError,
        r"update_mask': expected bool\[N\]",
    ),
    "source columns": (
        lambda: update(lookups=[share(d_acts=array("float32", 2, 3))]),
        ValueError,
        r"lookups\[0\].sources\[0\]: expected 4 columns from column 0 on, got 3 columns in all",
    ),
    "source feature": (
        lambda: update(lookups=[share((SourceLayout(2, 2, 0),))]),
        ValueError,
        r"sources\[0\].feature: expected an int from 0 to 1, got 2",
    ),
    "sources twice": (
        lambda: update(lookups=[share((SourceLayout(0, 2, 0), SourceLayout(0, 2, 0)))]),
        ValueError,
        r"sources\[1\].feature: expected an int from 1 to 1, got 0",
    ),
    "sources apart": (
        lambda: update(lookups=[share((SourceLayout(0, 2, 0), SourceLayout(1, 4, 0)))]),
        ValueError,
        r"lookups\[0\].sources\[1\].num_features: expected 2, that of the first source, got 4",
    ),
    "ids together": (
        lambda: row_gradients(lookups=[share(ids=array("int32", 2**30))] * 2),
        ValueError,
        r"row_gradients: lookups: expected fewer than 2\*\*31 ids of them all, got 2147483648. Split the update",
    ),
    "dims": (
        lambda: row_gradients(((5, 4), (5, 3)), ("sum",) * 2),
        ValueError,
        r"shapes: expected one dim of all tables, got \[3, 4\]. Call once a dim",
    ),
    "shapes": (lambda: row_gradients(((5, 0),)), ValueError, "dim of table 0: expected an int from 1 to"),
    "gather dims": (
        lambda: gather(tables=[TABLE, array("float32", 5, 3)]),
        ValueError,
        r"expected float\[rows, D\] with .*D=4",
    ),
    "starts": (
        lambda: gather(starts=array("int32", 3)),
        ValueError,
        r"'starts': expected i32\[T\+1\] with T=1, got shape \(3",
    ),
    "short ids": (
        lambda: reset(ids=array("uint32", 5, 2)),
        ValueError,
        r"'ids': expected u32\[N, 2\] with N=6, got shape",
    ),
    "reset state": (
        lambda: reset(states=[array("float32", 4)]),
        ValueError,
        r"'states\[0\]': expected any\[rows, ...\] with rows=5",
    ),
    "scale": (lambda: reset(scale=np.nan), ValueError, "reset_rows: scale: expected a finite number, got nan"),
    "access": (
        lambda: find(("readonly", None)),
        ValueError,
        r"zch_find: access\[0\]: expected one of \(None, 'read_write'",
    ),
    "ids words": (lambda: find(ids=array("uint32", 6)), ValueError, r"'ids': expected u32\[N, 2\]"),
    "rows together": (
        lambda: row_gradients(((2**31 - 1, 4),) * 3, ("sum",) * 3, op=ops.square_norms),
        ValueError,
        r"square_norms: tables: expected at most 2\*\*32 - 1 rows together, got 6442450941. Update them in several calls",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case):
    make, error, message = CASES[case]
    with pytest.raises(error, match=message) as caught:
        make()
    assert str(caught.value).startswith("jaxtbe.ops.")


@pytest.mark.parametrize("fits", [lookup, update, row_gradients, gather, reset, find])
def test_what_fits_is_traced(fits):
    fits()


def test_every_target_has_a_signature():
    assert {s.target for s in OPS.values()} == set(_native.TARGETS)
    assert all(s.api == f"jaxtbe.ops.{name}" and hasattr(ops, name) for name, s in OPS.items())


def test_signatures_say_what_the_documentation_says():
    for name in ("lookup", "count_faults", "id_weights_grad", "gather_rows", "store_rows", "zch_find"):
        text = getattr(ops, name).__doc__
        for key, operand in OPS[name].operands.items():
            shown = (
                operand.text.replace("float[rows, D]", "dtype[rows, dim]")
                .replace("float", "dtype")
                .replace("D]", "dim]")
            )
            assert f"{key}: {shown.replace('T+1', 'tables+1')}" in text, f"{name}: {key}: {shown}"


def test_operands_are_read_as_meant():
    operand = Operand.parse("*f32|bf16[rows, F*B+1, 2]?")
    assert operand.dtypes == ("float32", "bfloat16") and operand.shape == ("rows", "F*B+1", "2")
    assert operand.optional and operand.repeated and operand.text == "f32|bf16[rows, F*B+1, 2]"


HUGE = (1_200_000_000, 2**31 - 1, 2**31 - 1, 2**31 - 1, 900_000_000)


def test_tables_are_split_over_calls_by_their_own_sums():
    rows = {f"t{i}": n for i, n in enumerate(HUGE)}
    groups = split_by_rows(rows.items())
    assert groups == [("t0", "t1"), ("t2", "t3"), ("t4",)]
    assert split_by_rows([]) == []
    assert split_by_rows([("a", 2**31 - 1), ("b", 2**31 - 1), ("c", 1)]) == [("a", "b", "c")]
    assert split_by_rows([("a", 2**31 - 1), ("b", 2**31 - 1), ("c", 2)]) == [("a", "b"), ("c",)]


def test_an_update_of_more_rows_than_a_key_has():
    """Shapes alone: these tables would take 35 GB."""
    tables = [jaxtbe.Table(f"t{i}", n, 1) for i, n in enumerate(HUGE)]
    emb = jaxtbe.EmbeddingBags(tables, [jaxtbe.Feature(f"x{i}", f"t{i}") for i in range(len(HUGE))])
    bags = emb.bags({f"x{i}": [[1]] for i in range(len(HUGE))})
    params = jaxtbe.EmbeddingParams({t.name: array("float32", t.rows, 1) for t in tables})
    seen = []

    def groups(params):
        loss = lambda p: sum(jnp.sum(a) for a in emb(p, bags).values())  # noqa: E731
        grad = jaxtbe.grad(loss)(params)
        seen.extend(make_groups(params.tables, grad, lambda *about: 0))
        return jaxtbe.optim.global_norm(grad)

    jax.eval_shape(groups, params)
    assert [g.tables for g in seen] == [("t0", "t1"), ("t2", "t3"), ("t4",)]
    tx = jaxtbe.optim.sgd(0.1)

    def step(params):
        grad = jaxtbe.grad(lambda p: sum(jnp.sum(a) for a in emb(p, bags).values()))(params)
        updates, _ = tx.update(grad, tx.init(params), params)
        dense = jax.grad(lambda p: sum(jnp.sum(a) for a in emb(p, bags).values()))(params)
        return [u.value for u in updates.tables.values()], dense

    jax.eval_shape(step, params)
