"""Moves tables between device counts, a bucket at a time: the same rows and the same results."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.zch.config import Zch, check_config
from jaxtbe.zch.state import ZchState, check_state


def shard_of(ids: np.ndarray, zch: Zch, devices: int) -> np.ndarray:
    """i64[N]: the device that holds the bucket of each id int64[N], of `devices` that share the
    buckets evenly.

    On its device the id is looked up with `shard_config(zch, devices)`.
    """
    _check_devices("jaxtbe.zch.shard_of", zch, devices)
    bucket = np.asarray(ids).astype(np.uint64) % np.uint64(zch.buckets)
    return (bucket // np.uint64(zch.buckets // devices)).astype(np.int64)


def shard_config(zch: Zch, devices: int) -> Zch:
    """The configuration of one device's part of a table: its share of the buckets, and all else the
    same.

    The buckets of a device are consecutive and their number divides that of the whole, so the
    bucket within the part is the id modulo the part's buckets.
    """
    _check_devices("jaxtbe.zch.shard_config", zch, devices)
    return dataclasses.replace(zch, buckets=zch.buckets // devices)


def reshard(
    states: Sequence[ZchState], params: Sequence[Any], from_devices: int, to_devices: int, *, zch: Zch
) -> tuple[list[ZchState], list[Any]]:
    """Moves a table from `from_devices` parts to `to_devices` parts.

    Parts hold consecutive rows; each has whole buckets. Every row keeps its number in the whole
    table, every id its row, and every further step its result.

    Args:
      states: for each device its part of the ZCH.
      params: for each device a pytree of arrays [rows/from_devices, ...]: its part of the table and
        of optimizer states.
      from_devices: how many parts there are; it divides `zch.buckets`.
      to_devices: how many there shall be; it divides `zch.buckets`.
      zch: the configuration of the whole table.

    Returns:
      States and params, `to_devices` of each, as NumPy arrays.

    Raises:
      ValueError: device counts that do not divide the buckets, or another number of parts.
    """
    api = "jaxtbe.zch.reshard"
    for devices in (from_devices, to_devices):
        _check_devices(api, zch, devices)
    for name, parts in (("states", states), ("params", params)):
        check_type(api, name, parts, (list, tuple), "a list", "Pass a list with one for each device")
        if len(parts) != from_devices:
            raise value_error(api, name, f"{from_devices} parts", str(len(parts)), "Pass one for each device")

    for state in states:
        check_state(api, shard_config(zch, from_devices), state)
    slots = states[0].identities.shape[0]
    for leaf in jax.tree.leaves(params):
        check_array(api, "params", leaf, f"arrays of {slots} rows")
        if tuple(leaf.shape[:1]) != (slots,):
            raise value_error(api, "params", f"arrays of {slots} rows", f"shape {leaf.shape}", "Pass a part of each")

    def move(*parts):
        whole = np.concatenate([np.asarray(p) for p in parts])
        return np.split(whole, to_devices)

    new_params = _move_trees(move, params, to_devices)
    per_slot = [(s.identities, s.last_seen, s.counts) for s in states]
    new_states = []
    for identities, last_seen, counts in _move_trees(move, per_slot, to_devices):
        held = np.int32((identities != 0xFFFFFFFF).any(axis=1).sum())
        new_states.append(ZchState(identities, last_seen, counts, np.asarray(held), states[0].now))
    return new_states, new_params


def _move_trees(move, trees: Sequence[Any], to_devices: int) -> list[Any]:
    leaves, structures = zip(*(jax.tree.flatten(t) for t in trees), strict=True)
    moved = [move(*parts) for parts in zip(*leaves, strict=True)]
    return [jax.tree.unflatten(structures[0], [leaf[d] for leaf in moved]) for d in range(to_devices)]


def _check_devices(api: str, zch: Zch, devices: int) -> None:
    check_config(api, zch)
    if isinstance(devices, bool) or not isinstance(devices, (int, np.integer)):
        raise type_error(api, "devices", "a whole number", repr(devices), "Pass an int")
    if devices < 1 or zch.buckets % devices:
        raise value_error(
            api,
            "devices",
            f"a number that divides the {zch.buckets} buckets",
            str(devices),
            "Choose buckets that every device count divides, 64 for instance",
        )
