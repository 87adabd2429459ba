"""`ops.id_weights_grad` in plain jax.numpy."""

import jax.numpy as jnp

from jaxtbe.batch.positions import positions, valid_counts


def id_weights_grad(d_acts, tables, ids, offsets, *, features):
    num_features, num_ids = len(features), ids.shape[0]
    batch = (offsets.shape[0] - 1) // num_features
    if batch == 0:
        return jnp.zeros((num_ids,), jnp.float32)
    where = positions(num_ids, offsets, num_features)
    grad = jnp.zeros((num_ids,), jnp.float32)
    for f, feature in enumerate(features):
        if feature.table < 0 or not feature.reads:
            continue
        table = tables[feature.table]
        rows, dim = table.shape
        valid = (where.feature == f) & (ids >= 0) & (ids < rows)
        index = jnp.zeros_like(where.place)
        shown = valid
        if feature.pooling == "none":
            shown = valid & (where.place < feature.max_length)
            index = jnp.where(shown, where.place, 0)
        columns = feature.column + index[:, None] * dim + jnp.arange(dim)[None]
        d_rows = d_acts[jnp.where(shown, where.sample, 0)[:, None], columns]
        dot = jnp.sum(table[jnp.where(shown, ids, 0)].astype(jnp.float32) * d_rows, axis=1)
        if feature.pooling == "mean":
            dot = dot / jnp.maximum(valid_counts(valid, where.bag, num_features * batch)[where.bag], 1)
        grad = jnp.where(shown, dot, grad)
    return grad
