"""Hostile values through a whole training step and through a ZCH, against oracles: ids of any bits, offsets that fall, weights
that are NaN or infinite, masks. JAXTBE_FUZZ=20 runs twenty times as many."""

import itertools
import os

import cases
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zch_cases
from compare import assert_within

import jaxtbe
from jaxtbe import ops

TIMES = float(os.environ.get("JAXTBE_FUZZ", "1"))
B, N = cases.BATCH_SIZE, 64
BATCHES, INSERTS = max(1, int(25 * TIMES)), max(1, int(6 * TIMES))
EDGES = np.asarray([-(2**31), -1, 0, 1, 6, 7, 8, 2**31 - 1])


def hostile_offsets(rng, count: int) -> np.ndarray:
    kind = rng.integers(4)
    if kind == 0:
        return np.sort(rng.integers(0, N + 1, count)).astype(np.int32)
    if kind == 1:
        return rng.integers(-(2**31), 2**31, count).astype(np.int32)
    offsets = np.sort(rng.integers(0, N + 1, count))
    offsets[rng.integers(0, count, 2)] = rng.choice([-(2**31), 2**31 - 1, 0, N, N + 1], 2)
    return offsets.astype(np.int32)


def ragged(array, offsets, names):
    """What the bags hold, as the oracle takes it."""
    ends = np.maximum.accumulate(np.clip(offsets, 0, N))
    bags = [array[b:e].tolist() for b, e in itertools.pairwise(ends)]
    return {name: bags[f * B : (f + 1) * B] for f, name in enumerate(names)}


@pytest.mark.parametrize("duplicates", ["sum", "last"])
def test_training_steps(duplicates, implementation):
    case = cases.every_pooling(duplicates=duplicates)
    emb, names = case.module(implementation), [f.name for f in case.features]
    tx, values = jaxtbe.optim.sgd(0.5), case.values()
    empty = emb.bags(
        {n: [[]] * B for n in names},
        id_weights={n: [[]] * B for n in names},
        update_mask={n: [[]] * B for n in names},
        capacity=N,
    )
    for seed in range(BATCHES):
        rng = np.random.default_rng(seed)
        offsets = hostile_offsets(rng, len(names) * B + 1)
        ids = np.where(rng.random(N) < 0.3, rng.choice(EDGES, N), rng.integers(0, 7, N)).astype(np.int32)
        weights = rng.normal(size=N).astype(np.float32)
        if seed % 3 == 0:
            weights[rng.integers(0, N, 3)] = rng.choice([np.nan, np.inf, -np.inf], 3)
        mask = rng.random(N) < 0.7
        bags = empty.replace(
            ids=jnp.asarray(ids),
            offsets=jnp.asarray(offsets),
            id_weights=jnp.asarray(weights),
            update_mask=jnp.asarray(mask),
        )
        batch = oracle.Batch(*(ragged(x, offsets, names) for x in (ids, weights, mask)))
        with np.errstate(invalid="ignore"):
            want = oracle.lookup(case.tables, case.features, values, batch)
            d_acts = case.d_acts(seed)
            [gradients] = oracle.row_gradients(case.tables, case.features, [(batch, d_acts)]).values()
        got = cases.lookup(emb, case.params(values), bags)
        for name in names:
            assert_within(got[name], want[name], 1e-4, f"seed {seed}: activations of {name}")
        params = case.params(values)
        params, state = cases.train_step(emb, tx, params, tx.init(params), bags, d_acts)
        table = values["t"].astype(np.float64)
        for row, gradient in gradients.items():
            table[row] -= 0.5 * gradient
        assert_within(params.tables["t"], table, 1e-4, f"seed {seed}: table")
        if oracle.faults(case.tables, case.features, batch):
            with pytest.raises(ValueError, match="at or past it"):
                jaxtbe.check(state)
        else:
            jaxtbe.check(state)


@pytest.mark.parametrize("on_full", ["miss", "share", "reserved"])
@pytest.mark.parametrize("policy", [None, "ttl", "lru"])
def test_inserts(policy, on_full):
    for seed in range(INSERTS):
        rng = np.random.default_rng(seed)
        config, rows = zch_cases.random_config(rng, policy=policy, on_full=on_full)
        slots, access = zch_cases.empty_slots(config, rows), zch_cases.ACCESSES[seed % 3]
        for step in range(3):
            now, ttl = (int(rng.choice([-(2**31), -1, 0, 5, 2**31 - 1])) for _ in range(2))
            batch = ops.ZchBatch(
                jaxtbe.pack_ids(zch_cases.random_ids(rng, rows, N)),
                hostile_offsets(rng, len(access) * 2 + 1),
                rng.random(N) < 0.7 if seed % 2 else None,
                rng.choice(EDGES, N).astype(np.int32) if step else None,
            )
            want = zch_cases.specified(slots, batch, now, ttl, config, access)
            got = zch_cases.insert(slots, batch, now, ttl, config=config, access=access)
            zch_cases.assert_same(got, want, f"seed {seed}, step {step}")
            slots = want.slots
