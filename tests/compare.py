"""Comparisons whose failure says which number is wrong."""

import jax.numpy as jnp
import numpy as np


def assert_within(got, want, allowed, what: str) -> None:
    """Every |got - want| is at most `allowed` (a number or an array); NaN equals NaN."""
    got = np.asarray(got)
    want = np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{what}: expected shape {want.shape}, got {got.shape}"
    exact = got.astype(np.float64)
    allowed = np.broadcast_to(np.asarray(allowed, np.float64), want.shape)
    with np.errstate(invalid="ignore"):
        wrong = ~((np.abs(exact - want) <= allowed) | (exact == want) | (np.isnan(exact) & np.isnan(want)))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{what}: {wrong.sum()} of {wrong.size} numbers are wrong, the first at {at}: "
            f"expected {want[at]!r}, got {exact[at]!r}, off by {exact[at] - want[at]:.3g}, allowed {allowed[at]:.3g}"
        )


def assert_same_bits(got, want, what: str) -> None:
    """Bit for bit the same array; any NaN equals any NaN."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype, f"{what}: expected dtype {want.dtype}, got {got.dtype}"
    assert got.shape == want.shape, f"{what}: expected shape {want.shape}, got {got.shape}"
    bits = f"u{got.dtype.itemsize}"
    same = (got.view(bits) == want.view(bits)) | (np.isnan(got) & np.isnan(want))
    if not same.all():
        at = tuple(int(i) for i in np.argwhere(~same)[0])
        raise AssertionError(
            f"{what}: {(~same).sum()} of {same.size} numbers differ, the first at {at}: "
            f"expected {want[at]!r} ({want.view(bits)[at]:#x}), got {got[at]!r} ({got.view(bits)[at]:#x})"
        )


def rounding(want: np.ndarray, dtype) -> np.ndarray:
    """How far one rounding to nearest may move each number of `want`: half the gap between neighbours in `dtype`."""
    info = jnp.finfo(dtype)
    _, exponent = np.frexp(np.abs(np.asarray(want, np.float64)))
    exponent = np.maximum(exponent - 1, int(info.minexp))
    return np.ldexp(0.5, exponent - int(info.nmant))


def assert_updated(got, want, before, what: str) -> None:
    """A table after an update: float32 arithmetic relative to the numbers' size, then one rounding to its dtype."""
    before = np.abs(np.asarray(before).astype(np.float64))
    allowed = 1e-5 * np.maximum(np.abs(want), before)
    if np.asarray(got).dtype.itemsize == 2:
        allowed = allowed + rounding(want, got.dtype)
    assert_within(got, want, allowed, what)
