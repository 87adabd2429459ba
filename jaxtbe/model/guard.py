"""Rejects split tables in unsharded programs, which would gather them."""

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxtbe.ops.batching import refuse_tables
from jaxtbe.support.errors import value_error


def _refuse(obj: str, spec: Any) -> None:
    if any(axes not in (None, (), P.UNCONSTRAINED) for axes in spec or ()):
        raise value_error(
            "jaxtbe.EmbeddingBags",
            obj,
            "a table on one device, or whole on each",
            f"one that is split over devices, {spec}",
            "Use the EmbeddingBags that EmbeddingBags.shard returned",
        )


def refuse_split_table(name: str, array: jax.Array) -> None:
    """Raises if the array is known to be split over devices: outside of jit, and within where its
    mesh axes are explicit.
    """
    place = jax.typeof(array).sharding
    if not isinstance(array, jax.core.Tracer):
        place = getattr(array, "sharding", place)
    _refuse(f"table {name!r}", getattr(place, "spec", None))


@functools.cache
def _token_maker():
    from jax.experimental.custom_partitioning import custom_partitioning  # needed only where there are several devices

    @custom_partitioning
    def token(table):
        del table
        return jnp.zeros((1,), jnp.int32)

    def partition(mesh, args, result):
        del result
        place = args[0].sharding
        _refuse(f"table of shape {args[0].shape}", getattr(place, "spec", None))
        return mesh, lambda table: jnp.zeros((1,), jnp.int32), NamedSharding(mesh, P()), (place,)

    token.def_partition(
        partition=partition,
        infer_sharding_from_operands=lambda mesh, args, result: NamedSharding(mesh, P()),
        sharding_rule="rows columns -> one",
    )
    return token


def whole_token(tables: Iterable[jax.Array]) -> jax.Array | None:
    """i32[1], zero, or None: compiling what uses it fails if the compiler would split one of the
    tables.

    In automatic meshes, only the compiler knows where the arguments of a jitted function are
    placed.
    """
    axis_types = jax.sharding.get_abstract_mesh().axis_types
    if jax.device_count() == 1 or any(t != AxisType.Auto for t in axis_types):
        return None

    @custom_vmap
    def token(tables):
        return sum((_token_maker()(table) for table in tables), jnp.zeros((1,), jnp.int32))

    @token.def_vmap
    def rule(axis_size, mapped, tables):
        del axis_size, tables
        refuse_tables("jaxtbe.ops.lookup", mapped)

    return token(list(tables))
