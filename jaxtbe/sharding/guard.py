"""Refuses what would gather a table: one that is split over devices, in a program that does not know it."""

import jax

from jaxtbe.errors import value_error


def refuse_split_table(api: str, name: str, array: jax.Array) -> None:
    """Raises if the array is known to be split over devices: outside of jit, and within where its mesh axes are explicit."""
    place = jax.typeof(array).sharding
    if not isinstance(array, jax.core.Tracer):
        place = getattr(array, "sharding", place)
    spec = getattr(place, "spec", None) or ()
    if any(axes not in (None, (), jax.sharding.PartitionSpec.UNCONSTRAINED) for axes in spec):
        raise value_error(
            api,
            f"table {name!r}",
            "a table on one device, or whole on each",
            f"one that is split over devices, {spec}",
            "Use the EmbeddingBags that EmbeddingBags.shard returned",
        )
