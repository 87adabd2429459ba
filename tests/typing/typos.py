"""Misspelt choices, each of which a type checker refuses: a comment that nothing needs is an error of `make types`."""

# mypy: warn-unused-ignores

import jax.numpy as jnp

import jaxtbe


def misspelt() -> None:
    jaxtbe.Feature("x", "t", pooling="maen")  # type: ignore[arg-type]
    jaxtbe.Feature("x", "t", access="readonly")  # type: ignore[arg-type]
    jaxtbe.Feature("x", "t", keep="newest")  # type: ignore[arg-type]
    jaxtbe.Table("t", 1, 1, duplicates="max")  # type: ignore[arg-type]
    jaxtbe.Zch(policy="lfu")  # type: ignore[arg-type]
    jaxtbe.Zch(on_full="drop")  # type: ignore[arg-type]
    jaxtbe.Zch(priority="last")  # type: ignore[arg-type]
    jaxtbe.EmbeddingBags([], [], implementation="cuda")  # type: ignore[arg-type]
    jaxtbe.optim.sgd(0.1, rounding="stochstic")  # type: ignore[arg-type]
    jaxtbe.optim.adam(0.1, decay="L2")  # type: ignore[arg-type]
    _ = jaxtbe.value_and_grad(lambda x: x)(jnp.ones(())).loss  # type: ignore[attr-defined]
