"""Tables over a mesh of devices, by `jax.shard_map` and JAX's collectives."""

from jaxtbe.sharding.placement import Sharding as Sharding
