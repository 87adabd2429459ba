"""A serving lookup leaves the process as bytes and runs again; programs come back from the persistent compilation cache."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export

import jaxtbe

CHECKS = [export.DisabledSafetyCheck.custom_call(name) for name in ("jaxtbe_lookup", "jaxtbe_zch_find")]


def make():
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=64, dim=4, zch=jaxtbe.Zch()), jaxtbe.Table("genre", rows=10, dim=4)],
        [jaxtbe.Feature("user_id", table="user"), jaxtbe.Feature("genres", table="genre", pooling="mean")],
        implementation="native",
    )


def serve(emb, params, zch_state, ids, offsets):
    """Plain arrays in, plain arrays out: what a server without jaxtbe's classes can call."""
    bags = jaxtbe.Bags(ids, offsets, None, None, emb.spec.feature_names, 3)
    acts = emb(jaxtbe.EmbeddingParams(params), emb.find(zch_state, bags))
    return acts["user_id"], acts["genres"]


def test_serving_runs_again_from_bytes():
    pytest.importorskip("flatbuffers")
    emb = make()
    params = emb.init(jax.random.key(0)).tables
    bags = emb.bags({"user_id": np.asarray([2**40, -7, 5]), "genres": [[1, 2], [], [3]]}, capacity=16)
    zch_state, _, _ = emb.remap(emb.init_zch(), bags)
    state = {"identities": zch_state["user"].identities, "last_seen": zch_state["user"].last_seen}

    def served(params, state, ids, offsets):
        slots = jaxtbe.zch.ZchState(state["identities"], state["last_seen"], None, np.int32(0))
        return serve(emb, params, {"user": slots}, ids, offsets)

    args = params, state, bags.ids, bags.offsets
    want = jax.jit(served)(*args)
    saved = export.export(jax.jit(served), disabled_checks=CHECKS)(*args).serialize()
    again = export.deserialize(saved).call(*args)
    assert np.any(np.asarray(want[0]))
    for a, b in zip(again, want, strict=True):
        np.testing.assert_array_equal(a, b)


STEP = """
import sys, jax, jax.numpy as jnp, jaxtbe
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("/cache_hits") else None)
emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=50, dim=4)], [jaxtbe.Feature("f", table="t")])
params = emb.init(jax.random.key(0))
tx = jaxtbe.optim.rowwise_adagrad(0.1)
state, bags = tx.init(params), emb.bags({"f": [1, 2, 3]})

def step(params, state):
    grads = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb(p, bags)["f"])))(params)
    updates, state = tx.update(grads, state, params)
    return updates.tables["t"].value, state

compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state).compile()
table, _ = compiled(params, state)
print(float(jnp.sum(table)), len(hits))
"""


@pytest.mark.slow
def test_programs_come_back_from_the_compilation_cache(tmp_path):
    runs = [
        subprocess.run([sys.executable, "-c", STEP, str(tmp_path)], capture_output=True, text=True) for _ in range(2)
    ]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr + runs[1].stderr
    (first, no_hits), (second, hits) = (run.stdout.split() for run in runs)
    assert first == second
    assert int(hits) > int(no_hits)
    assert any(file.name.startswith("jit_step") for file in tmp_path.iterdir())
