"""Resets evicted rows over a mesh: each device resets what it evicted itself."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxtbe.sharding.placement import Sharding
from jaxtbe.sharding.update import row_specs


def on_evicted_rows(sharding: Sharding, table, reset: Callable, arrays: Any, report, more: Any) -> Any:
    """`reset(arrays, evicted, evicted_ids, more)`, which returns new arrays, on each device.

    Args:
      sharding: of the table.
      table: its `Table`.
      reset: the change.
      arrays: a pytree of arrays that belong to the table.
      report: of the remap.
      more: arrays that are whole on every device.
    """

    def on_device(arrays, evicted, ids, more):
        if sharding.is_split(table.name):
            first = sharding.index() * (table.rows // sharding.devices)
            evicted = jnp.where(evicted >= 0, evicted - first, -1)
        return reset(arrays, evicted, ids, more)

    array_specs, evicted_spec = row_specs(sharding, table.name, table.rows, arrays), sharding.spec_of(table.name)
    in_specs = array_specs, evicted_spec, evicted_spec, P()
    return sharding.on_each_device(on_device, in_specs, array_specs, arrays, report.evicted, report.evicted_ids, more)
