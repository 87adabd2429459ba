"""`ops.lookup` in plain jax.numpy."""

import jax
import jax.numpy as jnp

from jaxtbe.batch.positions import positions, valid_counts


def lookup(tables, ids, offsets, id_weights, *, features, columns):
    num_features, num_ids = len(features), ids.shape[0]
    batch = (offsets.shape[0] - 1) // num_features
    where = positions(num_ids, offsets, num_features)
    acts = jnp.zeros((batch, columns), jnp.float32)
    faults = jnp.zeros((num_features, 2), jnp.int32).at[:, 1].set(-1)
    for f, feature in enumerate(features):
        if feature.table < 0:
            continue
        table = tables[feature.table]
        rows, dim = table.shape
        mine = where.feature == f
        valid = mine & (ids >= 0) & (ids < rows)
        faults = faults.at[f].set(_faults(ids, mine & (ids >= rows)))
        width = dim * (feature.max_length if feature.pooling == "none" else 1)
        if not feature.reads:
            out = jnp.full((batch, width), -0.0, jnp.float32)  # the exact neutral element of addition
        else:
            out = _read(table, ids, valid, where, id_weights, feature, f, batch, num_features).reshape(batch, width)
        acts = acts.at[:, feature.column : feature.column + width].set(out)
    return acts, faults


def _read(table, ids, valid, where, id_weights, feature, f, batch, num_features):
    rows = table[jnp.where(valid, ids, 0)].astype(jnp.float32)
    if id_weights is not None:
        rows = rows * id_weights[:, None]
    rows = jnp.where(valid[:, None], rows, 0)
    if feature.pooling == "none":
        shown = valid & (where.place < feature.max_length)
        place = jnp.where(shown, where.sample * feature.max_length + where.place, batch * feature.max_length)
        out = jnp.zeros((batch * feature.max_length, table.shape[1]), jnp.float32)
        return out.at[place].set(rows, mode="drop")
    bags = num_features * batch
    out = jax.ops.segment_sum(rows, where.bag, bags, indices_are_sorted=True)
    if feature.pooling == "mean":
        out = out / jnp.maximum(valid_counts(valid, where.bag, bags), 1)[:, None]
    return out[f * batch : (f + 1) * batch]


def _faults(ids, faulty):
    if ids.shape[0] == 0:
        return jnp.asarray([0, -1], jnp.int32)
    count = jnp.sum(faulty, dtype=jnp.int32)
    first = jnp.where(count > 0, ids[jnp.argmax(faulty)], -1)
    return jnp.stack([count, first])
