"""Tables over a mesh of devices, by `jax.shard_map` and JAX's collectives."""

from jaxtbe.sharding.placement import Sharding as Sharding
from jaxtbe.sharding.traffic import StepBytes as StepBytes
from jaxtbe.sharding.traffic import step_bytes as step_bytes
from jaxtbe.support.lazy_names import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {})
