"""Gradients that `jax.lax.scan` stacked, one a micro-batch, as the shares of one gradient."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.autodiff.embedding_grad import EmbeddingGrad, LookupGrad
from jaxtbe.batch.bags import Bags
from jaxtbe.batch.merge import merge_parts
from jaxtbe.model.spec import Spec

_SHARES = 32  # micro-batches that stay shares of their own: more make the program large


def unstack(grad: EmbeddingGrad) -> EmbeddingGrad:
    """The sum over the leading axes that `scan` or `vmap` gave to a gradient; a gradient without
    any is returned as it is.
    """
    if not any(share.stacked for share in grad.shares):
        return grad
    shares: list[LookupGrad] = []
    for share in grad.lookups:
        times = math.prod(share.stacked)
        if not share.stacked:
            shares.append(share)
        elif times <= _SHARES or not share.spec.placement.merges_batches:
            shares += share.split()
        else:
            shares.append(_merged(share))
    return dataclasses.replace(grad, lookups=tuple(shares))


def _merged(share: LookupGrad) -> LookupGrad:
    """All micro-batches as one batch."""
    bags, axes = share.bags, len(share.stacked)
    parts = {n: getattr(bags, n) for n in ("ids", "offsets", "id_weights", "update_mask")}
    times = math.prod(share.stacked)
    parts = {n: x.reshape(times, *x.shape[axes:]) for n, x in parts.items() if x is not None}
    d_acts = {name: d.reshape(times * d.shape[axes], *d.shape[axes + 1 :]) for name, d in share.d_acts.items()}
    faults = merge_faults(share.faults.reshape(times, *share.faults.shape[axes:]))
    return LookupGrad.of(d_acts, merge_batches(share.spec, parts), faults, share.spec)


def merge_batches(spec: Spec, parts: dict[str, Any]) -> Bags:
    """Batches [T, ...] of one spec as one batch."""
    times, length = parts["offsets"].shape
    merged = merge_parts(len(spec.features), parts)
    leaves = (merged.get(n) for n in ("ids", "offsets", "id_weights", "update_mask"))
    batch_size = (length - 1) // len(spec.features)
    return Bags.tree_unflatten((spec.feature_names, batch_size * times, 1), tuple(leaves))


def merge_faults(faults: jax.Array) -> jax.Array:
    """The faults i32[T, F, 2] of several lookups as those i32[F, 2] of one: their number, and the
    first of them.
    """
    first = jnp.argmax(faults[..., 0] > 0, axis=0)
    return jnp.stack(
        [jnp.sum(faults[..., 0], axis=0), jnp.take_along_axis(faults[..., 1], first[None], axis=0)[0]], axis=1
    )
