"""Raw ids in a hashed ZCH."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.gpu.rows import Row
from benchmarks.gpu.timing import Plan, seconds_a_call
from benchmarks.gpu.workloads import SETS
from jaxtbe import pack_ids, zch

CONFIG = zch.Zch(policy="ttl", ttl=1_000_000)
LOAD = 0.75
_FILL = 1 << 21  # ids an insert while the table is filled


def measure(slots: int, count: int, plan: Plan) -> list[Row]:
    """Finds and inserts of `count` ids among `slots` slots at a load of 0.75."""
    rng = np.random.default_rng(0)
    held = np.unique(rng.integers(-(2**62), 2**62, int(LOAD * slots)))
    rng.shuffle(held)
    insert = jax.jit(lambda s, i: zch.remap(s, i, _offsets(i), zch=CONFIG, access=("read_write",)), donate_argnums=0)
    state = zch.init_zch(CONFIG, slots)
    for begin in range(0, held.size, _FILL):
        ids = np.full(min(_FILL, held.size), -1)
        ids[: held[begin : begin + _FILL].size] = held[begin : begin + _FILL]
        state, _, _ = insert(state, pack_ids(ids))

    find = jax.jit(lambda s, i: zch.find(s, i, zch=CONFIG)[0])
    rows = []
    for what, miss_rate in (("find, all hits", 0.0), ("find, 10% misses", 0.1)):
        batches = [_batch(rng, held, count, miss_rate) for _ in range(SETS)]
        packed = [jax.device_put(pack_ids(ids)) for ids, _ in batches]
        _check(state, find(state, packed[0]), packed[0], batches[0][1])
        seconds = seconds_a_call(lambda i, p=packed: find(state, p[i % SETS]), plan)
        rows.append(Row(what, f"{count:,} ids, {slots:,} slots", seconds, f"{count / seconds / 1e9:.2f} G ids/s"))

    carry = [state]

    def insert_again(i):
        carry[0], found, _ = insert(carry[0], packed[i % SETS])
        return found

    _check(state, find(state, packed[0]), packed[0], batches[0][1])
    seconds = seconds_a_call(insert_again, plan)
    rows.append(
        Row("insert, few misses", f"{count:,} ids, {slots:,} slots", seconds, f"{count / seconds / 1e9:.2f} G ids/s")
    )
    return rows


def _offsets(ids) -> jax.Array:
    return jnp.asarray([0, ids.shape[0]], jnp.int32)


def _batch(rng: np.random.Generator, held: np.ndarray, count: int, miss_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Ids, and which of them are held."""
    ids = rng.choice(held, count)
    new = rng.random(count) < miss_rate
    ids[new] = rng.integers(2**62, 2**63 - 1, new.sum())  # outside the range of those held
    return ids, ~new


def _check(state: zch.ZchState, rows: jax.Array, packed: jax.Array, held: np.ndarray) -> None:
    """Every row holds its id. An id that found no slot while the table was filled is missing: a few in a million."""
    found = np.asarray(rows) >= 0
    assert not (found & ~held).any(), "find: an id that was never inserted has a row"
    assert (found | ~held).mean() > 0.999, f"find: {(~found & held).sum()} ids that were inserted have no row"
    same = jnp.all(state.identities[jnp.maximum(rows, 0)] == packed, axis=1) | (rows < 0)
    assert bool(same.all()), "find: a row holds another id"
