"""The same bits for any number of worker threads."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, os, jax, numpy as np
from jaxtbe import pack_ids, zch
rng = np.random.default_rng(0)
N, rows = 60_000, 20_000
digest = hashlib.sha256()
for policy, priority in ((None, "id"), ("ttl", "first"), ("lru", "id"), ("lru", "first")):
    config = zch.Zch(policy=policy, ttl=None if policy is None else 1, priority=priority, max_probe=8, track_counts=True)
    state = zch.init_zch(config, rows)
    pool = rng.integers(-2**63, 2**63 - 1, 3 * rows)
    for now in range(4):
        ids = pack_ids(pool[np.minimum(rng.zipf(1.1, N), pool.size) - 1])
        scores = rng.integers(now - 1, now + 2, N).astype(np.int32)
        state, row, report = zch.remap(state, ids, np.asarray([0, N // 2, N - 100], np.int32), zch=config,
                                       access=("read_write", "read_only"), now=now, scores=scores, implementation="native")
        found = zch.find(state, ids, zch=config, implementation="native")
        for leaf in jax.tree.leaves((state, row, report, found)):
            digest.update(np.asarray(leaf).tobytes())
threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0
print(threads, digest.hexdigest())
"""


def run(threads: int) -> tuple[int, str]:
    """Threads of the process, and a hash of all results."""
    env = {**os.environ, "NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    count, digest = done.stdout.split()
    return int(count), digest


@pytest.mark.slow
def test_bits_do_not_depend_on_threads():
    runs = {threads: run(threads) for threads in (1, 2, 7)}
    assert len({digest for _, digest in runs.values()}) == 1, runs
    if runs[1][0]:  # NPROC is the size of XLA's pool
        assert runs[7][0] > runs[2][0] > runs[1][0]
