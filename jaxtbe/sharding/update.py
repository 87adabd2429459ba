"""Updates over a mesh: each device changes its own rows, by the same code as a single device, from
a gradient it gathers.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxtbe.ops.targets.update import UpdateLookup
from jaxtbe.sharding.blocks import take_shares
from jaxtbe.sharding.placement import Sharding

_SMALL = 1024  # elements of a token that may travel to every device


def lookup_specs(sharding: Sharding, lookups: Sequence[UpdateLookup]) -> list[UpdateLookup]:
    """Batches are whole on every device; gradients of samples where the samples are."""
    return [dataclasses.replace(jax.tree.map(lambda _: P(), l), d_acts=sharding.split) for l in lookups]


def row_specs(sharding: Sharding, table: str, rows: int, tree: Any) -> Any:
    """Of arrays that belong to a table: those with its rows are placed as it is, the others are
    whole on every device.
    """
    return jax.tree.map(lambda x: sharding.spec_of(table) if jnp.shape(x)[:1] == (rows,) else P(), tree)


def token_spec(sharding: Sharding, token: jax.Array) -> P:
    """Tokens are ignored: large ones stay where the samples are, so that nothing travels for them."""
    shape = jnp.shape(token)
    large = len(shape) > 0 and jnp.size(token) > _SMALL and shape[0] % sharding.devices == 0
    return sharding.split if large else P()


def update_on_devices(
    sharding: Sharding,
    change: Callable,
    names: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    lookups: Sequence[UpdateLookup],
    arrays: Sequence[Any],
    tokens: Sequence[jax.Array] = (),
    more: Any = (),
) -> Any:
    """`change(lookups, arrays, tokens, more)` on each device, with its blocks and its share of the
    lookups.

    Args:
      sharding: of the tables.
      change: returns new arrays, in the structure of `arrays`.
      names, shapes: of the tables of the call, in its order.
      lookups: of the whole batch.
      arrays: for each table a pytree of arrays that belong to it: the table, its optimizer state.
      tokens: computed before the change.
      more: arrays that are whole on every device.
    """
    array_specs = [row_specs(sharding, n, r, of) for n, (r, _), of in zip(names, shapes, arrays, strict=True)]

    def on_device(arrays, lookups, tokens, more):
        shares = [share for lookup in lookups for share in take_shares(sharding, names, shapes, lookup)]
        return change(shares, arrays, tokens, more)

    return sharding.on_each_device(
        on_device,
        (array_specs, lookup_specs(sharding, lookups), [token_spec(sharding, t) for t in tokens], P()),
        array_specs,
        list(arrays),
        list(lookups),
        list(tokens),
        more,
    )


def local_shapes(sharding: Sharding, names: Sequence[str], shapes: Sequence[tuple[int, int]]):
    """On a device: the shapes of its blocks of some tables, and the first row of each."""
    split = [sharding.is_split(n) for n in names]
    local = tuple((r // sharding.devices if s else r, d) for s, (r, d) in zip(split, shapes, strict=True))
    return local, tuple(sharding.index() * r if s else 0 for s, (r, _) in zip(split, local, strict=True))


def sharded_square_norms(sharding: Sharding, square_norms: Callable, names, shapes, lookups) -> jax.Array:
    """f32[tables]: `square_norms(lookups, shapes)` of each device's rows, summed over the devices
    that split a table.
    """
    split = jnp.asarray([sharding.is_split(n) for n in names])

    def on_device(lookups):
        local, _ = local_shapes(sharding, names, shapes)
        shares = [share for lookup in lookups for share in take_shares(sharding, names, shapes, lookup)]
        norms = square_norms(shares, shapes=local)
        return jnp.where(split, jax.lax.psum(norms, sharding.axis), norms)

    return sharding.on_each_device(on_device, (lookup_specs(sharding, lookups),), P(), list(lookups))
