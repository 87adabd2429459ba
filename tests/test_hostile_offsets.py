"""What offsets mean that fall, or lie outside the ids: each is the largest so far, cut to the ids, in every op alike."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zch_cases

import jaxtbe
from jaxtbe import ops
from jaxtbe.ops import FeatureLayout, SourceLayout, UpdateLookup
from jaxtbe.optim.rules.sgd import SGD

F, B, N, ROWS, DIM = 3, 7, 60, 9, 4
FEATURES = tuple(
    FeatureLayout(0, pooling=p, column=c, max_length=2) for p, c in (("sum", 0), ("mean", DIM), ("none", 2 * DIM))
)
SOURCES = tuple(SourceLayout(f, F, 0, pooling=l.pooling, column=l.column, max_length=2) for f, l in enumerate(FEATURES))
COLUMNS = 4 * DIM
ACCESS = ("read_write", "read_only", "read_write")


def mended(offsets):
    return np.maximum.accumulate(np.clip(offsets, 0, N)).astype(np.int32)


def hostile(seed):
    rng = np.random.default_rng(seed)
    offsets = rng.integers(-N, 2 * N, F * B + 1) if seed % 2 else np.sort(rng.integers(0, N, F * B + 1))
    offsets = offsets.astype(np.int32)
    if seed % 4 == 0:
        offsets[rng.integers(0, offsets.size, 3)] = rng.choice([-(2**31), 2**31 - 1, 0, N], 3)
    return rng, offsets


def operands(rng):
    return {
        "table": rng.normal(size=(ROWS, DIM)).astype(np.float32),
        "ids": rng.integers(-1, ROWS + 1, N).astype(np.int32),
        "weights": rng.normal(size=N).astype(np.float32),
        "d_acts": rng.normal(size=(B, COLUMNS)).astype(np.float32),
    }


@functools.partial(jax.jit, static_argnames="implementation")
def everything(of, offsets, implementation):
    """The results of every op that takes int32 ids."""
    use = {"implementation": implementation}
    ids, table = of["ids"], [of["table"]]
    share = UpdateLookup(ids, offsets, of["weights"], None, of["d_acts"], SOURCES)
    hyper = jnp.asarray([[1.0, 0.0, 0.0, jnp.inf, jnp.inf, 0.0]])
    noise = jnp.zeros(3, jnp.uint32)
    return {
        "lookup": ops.lookup(table, ids, offsets, of["weights"], features=FEATURES, columns=COLUMNS, **use),
        "count_faults": ops.count_faults(ids, offsets, rows=(ROWS,) * F, **use),
        "id_weights_grad": ops.id_weights_grad(of["d_acts"], table, ids, offsets, features=FEATURES, **use),
        "row_gradients": ops.row_gradients([share], shapes=((ROWS, DIM),), duplicates=("sum",), **use),
        "update": ops.update(table, [[]], hyper, noise, [share], rule=SGD, duplicates=("last",), table_ids=(0,), **use),
    }


def assert_close(got, want, what):
    for (path, g), w in zip(jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5, err_msg=f"{what}: {jax.tree_util.keystr(path)}")


@pytest.mark.parametrize("seed", range(12))
def test_every_op_takes_the_largest_offset_so_far(seed, implementation):
    rng, offsets = hostile(seed)
    of = operands(rng)
    got = everything(of, offsets, implementation)
    zch_cases.assert_same(got, everything(of, mended(offsets), implementation), f"seed {seed}, mended")
    assert_close(got, everything(of, offsets, "xla"), f"seed {seed}, reference")


@pytest.mark.parametrize("seed", range(6))
def test_mapped_batches(seed, implementation):
    rng, offsets = hostile(seed)
    of = operands(rng)
    both = np.stack([offsets, hostile(seed + 1)[1]])

    def look(offsets):
        acts = ops.lookup(
            [of["table"]], of["ids"], offsets, features=FEATURES, columns=COLUMNS, implementation=implementation
        )
        weights = ops.id_weights_grad(
            of["d_acts"], [of["table"]], of["ids"], offsets, features=FEATURES, implementation=implementation
        )
        return acts, weights

    alone = [look(o) for o in both]
    assert_close(jax.jit(jax.vmap(look))(both), jax.tree.map(lambda *x: jnp.stack(x), *alone), "vmap")


@pytest.mark.parametrize("seed", range(12))
def test_zch(seed, implementation):
    rng, offsets = hostile(seed)
    config, rows = zch_cases.random_config(rng, policy="lru", on_full="miss")
    slots = zch_cases.empty_slots(config, rows)
    batch = ops.ZchBatch(jaxtbe.pack_ids(zch_cases.random_ids(rng, rows, N)), offsets, None, None)
    use = {"config": config, "access": ACCESS, "implementation": implementation}
    got = zch_cases.insert(slots, batch, 3, 2, **use)
    zch_cases.assert_same(got, zch_cases.insert(slots, batch._replace(offsets=mended(offsets)), 3, 2, **use), "mended")
    zch_cases.assert_same(got, zch_cases.specified(slots, batch, 3, 2, config, ACCESS), "specification")
    find = functools.partial(ops.zch_find, zch=config, access=ACCESS)
    found = find(got.slots.identities, batch.ids, offsets, implementation=implementation)
    zch_cases.assert_same(found, find(got.slots.identities, batch.ids, mended(offsets), implementation="xla"), "find")


def falling(rng, count):
    """Offsets of 300 ids that climb on the whole and fall everywhere."""
    for least, most in ((-50, 350), (-3, 3), (250, 2**31 - 1)):
        yield (rng.integers(least, most, count) * np.linspace(0, 1, count)).astype(np.int32)


@pytest.mark.parametrize("bags", [1, 63, 64, 130, 399, 1000])
def test_every_offset(bags, implementation):
    """However many threads and blocks share them: the sum of a bag of ones is its length."""
    ids, table = np.zeros(300, np.int32), np.ones((1, 1), np.float32)
    for offsets in falling(np.random.default_rng(bags), bags + 1):
        acts, _ = ops.lookup(
            [table], ids, offsets, features=(FeatureLayout(0),), columns=1, implementation=implementation
        )
        want = np.maximum.accumulate(np.clip(offsets, 0, ids.size))
        np.testing.assert_array_equal(np.asarray(acts)[:, 0], np.diff(want))


def test_more_offsets_than_threads(implementation):
    """Where every id is a fault, their counts are the lengths of the features."""
    features, batch, ids = 40, 7500, np.zeros(300, np.int32)
    for offsets in falling(np.random.default_rng(0), features * batch + 1):
        faults = ops.count_faults(ids, offsets, rows=(0,) * features, implementation=implementation)
        want = np.maximum.accumulate(np.clip(offsets, 0, ids.size))[::batch]
        np.testing.assert_array_equal(np.asarray(faults)[:, 0], np.diff(want))


def test_overlapping_bags_do_not_race():
    """300 bags that overlap: before, the gradient of a weight was whatever bag was last to write it."""
    rng = np.random.default_rng(0)
    ids, offsets = rng.integers(0, ROWS, 1000).astype(np.int32), rng.integers(-5, 1005, 301).astype(np.int32)
    d_acts, table = rng.normal(size=(300, DIM)).astype(np.float32), rng.normal(size=(ROWS, DIM)).astype(np.float32)
    grad = jax.jit(functools.partial(ops.id_weights_grad, features=(FeatureLayout(0),), implementation="native"))
    assert len({np.asarray(grad(d_acts, [table], ids, offsets)).tobytes() for _ in range(300)}) == 1


def test_a_batch_without_samples(implementation):
    of = operands(np.random.default_rng(0))
    of["d_acts"] = of["d_acts"][:0]
    got = everything(of, np.zeros(1, np.int32), implementation)
    assert got["lookup"][0].shape == (0, COLUMNS) and (np.asarray(got["count_faults"]) == [0, -1]).all()
    np.testing.assert_array_equal(got["update"][0][0], of["table"])
    assert not got["id_weights_grad"].any() and (got["row_gradients"][0] == -1).all()


@pytest.mark.parametrize("seed", range(6))
def test_starts_of_rows(seed, implementation):
    rng = np.random.default_rng(seed)
    rows, values = rng.permutation(10).astype(np.int32), rng.normal(size=(10, DIM)).astype(np.float32)
    starts = rng.integers(-3, 13, 4).astype(np.int32)
    honest = np.maximum.accumulate(np.clip(starts, 0, 10)).astype(np.int32)
    tables = [rng.normal(size=(ROWS, DIM)).astype(np.float32) for _ in range(3)]
    use = {"implementation": implementation}
    for other, of in ((starts, "xla"), (honest, implementation)):
        got = ops.gather_rows(tables, rows, starts, **use), ops.store_rows(tables, rows, starts, values, **use)
        want = (
            ops.gather_rows(tables, rows, other, implementation=of),
            ops.store_rows(tables, rows, other, values, implementation=of),
        )
        zch_cases.assert_same(got, want, f"seed {seed}")
