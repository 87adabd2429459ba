"""64-bit numbers as pairs of 32-bit words, so that they work in JAX's 32-bit mode; and the hash of
raw ids.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_U32 = jnp.uint32


class Word64(NamedTuple):
    """An unsigned 64-bit number, or an array of them."""

    low: jax.Array
    high: jax.Array


def _constant(value: int) -> Word64:
    return Word64(_U32(value & 0xFFFFFFFF), _U32(value >> 32))


def _add(a: Word64, b: Word64) -> Word64:
    low = a.low + b.low
    return Word64(low, a.high + b.high + (low < a.low).astype(_U32))


def _xor(a: Word64, b: Word64) -> Word64:
    return Word64(a.low ^ b.low, a.high ^ b.high)


def _multiply_32(a, b) -> Word64:
    """The whole product of two 32-bit numbers, by their 16-bit halves."""
    a0, a1, b0, b1 = a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16
    middle = a1 * b0 + (a0 * b0 >> 16)  # under 2**32
    other = a0 * b1 + (middle & 0xFFFF)
    return Word64(a * b, a1 * b1 + (middle >> 16) + (other >> 16))


def _multiply(a: Word64, b: Word64) -> Word64:
    product = _multiply_32(a.low, b.low)
    return Word64(product.low, product.high + a.low * b.high + a.high * b.low)


def _rotate_left(a: Word64, bits: int) -> Word64:
    """By fewer than 32 bits."""
    return Word64(a.low << bits | a.high >> (32 - bits), a.high << bits | a.low >> (32 - bits))


def _shift_right_33(a: Word64) -> Word64:
    return Word64(a.high >> 1, jnp.zeros_like(a.high))


def _avalanche(a: Word64) -> Word64:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        a = _multiply(_xor(a, _shift_right_33(a)), _constant(factor))
    return _xor(a, _shift_right_33(a))


def zch_hash(ids: Word64) -> Word64:
    """MurmurHash3 x64-128 of (id, 0) with seed 0, its halves XORed."""
    length = _constant(16)
    low = _multiply(_rotate_left(_multiply(ids, _constant(0x87C37B91114253D5)), 31), _constant(0x4CF5AD432745937F))
    low = _add(_multiply(_rotate_left(low, 27), _constant(5)), _constant(0x52DCE729))
    high = _add(_multiply(low, _constant(5)), _constant(0x38495AB5))
    low, high = _xor(low, length), _xor(high, length)
    low = _add(low, high)
    high = _add(high, low)
    low, high = _avalanche(low), _avalanche(high)
    low = _add(low, high)
    return _xor(low, _add(high, low))


def remainder(a: Word64, divisor: int) -> jax.Array:
    """i32: a mod divisor, for a divisor under 2**31, by long division."""

    def one_bit(k, rest):
        k = jnp.asarray(k, _U32)  # an int where jit is disabled
        word = jnp.where(k < 32, a.high, a.low)
        rest = rest << 1 | (word >> (_U32(31) - k % 32)) & 1
        return jnp.where(rest >= divisor, rest - _U32(divisor), rest)

    return jax.lax.fori_loop(0, 64, one_bit, jnp.zeros_like(a.low)).astype(jnp.int32)
