"""Tables over a mesh of devices, by `jax.shard_map` and JAX's collectives."""

from jaxtbe.lazy import lazy_names
from jaxtbe.sharding.placement import Sharding as Sharding
from jaxtbe.sharding.step_bytes import StepBytes as StepBytes
from jaxtbe.sharding.step_bytes import step_bytes as step_bytes

__getattr__, __dir__ = lazy_names(__name__, {})
