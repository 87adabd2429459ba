"""The memory that a native call works in."""

import jax
import jax.numpy as jnp

from jaxtbe import _native


def scratch(*offsets: jax.Array, rest: int = 0) -> jax.ShapeDtypeStruct:
    """A result of the call: memory that a CUDA graph may keep between replays.

    Args:
      offsets: all that the call reads, which are mended in it where they fall.
      rest: bytes that the call needs beside.
    """
    return jax.ShapeDtypeStruct((_native.offsets_scratch_bytes(*(o.shape[0] for o in offsets)) + rest,), jnp.uint8)
