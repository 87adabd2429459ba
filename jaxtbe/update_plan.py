"""From batches and the gradients of their activations to the operands of `ops.update`."""

import jax
import jax.numpy as jnp

from jaxtbe import ops
from jaxtbe.bags import Bags
from jaxtbe.features import Feature
from jaxtbe.spec import Spec


def concat_d_acts(features: list[Feature], d_acts: dict[str, jax.Array]) -> jax.Array:
    """f32[B, columns]: the gradients of some features' activations side by side. XLA folds it with the slices they were."""
    parts = [d_acts[f.name].reshape(d_acts[f.name].shape[0], -1).astype(jnp.float32) for f in features]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)


def written_tables(spec: Spec, among: tuple[str, ...]) -> tuple[str, ...]:
    """Those tables that a feature writes, in the spec's order."""
    written = {f.table for f in spec.writing_features}
    return tuple(t.name for t in spec.tables if t.name in written and t.name in among)


def plan_update(
    spec: Spec, bags: Bags, d_acts: dict[str, jax.Array], tables: tuple[str, ...]
) -> ops.UpdateLookup | None:
    """The share of one lookup in an update of `tables`, or None: it writes none of them."""
    features = [f for f in spec.writing_features if f.table in tables]
    if not features:
        return None
    sources, column = [], 0
    for feature in features:
        sources.append(
            ops.SourceLayout(
                feature=spec.features.index(feature),
                num_features=len(spec.features),
                table=tables.index(feature.table),
                pooling=feature.pooling,
                column=column,
                max_length=feature.max_length or 1,
            )
        )
        column += spec.width(feature)
    return ops.UpdateLookup(
        bags.ids, bags.offsets, bags.id_weights, bags.update_mask, concat_d_acts(features, d_acts), tuple(sources)
    )


def plan_lookup(spec: Spec, bags: Bags, d_acts: dict[str, jax.Array], among: tuple[str, ...]):
    """`plan_update` over those of the tables `among` that the spec writes, and their names; or None."""
    names = written_tables(spec, among)
    share = plan_update(spec, bags, d_acts, names)
    return None if share is None else (share, names)
