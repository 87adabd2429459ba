"""Creates tables and states in place: no device ever holds more than its part."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxtbe.model.table import Table, uniform_block, uniform_initializer, uniform_rows
from jaxtbe.sharding.placement import Sharding


def init_table(sharding: Sharding, table: Table, key: jax.Array) -> jax.Array:
    """The table's initial value, the same as on one device."""
    table.check_key(key)
    # Without its name, so that tables of one shape and placement share a program.
    described = dataclasses.replace(table, name="table", zch=None)
    data = jax.device_put(jax.random.key_data(key), sharding.named(P()))
    return _maker(sharding, described, sharding.is_split(table.name), jax.random.key_impl(key))(data)


@functools.lru_cache(maxsize=1024)
def _maker(sharding: Sharding, table: Table, split: bool, impl: Any) -> Any:
    """The jitted function from the data of a key to a table, compiled once however often it is
    asked for.
    """
    place = sharding.named(sharding.split if split else P())
    if table.initializer is not None or not split:
        return jax.jit(lambda data: table.init(jax.random.wrap_key_data(data, impl=impl)), out_shardings=place)
    block = table.rows // sharding.devices

    def on_device(data):
        key = jax.random.wrap_key_data(data, impl=impl)
        return _uniform_part(key, table, sharding.index() * block, block)

    make = jax.shard_map(on_device, mesh=sharding.mesh, in_specs=P(), out_specs=sharding.split, check_vma=False)
    return jax.jit(make, out_shardings=place)


def _uniform_part(key: jax.Array, table: Table, first: jax.Array, rows: int) -> jax.Array:
    """Rows [first, first + rows) of `uniform_initializer`, block by block."""
    whole = (table.rows, table.dim)
    block = uniform_block(table.dim)
    if table.rows <= block:
        return jax.lax.dynamic_slice_in_dim(uniform_initializer(key, whole, table.dtype), first, rows)
    window = min(block, rows)
    last = -(-table.rows // block) - 1

    def fill(k, part):
        number = jnp.minimum(first // block + k, last)
        start, values = uniform_rows(key, number, whole, table.dtype)
        at = jnp.clip(start - first, 0, rows - window)
        old = jax.lax.dynamic_slice_in_dim(part, at, window)
        source = first + at + jnp.arange(window) - start
        inside = (source >= 0) & (source < block)
        new = jnp.where(inside[:, None], values[jnp.clip(source, 0, block - 1)], old)
        return jax.lax.dynamic_update_slice_in_dim(part, new, at, 0)

    return jax.lax.fori_loop(0, -(-rows // block) + 2, fill, jnp.zeros((rows, table.dim), table.dtype))
