"""Raw ids: 64-bit numbers as pairs of 32-bit words, for JAX's default 32-bit mode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.support.arguments import check_array
from jaxtbe.support.errors import type_error, value_error

OVERFLOW = 2**31 - 2  # below zch.rows.TOO_LARGE
"""Takes the place of an id whose row finds no room in its table's `peer_capacity`: a fault, which lookups count."""


def pack_ids(ids: np.ndarray) -> np.ndarray:
    """Views int64 ids as uint32[N, 2], the low word first. Nothing is copied if they are
    contiguous.

    Args:
      ids: int64[N] or uint64[N] NumPy array. -1 means "no id".

    Returns:
      uint32[N, 2].

    Raises:
      TypeError: another dtype.
      ValueError: not one-dimensional.
    """
    ids = np.asarray(ids)
    if ids.dtype not in (np.dtype(np.int64), np.dtype(np.uint64)):
        raise type_error(
            "jaxtbe.pack_ids", "ids", "int64 or uint64", ids.dtype.name, "Convert them with .astype(np.int64)"
        )
    if ids.ndim != 1:
        raise value_error("jaxtbe.pack_ids", "ids", "one dimension", f"shape {ids.shape}", "Flatten them first")
    return np.ascontiguousarray(ids).astype("<i8", copy=False).view("<u4").reshape(-1, 2)


def unpack_ids(packed: np.ndarray) -> np.ndarray:
    """The int64[N] behind uint32[N, 2], the inverse of `pack_ids`."""
    packed = np.ascontiguousarray(packed)
    if packed.dtype != np.uint32 or packed.ndim != 2 or packed.shape[1] != 2:
        got = f"{packed.dtype.name}{list(packed.shape)}"
        raise type_error("jaxtbe.unpack_ids", "packed ids", "uint32[N, 2]", got, "Pass what pack_ids returned")
    return packed.view("<i8").reshape(-1)


def id_words(ids: Any, api: str) -> Any:
    """Raw ids as uint32[N, 2], inside or outside of jit.

    Args:
      ids: uint32[N, 2], or int64[N] as a device array (which needs JAX's x64 mode).
      api: the function that speaks in errors.

    Raises:
      TypeError: int64 NumPy ids, which JAX would cut to 32 bits without a word, or another dtype or
        shape.
    """
    check_array(api, "ids", ids, "an array u32[N, 2]")
    dtype, shape = str(ids.dtype), tuple(ids.shape)
    if dtype == "uint32" and len(shape) == 2 and shape[1] == 2:
        return ids
    if dtype in ("int64", "uint64") and isinstance(ids, np.ndarray):
        remedy = "Pass jaxtbe.pack_ids(ids): JAX would silently cut them to 32 bits"
        raise type_error(api, "ids", "uint32[N, 2] or an int64 device array", f"a NumPy array of {dtype}", remedy)
    if dtype in ("int64", "uint64") and len(shape) == 1:
        return jax.lax.bitcast_convert_type(ids, jnp.uint32)
    got = f"{dtype}{list(shape)}"
    raise type_error(api, "ids", "uint32[N, 2]", got, "Pass jaxtbe.pack_ids(ids) of int64 NumPy ids")
