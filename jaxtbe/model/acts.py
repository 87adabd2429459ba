"""Activations of features, and their gradients, as the columns of one array."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.model.feature import Feature


def concat_d_acts(features: Sequence[Feature], d_acts: Mapping[str, jax.Array]) -> jax.Array:
    """f32[B, columns]: the gradients of some features' activations side by side. XLA folds it with
    the slices they were.
    """
    parts = [_flat(d_acts[f.name]).astype(jnp.float32) for f in features]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def _flat(d_acts: jax.Array) -> jax.Array:
    """[B, columns], also where there are none."""
    return d_acts.reshape(d_acts.shape[0], math.prod(d_acts.shape[1:]))


def acts_by_feature(spec: Any, group: Any, out: jax.Array) -> dict[str, jax.Array]:
    """The activations of a group's features, from the columns f32[B, columns] that its lookup gave."""
    acts = {}
    for feature, layout in zip(spec.features, group.layout, strict=True):
        if layout.table >= 0:
            columns = out[:, layout.column : layout.column + spec.width(feature)]
            acts[feature.name] = columns.reshape(spec.acts_shape(feature, out.shape[0]))
    return acts
