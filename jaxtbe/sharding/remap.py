"""Hashed tables over a mesh: each device serves the ids of its own buckets, by the same code as a
single device.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxtbe import zch
from jaxtbe.batch.word64 import Word64, remainder
from jaxtbe.ops.zch_codes import COUNTERS
from jaxtbe.sharding.placement import Sharding

_OCCUPANCY = COUNTERS.index("occupancy")


def _own_ids(sharding: Sharding, config: zch.Zch, ids: jax.Array) -> jax.Array:
    """u32[N, 2]: the ids whose buckets a device holds, -1 in place of others."""
    bucket = remainder(Word64(ids[:, 0], ids[:, 1]), config.buckets)
    mine = bucket // (config.buckets // sharding.devices) == sharding.index()
    return jnp.where(mine[:, None], ids, jnp.uint32(0xFFFFFFFF))


def _whole_rows(sharding: Sharding, rows: jax.Array, slots: int) -> jax.Array:
    """i32[N]: each position has a row on at most one device, which all get to know, counted in the
    whole table.
    """
    return jax.lax.pmax(jnp.where(rows >= 0, rows + sharding.index() * slots, -1), sharding.axis)


def _state_specs(sharding: Sharding, state: zch.ZchState) -> zch.ZchState:
    specs = jax.tree.map(lambda _: sharding.split, state)
    return dataclasses.replace(specs, occupancy=P(), now=None if state.now is None else P())


def _report_specs(sharding: Sharding, state: zch.ZchState) -> zch.ZchReport:
    """What a device evicted stays with it; the rest is of the whole table."""
    return zch.ZchReport(P(), sharding.split, sharding.split, P(), P(), None if state.now is None else P())


def sharded_remap(sharding: Sharding, state: zch.ZchState, ids, offsets, *, zch_config: zch.Zch, **options: Any):
    """`jaxtbe.zch.remap` of a table whose buckets are split over devices."""
    local_config = zch.shard_config(zch_config, sharding.devices)
    static = {k: options.pop(k) for k in ("access", "implementation")}

    def on_device(state, ids, offsets, operands):
        own = _own_ids(sharding, zch_config, ids)
        new, rows, report = zch.remap(state, own, offsets, zch=local_config, **static, **operands)
        slots = state.rows
        occupancy = state.occupancy + jax.lax.psum(new.occupancy - state.occupancy, sharding.axis)
        counters = jax.lax.psum(report.counters, sharding.axis).at[_OCCUPANCY].set(occupancy)
        evicted = jnp.where(report.evicted >= 0, report.evicted + sharding.index() * slots, -1)
        status = jax.lax.pmax(report.status.astype(jnp.int32), sharding.axis).astype(jnp.int8)
        age = jax.lax.psum(report.evicted_age, sharding.axis)
        new = dataclasses.replace(new, occupancy=occupancy)
        report = zch.ZchReport(status, evicted, report.evicted_ids, counters, age, report.now_fell)
        return new, _whole_rows(sharding, rows, slots), report

    states = _state_specs(sharding, state)
    operands = {k: jnp.asarray(v) for k, v in options.items() if v is not None}
    out_specs = states, P(), _report_specs(sharding, state)
    return sharding.on_each_device(on_device, (states, P(), P(), P()), out_specs, state, ids, offsets, operands)


def sharded_find(sharding: Sharding, state: zch.ZchState, ids, offsets, *, zch_config: zch.Zch, access, implementation):
    """`jaxtbe.zch.find` of a table whose buckets are split over devices: rows i32[N] and status
    i8[N].
    """
    local_config = zch.shard_config(zch_config, sharding.devices)

    def on_device(state, ids, offsets):
        own = _own_ids(sharding, zch_config, ids)
        rows, status = zch.find(state, own, offsets, zch=local_config, access=access, implementation=implementation)
        status = jax.lax.pmax(status.astype(jnp.int32), sharding.axis).astype(jnp.int8)
        return _whole_rows(sharding, rows, state.rows), status

    in_specs = _state_specs(sharding, state), P(), P()
    return sharding.on_each_device(on_device, in_specs, (P(), P()), state, ids, offsets)
