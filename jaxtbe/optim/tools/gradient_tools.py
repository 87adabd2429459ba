"""Norms, sums and finiteness of gradients that are partly sparse."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import ops
from jaxtbe.autodiff.embedding_grad import EmbeddingGrad, is_grad
from jaxtbe.autodiff.unstack import unstack
from jaxtbe.support.arguments import check_array
from jaxtbe.support.errors import value_error
from jaxtbe.writes.plan import plan_update, split_by_rows


def global_norm(grads: Any) -> jax.Array:
    """The exact norm of a gradient with dense and sparse parts.

    The occurrences of a row are added up before they are squared, as in the dense gradient. What
    write_only features store is no gradient and does not count.

    Args:
      grads: a pytree of arrays and `EmbeddingGrad`s.

    Returns:
      f32[].
    """
    total = jnp.zeros((), jnp.float32)
    for leaf in jax.tree.leaves(grads, is_leaf=is_grad):
        total = total + (_square_norm(leaf) if is_grad(leaf) else jnp.sum(jnp.square(jnp.abs(leaf))))
    return jnp.sqrt(total)


def _square_norm(grad: EmbeddingGrad) -> jax.Array:
    grad = unstack(grad)
    parts = [(l.spec, l.bags, l.d_acts) for l in grad.lookups]
    described: dict[str, Any] = {}
    for share in grad.lookups:
        for feature in share.spec.writing_features:
            if feature.access != "write_only":
                described.setdefault(
                    feature.table,
                    (share.spec.tables_by_name[feature.table], (share.spec.implementation, share.spec.placement)),
                )
    total = jnp.zeros((), jnp.float32)
    keys = dict.fromkeys(k for _, k in described.values())
    calls = [
        (key, n) for key in keys for n in split_by_rows((t.name, t.rows) for t, k in described.values() if k == key)
    ]
    for key, names in calls:
        tables = [described[n][0] for n in names]
        shares = [plan_update(*part, names) for part in parts]
        norms_of = functools.partial(
            ops.square_norms, duplicates=tuple(t.duplicates for t in tables), implementation=key[0]
        )
        present, shapes = [s for s in shares if s is not None], tuple((t.rows, t.dim) for t in tables)
        total = total + jnp.sum(key[1].square_norms(norms_of, names, shapes, present))
    return total


def add_gradients(*grads: Any) -> Any:
    """The sum of gradients of one structure: dense parts are added, sparse ones concatenated.

    For micro-batches: take the gradient of each, add them, scale if the loss is a mean, and update
    once.

    Args:
      *grads: pytrees of arrays and `EmbeddingGrad`s.
    """
    if not grads:
        raise value_error(
            "jaxtbe.optim.add_gradients", "grads", "at least one gradient", "none", "Pass those of the micro-batches"
        )
    total = grads[0]
    for other in grads[1:]:
        total = jax.tree.map(lambda a, b: a + b, total, other, is_leaf=is_grad)
    return total


def sum_stacked(grads: Any) -> Any:
    """The sum of gradients that `jax.lax.scan` stacked, one a micro-batch.

    Dense parts are added up over their first axis. Sparse ones stay as they are: a table optimizer
    takes them stacked.

    Args:
      grads: a pytree of arrays [steps, ...] and stacked `EmbeddingGrad`s.
    """
    _check_dense("jaxtbe.optim.sum_stacked", grads, "an array [steps, ...]", 1)
    return jax.tree.map(lambda g: g if is_grad(g) else jnp.sum(g, axis=0).astype(g.dtype), grads, is_leaf=is_grad)


def _check_dense(api: str, grads: Any, text: str, least: int = 0) -> None:
    """Raises unless every dense leaf is an array of so many dimensions at least."""
    for leaf in jax.tree.leaves(grads, is_leaf=is_grad):
        if not is_grad(leaf):
            check_array(api, "grads", leaf, text)
            if len(leaf.shape) < least:
                check_array(api, "grads", leaf, text, least)


def scale_gradients(grads: Any, scale) -> Any:
    """Every gradient, dense or sparse, times a scalar. What write_only features store stays as it
    is.
    """
    _check_dense("jaxtbe.optim.scale_gradients", grads, "an array")
    scale = float(scale) if isinstance(scale, int) else scale  # one past int32 too
    return jax.tree.map(lambda g: g * scale if is_grad(g) else (g * scale).astype(g.dtype), grads, is_leaf=is_grad)


def all_finite(grads: Any) -> jax.Array:
    """bool[]: whether no gradient, dense or sparse, holds a NaN or an infinity."""
    leaves = []
    for leaf in jax.tree.leaves(grads, is_leaf=is_grad):
        leaves += [d for share in leaf.shares for d in share.d_acts.values()] if is_grad(leaf) else [leaf]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves])) if leaves else jnp.asarray(True)
