"""What an access mode does not use, it does not pay for."""

import mmap
import re
import resource
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS, DIM, BATCH = 1000, 8, 16


def step_for(access):
    """A step over two features of two tables, the second of which has the given access, and its arguments."""
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("a", rows=ROWS, dim=DIM), jaxtbe.Table("b", rows=ROWS, dim=DIM)],
        [jaxtbe.Feature("x", table="a"), jaxtbe.Feature("y", table="b", access=access)],
        implementation="native",
    )
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.sgd(0.1)
    bags = emb.bags({"x": np.arange(BATCH), "y": np.arange(BATCH)})

    def loss_fn(params, bags, matrix):
        acts = emb(params, bags)
        return jnp.sum(acts["x"]) + jnp.sum(jnp.sin(acts["y"] @ matrix))

    def step(params, state, bags, matrix):
        grads = jaxtbe.grad(loss_fn)(params, bags, matrix)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, grads

    return step, (params, tx.init(params), bags, jnp.ones((DIM, DIM)))


def test_a_read_only_feature_has_no_backward():
    step, args = step_for("read_only")
    grads = jax.jit(step)(*args)[2]
    assert set(grads.lookups[0].d_acts) == {"x"}, "no tap"
    compiled = jax.jit(lambda *a: step(*a)[:2]).lower(*args).compile().as_text()
    update = next(line for line in compiled.splitlines() if "jaxtbe_update" in line and "custom-call(" in line)
    assert re.search(r"lookups = dense<\[1, 0, 0\]>", update), "one source: no entry of the other feature is sorted"
    assert f"f32[{ROWS},{DIM}]" in update
    assert len(re.findall(rf"f32\[{ROWS},{DIM}\]\S* parameter", compiled)) <= 2
    assert len(re.findall(r" dot\(", compiled)) == 1, "the forward's product, and none for a gradient"
    assert "cosine" not in compiled, "nor the derivative of the sine"
    read_write, args = step_for("read_write")
    compiled = jax.jit(lambda *a: read_write(*a)[:2]).lower(*args).compile().as_text()
    assert "cosine" in compiled, "the comparison does look for the right thing"


@pytest.mark.skipif(sys.platform != "linux", reason="counts the page faults of Linux")
def test_a_write_only_feature_does_not_read_the_table():
    rows, dim, count = 2**17, 1024, 5000
    pages = mmap.mmap(-1, rows * dim * 4)  # never touched: the first access of a page is a fault
    table = jax.device_put(np.frombuffer(pages, np.float32).reshape(rows, dim))  # aligned: no copy
    faults = {}
    for access in ("write_only", "read_write"):
        emb = jaxtbe.EmbeddingBags(
            [jaxtbe.Table("t", rows=rows, dim=dim)],
            [jaxtbe.Feature("x", table="t", access=access, pooling="sum")],
            implementation="native",
        )
        ids = np.random.default_rng(0).permutation(rows)[:count]
        bags = emb.bags({"x": (ids, np.full(count // 50, 50))})
        lookup = jax.jit(lambda p, b, emb=emb: jnp.sum(emb(p, b)["x"]))
        small = jaxtbe.EmbeddingParams({"t": jnp.zeros((rows, dim))})
        jax.block_until_ready(lookup(small, bags))  # compiled, and its buffers are warm
        del small
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        jax.block_until_ready(lookup(jaxtbe.EmbeddingParams({"t": table}), bags))
        faults[access] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults["read_write"] >= count, faults
    assert faults["write_only"] < count / 10, faults
