"""`ops.update` in plain jax.numpy."""

import jax.numpy as jnp
import numpy as np

from jaxtbe.reference.rounding import random_bits, round_stochastic
from jaxtbe.reference.row_gradients import row_gradients

NUM_COMMON_HYPERS = 6
OFF = np.finfo(np.float32).max  # of a limit
_SHRINK = np.float32(2.0**-80)  # kNormShrink of csrc/common/math.h


def update(tables, states, hyper, noise, lookups, *, rule, duplicates, table_ids):
    new_tables, new_states = [], []
    for t, (table, state) in enumerate(zip(tables, states, strict=True)):
        rows, gradients = row_gradients(lookups, t, table.shape[0], table.shape[1], duplicates[t])
        table, state = _update_rows(
            table, state, rows, gradients, hyper[t], (noise[:2], noise[2 + t]), table_ids[t], rule
        )
        new_tables.append(table)
        new_states.append(state)
    return new_tables, new_states


def _update_rows(table, state, rows, g, hyper, noise, table_id, rule):
    lr, decay, l2, clip, max_norm, stochastic = (hyper[k] for k in range(NUM_COMMON_HYPERS))
    own = [hyper[k] for k in range(NUM_COMMON_HYPERS, hyper.shape[0])]
    safe = jnp.minimum(rows, table.shape[0] - 1)  # rows past the end are computed and then dropped
    w = table[safe].astype(jnp.float32)
    # A clip or decay that is off must not touch g: NaN rows may be overwritten, and inf * 0 is NaN.
    limited = jnp.where(g > clip, clip, jnp.where(g < -clip, -clip, g))
    g = jnp.where(clip >= OFF, g, limited)
    g = jnp.where(l2 != 0, g + l2 * w, g)
    old = [s[safe].astype(jnp.float32) for s in state]
    w, new = rule.reference(w, g, old, lr, decay, *own)
    w = _limit_norm(w, max_norm)
    rounded = w.astype(table.dtype)
    if table.dtype != jnp.float32:
        seed_and_step, first_row = noise
        bits = random_bits(seed_and_step, table_id, first_row + safe.astype(jnp.uint32), table.shape[1])
        rounded = jnp.where(stochastic != 0, round_stochastic(w, bits, table.dtype), rounded)
    table = table.at[rows].set(rounded, mode="drop")
    return table, [s.at[rows].set(n.astype(s.dtype), mode="drop") for s, n in zip(state, new, strict=True)]


def _limit_norm(w, max_norm):
    """Rows longer than `max_norm` scaled back to it, those included whose squares overflow."""
    norm = jnp.sqrt(jnp.sum(w * w, axis=1, keepdims=True))
    shrink = jnp.where(norm > OFF, _SHRINK, 1.0)
    shrunk = shrink * w
    scale = max_norm / jnp.where(norm > OFF, jnp.sqrt(jnp.sum(shrunk * shrunk, axis=1, keepdims=True)), norm)
    return jnp.where((norm > max_norm) & (max_norm < OFF), scale * shrunk, w)
