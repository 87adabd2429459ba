"""Raw ids in a hashed ZCH: finds and inserts beside FBGEMM's CPU find and a remap by sorting.

    python -m benchmarks.zch [--slots 10000000] [--ids 1000000] [--rounds 15] [--threads 2]

Every round times each contender once, on ids of its own; the ratios are medians of ratios within a round, so that a machine
that others use as well slows all of them alike. Beside the ratio of elapsed times stands that of processor times, which says
what a contender computes whatever else runs; compare it with --threads 1, because waiting threads may spin. FBGEMM takes part
where torch and fbgemm-gpu-cpu are installed.
"""

import argparse
import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import pack_ids, zch

CONFIG = zch.Zch(policy="ttl", ttl=1_000_000)
READ, WRITE = ("read_only",), ("read_write",)


class Ids:
    """Batches of ids: some held by the table, the rest new."""

    def __init__(self, slots: int, count: int, seed: int):
        self.rng = np.random.default_rng(seed)
        self.held = np.unique(self.rng.integers(-(2**63), 2**63 - 1, slots // 2))
        self.rng.shuffle(self.held)
        self.count = count

    def batch(self, miss_rate: float) -> np.ndarray:
        ids = self.rng.choice(self.held, self.count)
        new = self.rng.random(self.count) < miss_rate
        ids[new] = self.rng.integers(-(2**63), 2**63 - 1, new.sum())
        return ids


def filled_state(ids: Ids, slots: int) -> zch.ZchState:
    offsets = np.asarray([0, ids.held.size], np.int32)
    state, _, report = zch.remap(zch.init_zch(CONFIG, slots), pack_ids(ids.held), offsets, zch=CONFIG, access=WRITE)
    assert int(report.counters[zch.COUNTERS.index("failures")]) == 0
    return state


def our_find(state: zch.ZchState) -> Callable:
    jitted = jax.jit(lambda s, i: zch.find(s, i, zch=CONFIG)[0])
    return lambda ids: jitted(state, ids).block_until_ready()


def our_insert(state: zch.ZchState, count: int) -> Callable:
    offsets = jnp.asarray([0, count], jnp.int32)
    jitted = jax.jit(lambda s, i: zch.remap(s, i, offsets, zch=CONFIG, access=WRITE), donate_argnums=0)
    held = [jax.tree.map(jnp.copy, state)]  # the state that the next insert consumes

    def insert(ids):
        held[0], rows, _ = jitted(held[0], ids)
        rows.block_until_ready()

    return insert


def fbgemm_find(state: zch.ZchState, threads: int) -> Callable | None:
    try:
        import fbgemm_gpu  # noqa: F401
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    identities = torch.from_numpy(zch.to_fbgemm(state)[0])

    def find(ids):
        torch.ops.fbgemm.zero_collision_hash(
            input=ids,
            identities=identities,
            max_probe=CONFIG.max_probe,
            circular_probe=True,
            exp_hours=-1,
            readonly=True,
            disable_fallback=True,
        )

    find.prepare = torch.from_numpy
    return find


def sorted_find(held: np.ndarray) -> Callable:
    """A managed-collision remap by sorting: the ids in order beside their rows, and a binary search for each distinct id."""
    ordered = np.sort(held)

    def find(ids):
        distinct, inverse = np.unique(ids, return_inverse=True)
        place = np.minimum(np.searchsorted(ordered, distinct), ordered.size - 1)
        return np.where(ordered[place] == distinct, place, -1)[inverse]

    find.prepare = lambda ids: ids
    return find


def to_device(ids: np.ndarray) -> jax.Array:
    return jax.block_until_ready(jax.device_put(pack_ids(ids)))


def timed(find: Callable, ids) -> tuple[float, float]:
    """Elapsed and processor seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    find(ids)
    return time.perf_counter() - start, time.process_time() - cpu


def compare(name: str, contenders: dict[str, Callable], ids: Ids, miss_rate: float, rounds: int) -> None:
    """Prints ids a second of each contender, and how many times ours its elapsed and processor times are."""
    times = {contender: [] for contender in contenders}
    for round_ in range(rounds + 1):
        for contender, run in contenders.items():
            prepared = getattr(run, "prepare", to_device)(ids.batch(miss_rate))
            seconds = timed(run, prepared)
            if round_ > 0:  # the first one compiles and warms up
                times[contender].append(seconds)
    ours = np.asarray(times["jaxtbe"])
    for contender, seconds in times.items():
        rate = ids.count / np.median(np.asarray(seconds)[:, 0]) / 1e6
        elapsed, cpu = np.median(np.asarray(seconds) / ours, axis=0)
        ratios = "" if contender == "jaxtbe" else f"   times ours: elapsed {elapsed:5.2f}, processor {cpu:5.2f}"
        print(f"{name:7} {miss_rate:4.0%} misses  {contender:8} {rate:7.1f} M ids/s{ratios}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=10_000_000)
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    os.environ["NPROC"] = str(options.threads)  # the size of XLA's thread pool, read when its backend starts
    ids = Ids(options.slots, options.ids, seed=0)
    state = filled_state(ids, options.slots)
    print(
        f"{options.slots:,} slots, load 0.5, {options.ids:,} ids a batch, {options.threads} threads, jax {jax.__version__}"
    )

    finds = {"jaxtbe": our_find(state), "sorting": sorted_find(ids.held)}
    fbgemm = fbgemm_find(state, options.threads)
    if fbgemm is None:
        print("FBGEMM is left out: torch and fbgemm-gpu-cpu are not installed")
    else:
        finds["fbgemm"] = fbgemm
    for miss_rate in (0.0, 0.1):
        compare("find", finds, ids, miss_rate, options.rounds)
    for miss_rate, rounds in ((0.0, options.rounds), (0.1, 5), (1.0, 2)):  # few, so that the load stays below 0.8
        compare("insert", {"jaxtbe": our_insert(state, options.ids)}, ids, miss_rate, rounds)


if __name__ == "__main__":
    main()
