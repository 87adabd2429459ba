"""Every error names the object, what was expected, what came, and one remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe
from jaxtbe import _native

Table, Feature, EmbeddingBags = jaxtbe.Table, jaxtbe.Feature, jaxtbe.EmbeddingBags


def spec(tables=None, features=None, **kwargs):
    return EmbeddingBags(
        tables or [Table("item", rows=10, dim=4)],
        features or [Feature("history", table="item"), Feature("item_id", table="item")],
        **kwargs,
    )


def batch(emb=None, **kwargs):
    return (emb or spec()).bags({"history": [[1, 2], [3]], "item_id": [4, 5]}, **kwargs)


def bags_of(history, item_id=(4, 5), **kwargs):
    return spec().bags({"history": history, "item_id": np.asarray(item_id)}, **kwargs)


def lookup(**changes):
    emb = spec()
    return emb(emb.init(jax.random.key(0)), batch().replace(**changes))


def nested_lookup(transform):
    emb = spec()
    params, bags = emb.init(jax.random.key(0)), batch()
    return jaxtbe.grad(lambda p: transform(lambda q: jnp.sum(emb.concat(q, bags)))(p))(params)


def update(tx=None, grads=None, params=None):
    emb = spec()
    params = emb.init(jax.random.key(0)) if params is None else params
    if grads is None:
        grads = jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, batch())))(emb.init(jax.random.key(0)))
    tx = tx or jaxtbe.optim.sgd(0.1)
    return tx.update(grads, tx.init(emb.init(jax.random.key(0))), params)


def write_only_update(tx):
    emb = spec(features=[Feature("x", table="item", access="write_only")])
    params = emb.init(jax.random.key(0))
    bags = emb.bags({"x": np.array([1])})
    return tx.update(jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)))(params), tx.init(params), params)


def out_of_range(use):
    emb = spec()
    bags = emb.bags({"history": [[1, 11], [99]], "item_id": [4, 5]})
    return use(emb, bags)


def check_after_a_step(emb, bags):
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.sgd(0.1)
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)))(params), state, params)
    jaxtbe.check({"optimizer": state})


def check_gradient(emb, bags):
    jaxtbe.check(jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)))(emb.init(jax.random.key(0))))


ERRORS = {
    # Table
    "table name": (lambda: Table(3, rows=1, dim=1), TypeError, "Table: name: expected a non-empty string, got 3"),
    "table rows": (lambda: Table("t", rows=0, dim=1), ValueError, "table 't': expected 1 <= rows < 2\\*\\*31, got 0"),
    "table rows type": (lambda: Table("t", rows=1.5, dim=1), TypeError, "table 't': expected an int as rows, got 1.5"),
    "table dim": (lambda: Table("t", rows=1, dim=-1), ValueError, "table 't': expected 1 <= dim"),
    "table dtype": (lambda: Table("t", 1, 1, dtype=jnp.int8), TypeError, "expected dtype float32, bfloat16 or float16"),
    "table dtype name": (lambda: Table("t", 1, 1, dtype="nonsense"), TypeError, "got 'nonsense'"),
    "table duplicates": (lambda: Table("t", 1, 1, duplicates="max"), ValueError, "duplicates 'sum', 'first' or 'last'"),
    "initializer": (
        lambda: spec([Table("item", 10, 4, initializer=lambda k, s, d: jnp.zeros((2, 2), d))]).init(jax.random.key(0)),
        ValueError,
        r"table 'item': expected float32\[10, 4\] from its initializer, got float32\[2, 2\]",
    ),
    # Feature
    "feature name": (lambda: Feature("", table="t"), TypeError, "expected a non-empty string as name, got ''"),
    "feature table": (lambda: Feature("f", table=None), TypeError, "expected a non-empty string as table, got None"),
    "pooling": (lambda: Feature("f", "t", pooling="max"), ValueError, "pooling 'sum', 'mean' or 'none', got 'max'"),
    "access": (lambda: Feature("f", "t", access="rw"), ValueError, "access 'read_write', 'read_only' or 'write_only'"),
    "max_length": (
        lambda: Feature("f", "t", pooling="none"),
        ValueError,
        "max_length >= 1 with pooling 'none', got None",
    ),
    "max_length given": (
        lambda: Feature("f", "t", max_length=3),
        ValueError,
        "no max_length with pooling 'sum', got 3",
    ),
    # EmbeddingBags
    "no tables": (lambda: EmbeddingBags([], [Feature("f", "t")]), ValueError, "tables: expected at least one table"),
    "no features": (
        lambda: EmbeddingBags([Table("t", 1, 1)], []),
        ValueError,
        "features: expected at least one feature",
    ),
    "not a table": (
        lambda: EmbeddingBags(["t"], [Feature("f", "t")]),
        TypeError,
        "expected jaxtbe.Table objects, got 't'",
    ),
    "two tables": (
        lambda: EmbeddingBags([Table("t", 1, 1), Table("t", 2, 1)], [Feature("f", "t")]),
        ValueError,
        "table 't': expected unique names, got 2 of them. Rename one table",
    ),
    "two features": (
        lambda: spec(features=[Feature("f", "item"), Feature("f", "item")]),
        ValueError,
        "feature 'f': expected unique names",
    ),
    "unknown table": (
        lambda: spec(features=[Feature("f", "itme")]),
        ValueError,
        r"feature 'f': expected a table among \['item'\], got 'itme'",
    ),
    "mixed access": (
        lambda: spec(features=[Feature("f", "item"), Feature("g", "item", access="write_only")]),
        ValueError,
        r"table 'item': expected one access among its writing features, got 'read_write' \('f'\) and 'write_only' \('g'\)",
    ),
    "implementation": (lambda: spec(implementation="cuda"), ValueError, "expected None, 'native' or 'xla', got 'cuda'"),
    # bags
    "missing feature": (
        lambda: spec().bags({"history": [[1]]}),
        ValueError,
        r"got no \['item_id'\]. Give every feature, None for one that has no ids in this batch, and no other",
    ),
    "no ids at all": (
        lambda: spec().bags({"history": None, "item_id": None}),
        ValueError,
        "features: expected ids for at least one feature, got None for each. Skip batches",
    ),
    "unknown feature": (
        lambda: spec().bags({"history": [[1]], "item_id": [1], "x": [1]}),
        ValueError,
        r"got unknown \['x'\]",
    ),
    "ids are no dict": (
        lambda: spec().bags([1]),
        TypeError,
        "ids: expected a dict from feature name to values, got list",
    ),
    "batch sizes": (
        lambda: bags_of([[1], [2], [3]]),
        ValueError,
        r"one batch size, got \{'history': 3, 'item_id': 2\}",
    ),
    "empty batch": (lambda: bags_of([], []), ValueError, "expected at least one sample, got an empty batch"),
    "float ids": (lambda: bags_of([[1.5], [2.0]]), TypeError, "feature 'history': expected integer ids, got float64"),
    "large ids": (
        lambda: bags_of([[2**40], [1]]),
        ValueError,
        "feature 'history': expected row numbers that fit int32, got an id 1099511627776. Map raw ids to rows",
    ),
    "lengths": (
        lambda: bags_of((np.arange(5), [2, 2])),
        ValueError,
        "feature 'history': expected lengths that sum to the 5 ids given, got a sum of 4. Check for truncated rows",
    ),
    "negative lengths": (lambda: bags_of((np.arange(1), [2, -1])), ValueError, "expected lengths of 0 or more, got -1"),
    "float lengths": (lambda: bags_of((np.arange(2), [1.0, 1.0])), TypeError, "expected integer lengths, got float64"),
    "tuple": (lambda: bags_of((1, 2, 3)), ValueError, r"expected a pair \(ids, lengths\), got a tuple of 3"),
    "2-D lengths": (
        lambda: bags_of((np.arange(2), [[1], [1]])),
        ValueError,
        "expected 1-D ids and lengths, got 1 and 2",
    ),
    "3-D ids": (lambda: bags_of(np.zeros((2, 2, 2), int)), ValueError, "a list of lists, or a pair"),
    "nested lists": (lambda: bags_of([[[1]], [[2]]]), ValueError, "expected a list of 1-D bags"),
    "capacity": (lambda: batch(capacity=3), ValueError, "capacity: expected at least the 5 ids of the batch, got 3"),
    "weights form": (
        lambda: batch(id_weights={"history": [[1.0], [1.0]]}),
        ValueError,
        "id_weights of feature 'history': expected one value for each of the 3 ids, got 2 values",
    ),
    "weights dict": (lambda: batch(id_weights=[1.0]), TypeError, "id_weights: expected a dict"),
    "weights feature": (lambda: batch(id_weights={"x": [1.0]}), ValueError, r"got \['x'\]. Correct the name"),
    "mask dtype": (
        lambda: batch(update_mask={"history": [[1, 0], [1]]}),
        TypeError,
        "update_mask of feature 'history': expected bool, got int64",
    ),
    "int64 ids": (lambda: lookup(ids=np.arange(5)), TypeError, "jaxtbe.Bags: ids: expected int32 or uint32, got int64"),
    "float offsets": (lambda: lookup(offsets=np.zeros(5)), TypeError, "offsets: expected int32, got float64"),
    # lookup
    "params": (lambda: spec()({}, batch()), TypeError, "parameters: expected jaxtbe.EmbeddingParams, got dict"),
    "batch": (lambda: spec()(spec().init(jax.random.key(0)), {}), TypeError, "batch: expected jaxtbe.Bags, got dict"),
    "other features": (
        lambda: spec(features=[Feature("g", "item")])(spec().init(jax.random.key(0)), batch()),
        ValueError,
        r"expected the features \('g',\), got \('history', 'item_id'\)",
    ),
    "missing table": (
        lambda: spec()(jaxtbe.EmbeddingParams({"other": jnp.zeros((10, 4))}), batch()),
        ValueError,
        r"table 'item': expected an array in EmbeddingParams.tables, got only \['other'\]",
    ),
    "table shape": (
        lambda: spec()(jaxtbe.EmbeddingParams({"item": jnp.zeros((9, 4))}), batch()),
        ValueError,
        r"table 'item': expected shape \(10, 4\), got \(9, 4\)",
    ),
    "table array dtype": (
        lambda: spec()(jaxtbe.EmbeddingParams({"item": jnp.zeros((10, 4), jnp.bfloat16)}), batch()),
        TypeError,
        "table 'item': expected dtype float32, got bfloat16",
    ),
    "raw ids": (lambda: lookup(ids=np.zeros((8, 2), np.uint32)), TypeError, r"got raw 64-bit ids \(uint32\[N, 2\]\)"),
    "offsets length": (
        lambda: lookup(offsets=np.zeros(3, np.int32)),
        ValueError,
        r"offsets: expected shape \(5,\), got \(3,\)",
    ),
    "weights length": (
        lambda: lookup(id_weights=np.ones(3, np.float32)),
        ValueError,
        r"id_weights: expected shape \(16,\)",
    ),
    # gradients
    "lookup in cond": (
        lambda: nested_lookup(lambda f: lambda p: jax.lax.cond(jnp.bool_(True), f, lambda p: 0.0, p)),
        RuntimeError,
        "one inside a nested transformation .*Look up before the nested function",
    ),
    "nested grad": (
        lambda: jaxtbe.grad(lambda p: jnp.sum(jaxtbe.value_and_grad(lambda q: 1.0)(p)[0]))(
            spec().init(jax.random.key(0))
        ),
        TypeError,
        "expected a loss outside any other value_and_grad, got a nested one",
    ),
    "dense write-only": (
        lambda: jax.grad(
            lambda p: jnp.sum(
                (e := spec(features=[Feature("x", "item", access="write_only")])).concat(p, e.bags({"x": [1]}))
            )
        )(spec().init(jax.random.key(0))),
        ValueError,
        "feature 'x': expected access read_write or read_only",
    ),
    "d_acts missing": (lambda: spec().gradient(batch(), {}), ValueError, "feature 'history': expected an array for it"),
    "d_acts shape": (
        lambda: spec().gradient(batch(), {"history": jnp.zeros((2, 3)), "item_id": jnp.zeros((2, 4))}),
        ValueError,
        r"feature 'history': expected shape \(2, 4\), got \(2, 3\)",
    ),
    "gradient factor": (
        lambda: spec().gradient(batch(), {"history": jnp.zeros((2, 4)), "item_id": jnp.zeros((2, 4))}) * jnp.ones(2),
        TypeError,
        r"factor: expected a scalar, got shape \(2,\)",
    ),
    # optimizers
    "no params": (
        lambda: jaxtbe.optim.sgd(0.1).update(None, None),
        ValueError,
        "update: expected the parameters, got None",
    ),
    "dense params": (
        lambda: jaxtbe.optim.sgd(0.1).init({"w": jnp.ones(3)}),
        TypeError,
        "expected jaxtbe.EmbeddingParams only, got a .*Array.* beside them. Give dense parameters their own optimizer",
    ),
    "dense gradient": (
        lambda: update(grads=spec().init(jax.random.key(0))),
        TypeError,
        "gradient: expected 1 jaxtbe.EmbeddingGrad, one for each EmbeddingParams",
    ),
    "other params": (
        lambda: update(params=jaxtbe.EmbeddingParams({"item": jnp.zeros((11, 4))})),
        ValueError,
        r"table 'item': expected float32\[10, 4\] as in the gradient, got float32\[11, 4\]",
    ),
    "write-only optimizer": (
        lambda: write_only_update(jaxtbe.optim.adam(0.1)),
        ValueError,
        "table 'item': expected optimizer sgd, since write_only features overwrite its rows, got adam",
    ),
    "decay": (
        lambda: jaxtbe.optim.sgd(0.1, decay="L2"),
        ValueError,
        "decay: expected 'none', 'l2' or 'decoupled', got 'L2'",
    ),
    "decay missing": (
        lambda: jaxtbe.optim.sgd(0.1, weight_decay=0.1),
        ValueError,
        "expected 0 with decay 'none', got 0.1",
    ),
    "rounding": (
        lambda: jaxtbe.optim.sgd(0.1, rounding="up"),
        ValueError,
        "rounding: expected 'nearest' or 'stochastic'",
    ),
    "clip": (lambda: jaxtbe.optim.sgd(0.1, clip=0.0), ValueError, "clip: expected a number above 0, or None, got 0.0"),
    "max_norm": (lambda: jaxtbe.optim.sgd(0.1, max_norm=-1), ValueError, "max_norm: expected a number above 0"),
    "mu_dtype": (
        lambda: jaxtbe.optim.adam(0.1, mu_dtype=jnp.float16),
        TypeError,
        "mu_dtype: expected float32 or bfloat16",
    ),
    # assign and writeback
    "assign features": (
        lambda: spec().assign(spec().init(jax.random.key(0)), batch(), {"x": jnp.ones((2, 4))}),
        ValueError,
        r"values: expected features among the writing ones, \['history', 'item_id'\], got \['x'\]",
    ),
    "assign state": (
        lambda: spec().assign(spec().init(jax.random.key(0)), batch(), {"item_id": jnp.ones((2, 4))}, reset_state=True),
        ValueError,
        r"opt_state: expected an optimizer state with a jaxtbe.optim state of the tables \['item'\] in it, got NoneType",
    ),
    "writeback target": (
        lambda: jaxtbe.writeback_loss(jnp.ones((2, 4)), jnp.ones((2, 3))),
        ValueError,
        r"target: expected the structure and shapes of acts, \[\(2, 4\)\], got \[\(2, 3\)\]",
    ),
    "writeback feature": (
        lambda: jaxtbe.writeback_loss({"a": jnp.ones(2)}, {"b": jnp.ones(2)}),
        ValueError,
        r"target: expected features among \['a'\], got \['b'\]. Correct the names",
    ),
    # checks
    "validate": (
        lambda: out_of_range(lambda emb, bags: bags.validate(emb)),
        ValueError,
        "feature 'history' of table 'item': expected ids below 10, got 2 at or past it, the first 11",
    ),
    "validate offsets": (
        lambda: batch().replace(offsets=np.array([0, 2, 1, 4, 5], np.int32)).validate(spec()),
        ValueError,
        "offsets: expected 0 to at most 16, never falling",
    ),
    "check gradient": (
        lambda: out_of_range(check_gradient),
        ValueError,
        "feature 'history' of table 'item': expected ids below 10, got 2 at or past it, the first 11",
    ),
    "check state": (
        lambda: out_of_range(check_after_a_step),
        ValueError,
        "feature 'history' of table 'item': expected ids below its rows, got 4 at or past it, the first 11",
    ),
    # ids
    "pack dtype": (
        lambda: jaxtbe.pack_ids(np.arange(3, dtype=np.int32)),
        TypeError,
        "expected int64 or uint64, got int32",
    ),
    "pack shape": (lambda: jaxtbe.pack_ids(np.zeros((2, 2), np.int64)), ValueError, "expected one dimension"),
    "unpack": (
        lambda: jaxtbe.unpack_ids(np.zeros(3, np.uint32)),
        TypeError,
        r"expected uint32\[N, 2\], got uint32\[3\]",
    ),
    # installation
    "older jaxlib": (
        lambda: _native.check_runtime((0, 3), (0, 2)),
        ImportError,
        "installed jaxlib: expected XLA FFI 0.3 or a newer minor version.*got XLA FFI 0.2. Install a newer jaxlib",
    ),
    "older extension": (
        lambda: _native.check_interface(0),
        ImportError,
        r"native library jaxtbe._cpu: expected interface version \d+, that of the Python package, got 0",
    ),
    "ops implementation": (
        lambda: jaxtbe.ops.lookup([], jnp.zeros(1), jnp.zeros(2), features=(), columns=1, implementation="x"),
        ValueError,
        "jaxtbe.ops: implementation: expected None, 'native' or 'xla', got 'x'",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_message(case):
    make, error, message = ERRORS[case]
    with pytest.raises(error, match=message) as caught:
        make()
    assert str(caught.value).startswith(("jaxtbe", "jax.grad")), "the message begins with the API's name"
    assert str(caught.value).endswith("."), "the message ends with a remedy"


def test_a_faulty_id_loses_nothing():
    emb = spec()
    good = emb.bags({"history": [[1, 2], [3]], "item_id": [4, 5]}, capacity=8)
    bad = emb.bags({"history": [[1, 2, 10], [3]], "item_id": [4, 5]}, capacity=8)
    tx = jaxtbe.optim.adam(0.1)

    @jax.jit
    def step(params, state, bags):
        loss, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(jnp.sin(emb.concat(p, bags))))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = emb.init(jax.random.key(0))
    expected = step(params, tx.init(params), good)
    got = step(params, tx.init(params), bad)
    np.testing.assert_array_equal(got[0].tables["item"], expected[0].tables["item"])
    assert got[2] == expected[2]
    jaxtbe.check(expected)
    with pytest.raises(ValueError, match="feature 'history' of table 'item'"):
        jaxtbe.check(got)
