"""The same bits from run to run and for any number of worker threads."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, os, jax, jax.numpy as jnp, numpy as np, optax, jaxtbe
emb = jaxtbe.EmbeddingBags(
    [jaxtbe.Table("a", rows=5_000, dim=48), jaxtbe.Table("b", rows=70_000, dim=33, dtype=jnp.bfloat16)],
    [jaxtbe.Feature("x", table="a"), jaxtbe.Feature("y", table="b", pooling="mean"), jaxtbe.Feature("z", table="a")])
rng = np.random.default_rng(0)
B = 1500
ragged = lambda rows: (np.minimum(rng.zipf(1.3, 12 * B), rows) - 1, np.full(B, 12))
bags = emb.bags({"x": ragged(5_000), "y": ragged(70_000), "z": ragged(5_000)})
params = emb.init(jax.random.key(0))
tx = jaxtbe.optim.rowwise_adagrad(0.1, rounding="stochastic")
state = tx.init(params)
@jax.jit
def step(params, state):
    loss, grads = jaxtbe.value_and_grad(lambda p: sum(jnp.sum(jnp.sin(a)) for a in emb(p, bags).values()))(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss
for _ in range(3):
    params, state, loss = step(params, state)
h = hashlib.sha256()
for leaf in jax.tree.leaves((params, state)):
    h.update(np.asarray(leaf).tobytes())
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0, h.hexdigest())
"""


def run(threads: int) -> tuple[int, str]:
    """Threads of the process, and a hash of everything it trained."""
    env = {**os.environ, "NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    count, digest = done.stdout.split()
    return int(count), digest


@pytest.mark.slow
def test_bits_do_not_depend_on_threads():
    runs = {threads: run(threads) for threads in (1, 2, 7)}
    assert len({digest for _, digest in runs.values()}) == 1, runs
    again = run(2)
    assert again[1] == runs[2][1]
    if runs[1][0]:  # the variable did change the pool
        assert runs[7][0] > runs[1][0]
