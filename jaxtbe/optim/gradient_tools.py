"""Norms, clipping, sums and finiteness of gradients that are partly sparse."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxtbe import ops
from jaxtbe.embedding_grad import EmbeddingGrad, is_grad
from jaxtbe.errors import value_error
from jaxtbe.params import Overwrite, is_params
from jaxtbe.sharding.update import sharded_square_norms
from jaxtbe.update_plan import plan_update


def global_norm(grads: Any) -> jax.Array:
    """The exact norm of a gradient with dense and sparse parts.

    The occurrences of a row are added up before they are squared, as in the dense gradient. What write_only features store is
    no gradient and does not count.

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
    described: dict[str, Any] = {}
    for share in grad.lookups:
        for feature in share.spec.writing_features:
            if feature.access != "write_only":
                described.setdefault(
                    feature.table,
                    (share.spec.tables_by_name[feature.table], (share.spec.implementation, share.spec.sharding)),
                )
    total = jnp.zeros((), jnp.float32)
    for key in dict.fromkeys(k for _, k in described.values()):
        tables = [t for t, k in described.values() if k == key]
        names = [t.name for t in tables]
        shares = [plan_update(l.spec, l.bags, l.d_acts, names) for l in grad.lookups]
        norms_of = functools.partial(
            ops.square_norms, duplicates=tuple(t.duplicates for t in tables), implementation=key[0]
        )
        present, shapes = [s for s in shares if s is not None], tuple((t.rows, t.dim) for t in tables)
        if key[1] is None:
            norms = norms_of(present, shapes=shapes)
        else:
            norms = sharded_square_norms(key[1], norms_of, names, shapes, present)
        total = total + jnp.sum(norms)
    return total


def _scale_gradient(grad: EmbeddingGrad, scale) -> EmbeddingGrad:
    """Every gradient times `scale`; what write_only features store stays as it is."""
    lookups = []
    for share in grad.lookups:
        stores = {f.name for f in share.spec.features if f.access == "write_only"}
        d_acts = {name: d if name in stores else d * scale for name, d in share.d_acts.items()}
        lookups.append(dataclasses.replace(share, d_acts=d_acts))
    return dataclasses.replace(grad, lookups=tuple(lookups))


def clip_by_global_norm(max_norm) -> optax.GradientTransformation:
    """Scales dense and sparse gradients together so that their `global_norm` is at most `max_norm`.

    Put it before `optax.partition` in `optax.chain`. (`optax.clip_by_global_norm` would compute with the ids of a sparse
    gradient; the table optimizers refuse what it returns.)

    Args:
      max_norm: number or scalar array.

    Returns:
      A stateless `optax.GradientTransformation`.
    """

    def update(grads, state, params=None):
        del params
        norm = global_norm(grads)
        scale = jnp.where(norm > max_norm, max_norm / norm, 1.0)
        scaled = jax.tree.map(
            lambda g: _scale_gradient(g, scale) if is_grad(g) else (g * scale).astype(g.dtype), grads, is_leaf=is_grad
        )
        return scaled, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def add_gradients(*grads: Any) -> Any:
    """The sum of gradients of one structure: dense parts are added, sparse ones concatenated.

    For micro-batches: take the gradient of each, add them, scale if the loss is a mean, and update once.

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


def scale_gradients(grads: Any, scale) -> Any:
    """Every gradient, dense or sparse, times a scalar."""
    return jax.tree.map(lambda g: g * scale, grads, is_leaf=is_grad)


def all_finite(grads: Any) -> jax.Array:
    """bool[]: whether no gradient, dense or sparse, holds a NaN or an infinity."""
    leaves = []
    for leaf in jax.tree.leaves(grads, is_leaf=is_grad):
        leaves += [d for share in leaf.lookups for d in share.d_acts.values()] if is_grad(leaf) else [leaf]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves])) if leaves else jnp.asarray(True)


class SkipNonfiniteState(NamedTuple):
    """State of `skip_nonfinite`: the inner state, and how many steps were skipped, i32[]."""

    inner: Any
    skipped: jax.Array


def skip_nonfinite(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Leaves parameters and optimizer state as they are where a gradient holds a NaN or an infinity.

    Tables are neither copied nor read for that: the update runs in a branch of its own.

    Args:
      tx: the whole optimizer, for instance an `optax.partition`.

    Returns:
      An `optax.GradientTransformation` whose state counts the skipped steps.
    """

    def init(params):
        return SkipNonfiniteState(tx.init(params), jnp.zeros((), jnp.int32))

    def update(grads, state, params=None):
        def step(inner, params):
            return tx.update(grads, inner, params)

        def skip(inner, params):
            def stay(p):
                if is_params(p):
                    return dataclasses.replace(p, tables={name: Overwrite(t) for name, t in p.tables.items()})
                return jnp.zeros_like(p)

            return jax.tree.map(stay, params, is_leaf=is_params), inner

        finite = all_finite(grads)
        updates, inner = jax.lax.cond(finite, step, skip, state.inner, params)
        return updates, SkipNonfiniteState(inner, state.skipped + jnp.where(finite, 0, 1))

    return optax.GradientTransformation(init, update)
