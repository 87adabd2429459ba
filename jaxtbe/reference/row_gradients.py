"""The gradient of every touched row of a table, each row once."""

import jax.numpy as jnp

from jaxtbe.batch.positions import positions, valid_counts


def row_gradients(lookups, table_index, rows, dim, duplicates):
    """Returns row numbers i32[N] (`rows`: none) and their gradients f32[N, dim], N the ids of all
    lookups.
    """
    keys, gradients = [], []
    for lookup in lookups:
        for source in lookup.sources:
            if source.table == table_index:
                key, gradient = _contributions(lookup, source, rows, dim)
                keys.append(key)
                gradients.append(gradient)
    if not keys:
        return jnp.zeros((0,), jnp.int32), jnp.zeros((0, dim), jnp.float32)
    key, gradient = jnp.concatenate(keys), jnp.concatenate(gradients)
    count = key.shape[0]
    order = jnp.argsort(key, stable=True)
    key, gradient = key[order], gradient[order]
    before = jnp.concatenate([jnp.full((1,), -1, key.dtype), key[:-1]])
    after = jnp.concatenate([key[1:], jnp.full((1,), -1, key.dtype)])
    run = jnp.cumsum(key != before) - 1
    row = jnp.full((count,), rows, jnp.int32).at[run].set(key)
    total = jnp.zeros((count, dim), jnp.float32)
    if duplicates == "sum":
        total = total.at[run].add(gradient, indices_are_sorted=True)
        chosen = (key != before) & (key != after)  # what occurs once is no sum: it keeps its bits
    else:
        chosen = key != (before if duplicates == "first" else after)
    return row, total.at[jnp.where(chosen, run, count)].set(gradient, mode="drop")


def _contributions(lookup, source, rows, dim):
    """For each position of one lookup, the row it trains (`rows`: none) and its contribution, as
    seen by one source.
    """
    ids, batch = lookup.ids, (lookup.offsets.shape[0] - 1) // source.num_features
    if batch == 0:
        return jnp.full(ids.shape, rows, jnp.int32), jnp.zeros((ids.shape[0], dim), jnp.float32)
    where = positions(ids.shape[0], lookup.offsets, source.num_features)
    valid = (where.feature == source.feature) & (ids >= 0) & (ids < rows)
    trains = valid if lookup.update_mask is None else valid & lookup.update_mask
    index = jnp.zeros_like(where.place)
    if source.pooling == "none":
        trains = trains & (where.place < source.max_length)
        index = jnp.where(trains, where.place, 0)
    columns = source.column + index[:, None] * dim + jnp.arange(dim)[None]
    gradient = lookup.d_acts[jnp.where(trains, where.sample, 0)[:, None], columns]
    if source.pooling == "mean":
        bags = source.num_features * batch
        gradient = gradient / jnp.maximum(valid_counts(valid, where.bag, bags)[where.bag], 1)[:, None]
    if lookup.id_weights is not None:
        gradient = gradient * lookup.id_weights[:, None]
    return jnp.where(trains, ids, rows), jnp.where(trains[:, None], gradient, 0)


def all_row_gradients(lookups, shapes, duplicates):
    """`ops.row_gradients` in plain jax.numpy."""
    capacity, dim = sum(l.ids.shape[0] for l in lookups), shapes[0][1]
    all_rows, all_gradients, counts = [], [], []
    for t, (rows, _) in enumerate(shapes):
        row, gradient = row_gradients(lookups, t, rows, dim, duplicates[t])
        all_rows.append(row)
        all_gradients.append(gradient)
        counts.append(jnp.sum(row < rows, dtype=jnp.int32))
    starts = jnp.cumsum(jnp.stack([jnp.zeros((), jnp.int32), *counts]), dtype=jnp.int32)
    out_rows = jnp.full((capacity,), -1, jnp.int32)
    out = jnp.zeros((capacity, dim), jnp.float32)
    for t, (row, gradient) in enumerate(zip(all_rows, all_gradients, strict=True)):
        at = jnp.arange(row.shape[0])
        place = jnp.where(at < counts[t], starts[t] + at, capacity)
        out_rows = out_rows.at[place].set(row, mode="drop")
        out = out.at[place].set(gradient, mode="drop")
    return out_rows, out, starts


def square_norms(lookups, shapes, duplicates):
    """`ops.square_norms` in plain jax.numpy."""
    norms = []
    for t, (rows, dim) in enumerate(shapes):
        row, gradient = row_gradients(lookups, t, rows, dim, duplicates[t])
        norms.append(jnp.sum(jnp.where((row < rows)[:, None], gradient, 0) ** 2))
    return jnp.stack(norms)
