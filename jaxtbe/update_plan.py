"""From batches and the gradients of their activations to the operands of `ops.update`."""

import math
from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp

from jaxtbe import ops
from jaxtbe.bags import Bags
from jaxtbe.errors import value_error
from jaxtbe.features import Feature
from jaxtbe.ops.check_backward import MAX_ROWS
from jaxtbe.spec import Spec

API = "jaxtbe.optim"


def concat_d_acts(features: Sequence[Feature], d_acts: Mapping[str, jax.Array]) -> jax.Array:
    """f32[B, columns]: the gradients of some features' activations side by side. XLA folds it with the slices they were."""
    parts = [_flat(d_acts[f.name]).astype(jnp.float32) for f in features]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def _flat(d_acts: jax.Array) -> jax.Array:
    """[B, columns], also where there are none."""
    return d_acts.reshape(d_acts.shape[0], math.prod(d_acts.shape[1:]))


def plan_update(
    spec: Spec, bags: Bags, d_acts: Mapping[str, jax.Array], tables: Sequence[str], as_values: bool = False
) -> ops.UpdateLookup | None:
    """One lookup's share of an update of `tables`, or None: it writes none of them.

    Args:
      spec: of the lookup.
      bags: what was looked up.
      d_acts: feature to the gradient of its activations. Features left out write nothing.
      tables: the tables of the call, in its order.
      as_values: `d_acts` are values to store: id weights and the divisor of pooling "mean" do not apply. So are those of
        write_only features.
    """
    features = [f for f in spec.writing_features if f.table in tables and f.name in d_acts]
    if not features:
        return None
    as_values = as_values or features[0].access == "write_only"  # of one table all features or none, and of one call
    _check_batch(spec, bags)
    for feature in features:
        _check_gradient(spec, bags, feature, d_acts[feature.name])
    sources, column = [], 0
    for feature in features:
        sources.append(
            ops.SourceLayout(
                feature=spec.features.index(feature),
                num_features=len(spec.features),
                table=tables.index(feature.table),
                pooling="sum" if as_values and feature.pooling == "mean" else feature.pooling,
                column=column,
                max_length=feature.max_length or 1,
            )
        )
        column += spec.width(feature)
    bags = jax.tree.map(jnp.asarray, bags)
    weights = None if as_values else bags.id_weights
    return ops.UpdateLookup(
        bags.ids, bags.offsets, weights, bags.update_mask, concat_d_acts(features, d_acts), tuple(sources)
    )


def _check_batch(spec: Spec, bags: Bags) -> None:
    """What a lookup took has one size still: a gradient may have been cut or put together since."""
    obj = f"lookup of features {spec.feature_names}"
    ids, num_features = jnp.shape(bags.ids), len(spec.features)
    for name, array in (("ids", bags.ids), ("id_weights", bags.id_weights), ("update_mask", bags.update_mask)):
        if array is not None and (jnp.ndim(array) != 1 or jnp.shape(array) != ids):
            raise value_error(
                API,
                obj,
                f"{name} of shape {ids[:1]} as its ids",
                str(jnp.shape(array)),
                "Pass the gradient as it was taken",
            )
    if jnp.shape(bags.offsets) != (num_features * bags.batch_size + 1,):
        expected = f"offsets of shape ({num_features * bags.batch_size + 1},)"
        raise value_error(API, obj, expected, str(jnp.shape(bags.offsets)), "Pass the gradient as it was taken")


def _check_gradient(spec: Spec, bags: Bags, feature: Feature, gradient: jax.Array) -> None:
    shape = spec.acts_shape(feature, bags.batch_size)
    if jnp.shape(gradient) != shape:
        raise value_error(
            API,
            f"gradient of feature {feature.name!r}",
            f"shape {shape}, that of its activations",
            str(jnp.shape(gradient)),
            "Pass the gradient as it was taken",
        )


def split_by_rows(tables: Iterable[tuple[str, int]]) -> list[tuple[str, ...]]:
    """The names of tables, given with their rows, in groups that one call each can serve: `MAX_ROWS` rows at most."""
    groups: list[list[str]] = []
    total = 0
    for name, rows in tables:
        total += rows
        if not groups or total > MAX_ROWS:
            groups.append([])
            total = rows
        groups[-1].append(name)
    return [tuple(names) for names in groups]


def written_by_dtype(spec: Spec, features: Mapping[str, object]) -> list[tuple[str, ...]]:
    """The tables that the named features write, grouped by dtype: what one call each can serve."""
    written = {f.table for f in spec.writing_features if f.name in features}
    tables = [t for t in spec.tables if t.name in written]
    dtypes = dict.fromkeys(t.dtype for t in tables)
    return [g for dtype in dtypes for g in split_by_rows((t.name, t.rows) for t in tables if t.dtype == dtype)]
