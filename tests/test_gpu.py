"""What only a GPU can show: the CUDA kernels' bits twice, and ZCH equal to the CPU's. The rest of the suite runs as it is."""

import jax
import numpy as np
import optax
import pytest
from cases import every_pooling, lookup, to_bags
from compare import assert_same_bits

import jaxtbe
from jaxtbe import ops

pytestmark = pytest.mark.gpu


def one_step(emb, params, bags, d_acts):
    tx = jaxtbe.optim.rowwise_adagrad(0.1)
    updates, state = tx.update(emb.gradient(bags, d_acts), tx.init(params), params)
    return optax.apply_updates(params, updates), state


@pytest.mark.parametrize("dim", [3, 64, 128, 300, 600])
def test_small_steps_give_the_same_bits_twice(dim):
    case = every_pooling(dim=dim, rows=3)
    emb = case.module("native")
    bags, d_acts = to_bags(emb, case.batch()), case.d_acts()
    runs = [jax.jit(one_step, static_argnums=0)(emb, case.params(), bags, d_acts) for _ in range(2)]
    for first, second in zip(*map(jax.tree.leaves, runs), strict=True):
        assert_same_bits(second, first, "the step again")
    for name, acts in lookup(emb, case.params(), bags).items():
        assert_same_bits(lookup(emb, case.params(), bags)[name], acts, f"acts[{name!r}] again")


@pytest.mark.parametrize("policy", [None, "ttl", "lru"])
def test_small_inserts_equal_the_cpu(policy):
    zch = jaxtbe.Zch(policy=policy, ttl=1 if policy else None, max_probe=6, track_counts=True)
    rng = np.random.default_rng(0)

    def insert_on(device):
        with jax.default_device(device):
            empty = np.full((16, 2), 2**32 - 1, np.uint32)
            slots = ops.ZchSlots(empty, np.full(16, -1, np.int32), np.int32(0), np.zeros(16, np.int32))
            results = []
            for now, raw in enumerate(batches):
                batch = ops.ZchBatch(jaxtbe.pack_ids(raw), np.asarray([0, len(raw)], np.int32))
                inserted = ops.zch_insert(
                    slots, batch, now, 1, zch=zch, access=("read_write",), implementation="native"
                )
                slots = inserted.slots
                results.append(inserted)
            return jax.device_get(results)

    batches = [rng.integers(0, 40, 60) for _ in range(4)]
    on_cpu, on_gpu = insert_on(jax.devices("cpu")[0]), insert_on(jax.devices("gpu")[0])
    for got, want in zip(jax.tree.leaves(on_gpu), jax.tree.leaves(on_cpu), strict=True):
        assert_same_bits(np.atleast_1d(got), np.atleast_1d(want), "insert")
