"""What `jax.vmap` does to the ops: mapped batches fold into the bags of one call, and what changes
tables refuses.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxtbe.batch.positions import rising
from jaxtbe.support.errors import value_error


class FoldedIds(NamedTuple):
    """V batches of F features as one batch of V*F features."""

    ids: jax.Array
    offsets: jax.Array


def spread(mapped: bool, axis_size: int, array: jax.Array) -> jax.Array:
    """The array with the mapped axis in front, whether it has one yet or not."""
    return array if mapped else jnp.broadcast_to(array, (axis_size, *array.shape))


def fold_ids(axis_size: int, mapped: tuple[bool, bool], ids: jax.Array, offsets: jax.Array) -> FoldedIds:
    """Lays the ids of mapped batches side by side.

    Args:
      axis_size: V, how many batches.
      mapped: whether the ids, and whether the offsets, have a mapped axis.
      ids: [N] or [N, 2] each; all ones mean "no id".
      offsets: i32[F*B+1] each.

    Returns:
      The ids [V*N] or [V*N, 2], positions outside every bag emptied, since they fall into the bag
      before them; and the offsets i32[V*F*B+1].
    """
    ids, offsets = spread(mapped[0], axis_size, ids), spread(mapped[1], axis_size, offsets)
    length = ids.shape[1]
    offsets = rising(offsets, length)
    place = jnp.arange(length, dtype=jnp.int32)
    outside = (place[None] < offsets[:, :1]) | (place[None] >= offsets[:, -1:])
    no_id = jnp.asarray(-1).astype(ids.dtype)
    ids = jnp.where(outside.reshape(outside.shape + (1,) * (ids.ndim - 2)), no_id, ids)
    starts = offsets[:, :-1] + length * jnp.arange(axis_size, dtype=jnp.int32)[:, None]
    end = jnp.full((1,), axis_size * length, jnp.int32)
    return FoldedIds(ids.reshape(-1, *ids.shape[2:]), jnp.concatenate([starts.reshape(-1), end]))


def refuse_tables(api: str, mapped: Any) -> None:
    """Raises if a table has a mapped axis: folding would need as many tables as batches."""
    if any(jax.tree.leaves(mapped)):
        raise value_error(
            api,
            "tables under jax.vmap",
            "one set of tables for all mapped batches",
            "tables with a mapped axis",
            "Map over the batches alone, with in_axes=None for the parameters",
        )


def not_mapped(api: str, call: Callable, *args: Any, obj: str = "operands under jax.vmap") -> Any:
    """`call(*args)`, which refuses `jax.vmap`: it changes arrays in place, and one array has one
    next value.
    """
    wrapped = custom_vmap(call)

    @wrapped.def_vmap
    def rule(axis_size, mapped, *mapped_args):
        raise value_error(
            api,
            obj,
            "a call outside jax.vmap",
            f"one mapped over {axis_size}",
            "Put the batches into one, or run the steps one after another with jax.lax.scan",
        )

    return wrapped(*args)
