"""A user's training program, as type checkers see it: `make types` runs mypy and pyright over it. Every line is public API."""

import functools
from typing import Any, assert_type

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe
from jaxtbe import optim

emb = jaxtbe.EmbeddingBags(
    tables=[
        jaxtbe.Table("user", rows=1024, dim=16, zch=jaxtbe.Zch(policy="lru")),
        jaxtbe.Table("item", rows=100, dim=8, dtype=jnp.bfloat16, initializer=jax.nn.initializers.normal(0.05)),
    ],
    features=[
        jaxtbe.Feature("user_id", table="user"),
        jaxtbe.Feature("history", table="item", pooling="none", max_length=5, access="read_only"),
        jaxtbe.Feature("item_id", table="item"),
    ],
)
params = {"emb": emb.init(jax.random.key(0)), "w": jnp.ones(24)}
assert_type(emb.init(jax.random.key(0)), jaxtbe.EmbeddingParams)
tx = optax.partition(
    {
        "emb": optim.per_table(
            {"item": optim.adam(1e-3)}, default=optim.rowwise_adagrad(optax.constant_schedule(0.02))
        ),
        "w": optax.adamw(1e-3),
    },
    {"emb": "emb", "w": "w"},
)
opt_state = tx.init(params)
zch_state = emb.init_zch()
assert_type(zch_state, dict[str, jaxtbe.zch.ZchState])


def loss_fn(params: dict[str, Any], bags: jaxtbe.Bags, labels: jax.Array) -> jax.Array:
    acts = emb(params["emb"], bags)
    assert_type(acts, dict[str, jax.Array])
    logits = jnp.concatenate([acts["user_id"], acts["item_id"]], axis=1) @ params["w"]
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


@functools.partial(jax.jit, donate_argnums=(0, 1, 2))
def step(params, opt_state, zch_state, bags: jaxtbe.Bags, labels: jax.Array, now: int):
    zch_state, bags, reports = emb.remap(zch_state, bags, now=now)
    assert_type(bags, jaxtbe.Bags)
    assert_type(reports, dict[str, jaxtbe.zch.ZchReport])
    params["emb"], opt_state = emb.reset_rows(params["emb"], opt_state, reports)
    loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, labels)
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, zch_state, loss


def main() -> None:
    bags = emb.bags(
        {"user_id": np.arange(4) * 2**40, "history": [[1, 2], [], [3], [4]], "item_id": None},
        id_weights={"history": [[1.0, 0.5], [], [1.0], [2.0]]},
        capacity=16,
    )
    assert_type(bags, jaxtbe.Bags)
    assert_type(bags.describe(), str)
    assert_type(emb.summary(params, opt_state), str)
    report = jaxtbe.debug.check_in_place(step, params, opt_state, zch_state, bags, jnp.ones(4), 1)
    assert_type(report, jaxtbe.debug.InPlaceReport)
    for finding in report.findings:
        assert_type(finding.names, tuple[str, ...])
    state = step(params, opt_state, zch_state, bags, jnp.ones(4), 1)
    jaxtbe.check(state[1])
    found = emb.find(state[2], bags)
    assert_type(found, jaxtbe.Bags)
    assert_type(jaxtbe.zch.to_json(emb.tables), str)


if __name__ == "__main__":
    main()
