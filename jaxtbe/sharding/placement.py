"""`Sharding`: where tables are placed on a mesh, and how a function runs on each of its devices."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxtbe.model.placement import Placing
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.EmbeddingBags.shard"
PLACEMENTS = get_args(Placing)


@dataclasses.dataclass(frozen=True)
class Sharding:
    """Tables over a mesh: static, hashable, without arrays.

    Args:
      mesh: the devices.
      axis: the mesh axes that rows and samples are split over, in equal consecutive blocks. Along
        others all is replicated.
      replicated: names of the tables that every device holds whole.
      peer_capacity: (name, rows) of the tables whose rows travel by an all-to-all: how many, from
        one device to another.
    """

    mesh: Mesh
    axis: tuple[str, ...]
    replicated: tuple[str, ...] = ()
    peer_capacity: tuple[tuple[str, int], ...] = ()

    @property
    def devices(self) -> int:
        """How many parts rows and samples are split into."""
        return math.prod(self.mesh.shape[a] for a in self.axis)

    @property
    def split(self) -> P:
        """The partition of what is split: its first dimension, over `axis`."""
        return P(self.axis if len(self.axis) > 1 else self.axis[0])

    def is_split(self, table: str) -> bool:
        """Whether each device holds a block of the table's rows."""
        return table not in self.replicated

    def capacity_of(self, table: str) -> int | None:
        """The table's `peer_capacity`, or None: its sums travel, not its rows."""
        return dict(self.peer_capacity).get(table)

    def spec_of(self, table: str) -> P:
        return self.split if self.is_split(table) else P()

    def named(self, spec: P) -> NamedSharding:
        return NamedSharding(self.mesh, spec)

    def index(self) -> jax.Array:
        """i32[], on a device: which block it holds."""
        return jax.lax.axis_index(self.axis)

    def on_each_device(self, f: Callable, in_specs: Any, out_specs: Any, *args: Any) -> Any:
        """`f` on the blocks of each device, by `jax.shard_map`."""
        args = jax.tree.map(self._lay, in_specs, args, is_leaf=lambda x: isinstance(x, P))
        return jax.shard_map(f, mesh=self.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)(*args)

    def zeros(self, shape: tuple[int, ...], dtype: Any, spec: P) -> jax.Array:
        """Zeros placed as `spec` says, in any kind of mesh."""
        parts = self.devices if spec != P() else 1
        local = (shape[0] // parts, *shape[1:])
        return self.on_each_device(lambda: jnp.zeros(local, dtype), (), spec)

    def _lay(self, spec: P, tree: Any) -> Any:
        """In a mesh of explicit axes, arrays must be placed as they are asked for. In others,
        shard_map sees to it.
        """
        if AxisType.Explicit not in self.mesh.axis_types:
            return tree
        return jax.tree.map(lambda x: jax.sharding.reshard(x, self.named(spec)), tree)


Kind = TypeVar("Kind", bound=Sharding)


def make_sharding(cls: type[Kind], spec, mesh: Mesh, placements, axis, peer_capacity) -> Kind:
    """Checks that the tables of `spec` can be placed so."""
    if not isinstance(mesh, Mesh):
        raise type_error(API, "mesh", "a jax.sharding.Mesh", type(mesh).__name__, "Make one with jax.make_mesh")
    axes = tuple(mesh.axis_names) if axis is None else (axis,) if isinstance(axis, str) else tuple(axis)
    unknown = [a for a in axes if a not in mesh.axis_names]
    if unknown or not axes or len(set(axes)) < len(axes):
        got = str(unknown or axes)
        raise value_error(API, "axis", f"axes among {mesh.axis_names}", got, "Name axes of the mesh, each once")
    placements, peer_capacity = dict(placements or {}), dict(peer_capacity or {})
    for argument, by_table in (("placements", placements), ("peer_capacity", peer_capacity)):
        wrong = [name for name in by_table if name not in spec.tables_by_name]
        if wrong:
            raise value_error(API, argument, f"tables among {sorted(spec.tables_by_name)}", str(wrong), "Correct them")
    for name, placement in placements.items():
        if placement not in PLACEMENTS:
            raise value_error(
                API, f"table {name!r}", "'rows' or 'replicated'", repr(placement), "Choose one of the two"
            )
    replicated = tuple(sorted(n for n, p in placements.items() if p == "replicated"))
    _check_peer_capacity(peer_capacity, replicated)
    sharding = cls(mesh, axes, replicated, tuple(sorted(peer_capacity.items())))
    for table in spec.tables:
        if sharding.is_split(table.name):
            _check_table(table, sharding.devices)
    return sharding


def _check_peer_capacity(peer_capacity: dict[str, int], replicated: tuple[str, ...]) -> None:
    for name, rows in peer_capacity.items():
        obj = f"peer_capacity of table {name!r}"
        if isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows < 2**31:
            raise value_error(API, obj, "a positive number of rows", repr(rows), "Count them in a batch")
        if name in replicated:
            raise value_error(API, obj, "a table that is split", "a replicated one", "Leave one of the two out")


def _check_table(table, devices: int) -> None:
    obj, buckets = f"table {table.name!r}", 1 if table.zch is None else table.zch.buckets
    if table.rows % devices:
        rows = -(-table.rows // devices) * devices
        raise value_error(
            API,
            obj,
            f"rows that {devices} devices share evenly",
            str(table.rows),
            f"Use {rows}, or place it replicated",
        )
    if table.zch is not None and buckets % devices:
        raise value_error(
            API,
            obj,
            f"a number of buckets that {devices} devices divide",
            str(buckets),
            "Choose buckets that every device count divides, 64 for instance",
        )
