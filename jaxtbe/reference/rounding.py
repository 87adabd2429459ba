"""Rounding float32 to 16-bit tables, with the bits of csrc/common/rounding.h."""

import jax
import jax.numpy as jnp

_U32 = jnp.uint32


def mix32(x):
    x = x ^ (x >> 16)
    x = x * _U32(0x7FEB352D)
    x = x ^ (x >> 15)
    x = x * _U32(0x846CA68B)
    return x ^ (x >> 16)


def random_bits(seed_and_step, table_id, rows, dim):
    """u32[R, dim]: 16 random bits for each element of the rows u32[R]."""
    key = mix32(mix32(mix32(seed_and_step[0] ^ _U32(0x9E3779B9)) + seed_and_step[1]) ^ _U32(table_id))
    row_key = mix32(key + mix32(rows ^ _U32(0x85EBCA6B)))
    columns = jnp.arange(dim, dtype=_U32) * _U32(0x9E3779B9)
    return mix32(row_key[:, None] + columns[None]) >> 16


def round_stochastic(x, bits, dtype):
    """Rounds f32 to bfloat16 or float16 with the 16 random `bits` of each element; exact for
    representable values.
    """
    u = jax.lax.bitcast_convert_type(x, _U32)
    if dtype == jnp.bfloat16:
        up = ((u + bits) >> 16).astype(jnp.uint16)
        rounded = jax.lax.bitcast_convert_type(up, jnp.bfloat16)
        return jnp.where(jnp.isfinite(x), rounded, x.astype(jnp.bfloat16))
    magnitude = u & _U32(0x7FFFFFFF)
    exponent = magnitude >> 23
    normal = exponent >= 113
    mantissa = jnp.where(normal, magnitude - _U32(112 << 23), (magnitude & _U32(0x7FFFFF)) | _U32(0x800000))
    shift = jnp.where(normal, _U32(13), jnp.minimum(_U32(126) - exponent, _U32(31)))
    # The random bits, spread over the dropped ones.
    add = jnp.where(shift <= 16, bits >> (_U32(16) - jnp.minimum(shift, 16)), bits << (jnp.maximum(shift, 16) - 16))
    low = mantissa & ((_U32(1) << shift) - 1)
    rounded = jnp.minimum((mantissa >> shift) + ((low + add) >> shift), _U32(0x7C00))
    rounded = jnp.where(exponent < 95, _U32(0), rounded)
    sign = (u >> 16) & _U32(0x8000)
    half = jax.lax.bitcast_convert_type((sign | rounded).astype(jnp.uint16), jnp.float16)
    return jnp.where(jnp.isfinite(x), half, x.astype(jnp.float16))
