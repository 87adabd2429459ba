"""Calls that do not fit: one, two or three changes to the arrays and static arguments of a call that does."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

DTYPES = (
    np.float32,
    ml_dtypes.bfloat16,
    np.float16,
    np.int8,
    np.int32,
    np.uint32,
    np.int16,
    bool,
    np.uint8,
    np.complex64,
)
NUMBERS = (-(2**62), -(2**31), -2, -1, 0, 1, 2, 3, 2**31 - 1, 2**31, 2**32, 2**62)
WORDS = ("nonsense", None, 0)

Change = tuple[str, Callable[[Any], Any]]
"""What is changed, and the tree with the change."""


def changes(tree: Any, name: str = "") -> Iterator[Change]:
    """Every change of one place of a tree of arrays, numbers and words."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            for what, change in changes(value, f"{name}.{key}"):
                yield what, lambda t, key=key, change=change: {**t, key: change(t[key])}
    elif dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            for what, change in changes(getattr(tree, field.name), f"{name}.{field.name}"):
                yield (
                    what,
                    lambda t, f=field.name, change=change: dataclasses.replace(t, **{f: change(getattr(t, f))}),
                )
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            for what, change in changes(value, f"{name}[{i}]"):
                yield (
                    what,
                    lambda t, i=i, change=change: type(t)(
                        [*t[:i], *([change(t[i])] if i < len(t) else ()), *t[i + 1 :]]
                    ),
                )
        yield f"{name} without its last", lambda t: t[:-1]
        yield f"{name} with its last twice", lambda t: t + t[-1:]
        yield f"{name} empty", lambda t: t[:0]
    elif isinstance(tree, np.ndarray | np.generic):
        for what, change in array_changes(np.asarray(tree), name):
            yield what, lambda t, change=change: None if t is None else change(t)
    elif isinstance(tree, bool | str) or tree is None:
        yield from ((f"{name} = {w!r}", lambda t, w=w: w) for w in (*WORDS, not tree))
    elif isinstance(tree, int | float | np.integer):
        yield from ((f"{name} = {n}", lambda t, n=n: n) for n in NUMBERS)


def array_changes(array: np.ndarray, name: str) -> Iterator[Change]:
    """Other ranks, sizes and dtypes."""
    for axis, size in enumerate(array.shape):
        for new in {0, 1, size - 1, size + 1, 2 * size, 97 * size + 1}:
            if new != size and new >= 0:
                what = f"{name} of size {new} along {axis}"
                yield what, lambda t, axis=axis, new=new: resize(t, axis, new)
    yield f"{name} with one axis more", lambda t: np.asarray(t)[None]
    yield f"{name} with a last axis more", lambda t: np.asarray(t)[..., None]
    yield f"{name} flat", lambda t: np.ravel(t)
    yield f"{name} a scalar", lambda t: np.ravel(t)[:1].reshape(()) if np.size(t) else np.zeros((), np.asarray(t).dtype)
    yield f"{name} = None", lambda t: None
    for dtype in DTYPES:
        if array.dtype != dtype:
            yield f"{name} of {np.dtype(dtype).name}", lambda t, dtype=dtype: np.zeros(np.shape(t), dtype)


def resize(array: Any, axis: int, size: int) -> Any:
    """The array with another size along an axis, its numbers again and again."""
    array = np.asarray(array)
    if axis >= array.ndim:
        return array
    if array.shape[axis] == 0:
        return np.zeros(tuple(size if a == axis else n for a, n in enumerate(array.shape)), array.dtype)
    return np.take(array, np.arange(size) % array.shape[axis], axis)


def misfits(
    arrays: Any, static: dict[str, Any], rng: np.random.Generator, count: int
) -> Iterator[tuple[str, Any, Any]]:
    """`count` misfits: each single change in a random order, then two or three at once, for ever."""
    call = {"arrays": arrays, "static": static}
    every = list(changes(call))
    order = rng.permutation(len(every))
    for k in range(count):
        chosen = [order[k]] if k < len(order) else rng.choice(len(every), int(rng.integers(2, 4)), replace=False)
        whats, changed, failed = [], call, False
        for i in chosen:
            what, change = every[i]
            try:
                changed = change(changed)
            except (ValueError, TypeError, AttributeError, IndexError, KeyError):
                failed = True  # refused when it was made, or the place is gone
                break
            whats.append(what)
        if not failed:
            yield "; ".join(whats), changed["arrays"], changed["static"]
