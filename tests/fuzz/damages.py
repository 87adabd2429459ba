"""Damages of any argument of a call: of its arrays, its numbers and words, and of the trees that hold them."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from misfits import NUMBERS, Change, array_changes

from jaxtbe.autodiff.opaque import is_sealed, seal, unseal
from jaxtbe.model.spec import Spec

WHOLES = {"None": None, "3": 3, "a word": "nonsense", "()": (), "[2.5]": [2.5], "{}": {}, "an object": object()}
NUMBERS = (*NUMBERS, 2.5, float("nan"), float("inf"))
EXTREMES = {"iu": (-(2**31), -1, 2**31 - 1), "f": (np.nan, np.inf, -np.inf, 3e38, -1e-40), "b": (True, False)}


@dataclasses.dataclass(frozen=True)
class Fixed:
    """An argument that is left as it is."""

    value: Any


class Small(int):
    """A number that sizes memory: no damage makes it large."""


def damages(tree: Any, name: str = "") -> Iterator[Change]:
    """What can be changed in one place of a tree, and a function that changes it. Dataclasses change without their own checks, as
    `jax.tree.map` changes them."""
    if isinstance(tree, Fixed):
        return
    if isinstance(tree, Spec):  # no one but the library makes it
        yield f"{name} of fewer features", lambda t: dataclasses.replace(t, features=t.features[:1])
        yield f"{name} of other tables", lambda t: dataclasses.replace(t, tables=tuple(map(_longer, t.tables)))
        return
    yield from ((f"{name} = {text}", lambda t, w=w: w) for text, w in WHOLES.items())
    if isinstance(tree, Mapping):
        yield from _of_mapping(tree, name)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = [f.name for f in dataclasses.fields(tree)]
        yield from _of_parts(name, {f".{f}": f for f in fields}, lambda t, f: getattr(t, f), _with_field, tree)
    elif isinstance(tree, list | tuple):
        yield from _of_parts(
            name, {f"[{i}]": i for i in range(len(tree))}, lambda t, i: list(t)[i], _with_element, tree
        )
        if not hasattr(tree, "_fields"):
            yield f"{name} without its last", lambda t: t[:-1]
            yield f"{name} with its last twice", lambda t: t + t[-1:]
    elif is_sealed(tree):
        yield from _of_sealed(tree, name)
    elif isinstance(tree, jax.Array | np.ndarray | np.generic):
        yield from _of_array(tree, name)
    elif isinstance(tree, bool | int | float) or tree is None:
        numbers = [n for n in (*NUMBERS, True, False) if not isinstance(tree, Small) or n < 1000]
        yield from ((f"{name} = {n}", lambda t, n=n: n) for n in numbers)
        yield f"{name} an array", lambda t: jnp.zeros((2, 3))
        yield f"{name} a NumPy number", lambda t: np.int64(2)
        yield f"{name} an array of one number", lambda t: jnp.ones(())
    elif isinstance(tree, str):
        yield f"{name} empty", lambda t: ""
    elif callable(tree):
        yield f"{name} gives None", lambda t: lambda *args, **kwargs: None
        yield f"{name} gives a word", lambda t: lambda *args, **kwargs: "nonsense"
        yield f"{name} takes nothing", lambda t: lambda: None


def _longer(table: Any) -> Any:
    return dataclasses.replace(table, rows=table.rows + 1)


def _of_parts(name: str, places: dict[str, Any], get, put, tree: Any) -> Iterator[Change]:
    """Of each part, and two of them in each other's place."""
    for text, place in places.items():
        for what, change in damages(get(tree, place), name + text):
            yield what, lambda t, p=place, change=change: put(t, p, change(get(t, p)))
    listed = list(places.items())
    for (text, a), (other, b) in itertools.pairwise(listed):
        if not any(isinstance(get(tree, x), Fixed) for x in (a, b)):
            yield f"{name}{text} and {other} swapped", lambda t, a=a, b=b: put(put(t, a, get(t, b)), b, get(t, a))


def _of_mapping(tree: Mapping, name: str) -> Iterator[Change]:
    yield from _of_parts(name, {f".{k}": k for k in tree}, lambda t, k: t[k], lambda t, k, x: {**t, k: x}, tree)
    for key in tree:
        yield f"{name} without {key}", lambda t, key=key: {k: x for k, x in t.items() if k != key}
        yield (
            f"{name}.{key} under another name",
            lambda t, key=key: {"other" if k == key else k: x for k, x in t.items()},
        )
    yield f"{name} with one more", lambda t: {**t, "more": next(iter(t.values()))}


def _with_field(tree: Any, field: str, value: Any) -> Any:
    changed = copy.copy(tree)
    object.__setattr__(changed, field, value)
    return changed


def _with_element(tree: Any, i: int, value: Any) -> Any:
    parts = [*list(tree)[:i], value, *list(tree)[i + 1 :]]
    return tree._replace(**{tree._fields[i]: value}) if hasattr(tree, "_fields") else type(tree)(parts)


def _of_array(array: Any, name: str) -> Iterator[Change]:
    """Of a JAX or NumPy array, or a NumPy number: other shapes, dtypes and values, and what is no array."""
    if isinstance(array, jax.Array) and jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        yield f"{name} its numbers", lambda t: jax.random.key_data(t)
        yield f"{name} of two", lambda t: jax.random.split(t, 2)
        return
    plain = np.asarray(array)
    back = jnp.asarray if isinstance(array, jax.Array) else np.asarray
    for what, change in array_changes(plain, name):
        if not what.endswith("None"):
            yield what, lambda t, change=change: back(change(np.asarray(t)))
    for value in next((v for kinds, v in EXTREMES.items() if plain.dtype.kind in kinds), EXTREMES["f"]):
        yield f"{name} all {value}", lambda t, v=value: back(_full(t, v))
        yield f"{name} with a {value}", lambda t, v=value: back(_full(t, v, one=True))
    yield f"{name} reversed", lambda t: back(np.asarray(t)[::-1] if np.ndim(t) else t)
    yield f"{name} of NumPy", np.asarray
    yield f"{name} of int64", lambda t: np.zeros(np.shape(t), np.int64)
    yield f"{name} of float64", lambda t: np.zeros(np.shape(t), np.float64)
    yield f"{name} of words", lambda t: np.full(np.shape(t), "x")
    yield f"{name} of objects", lambda t: np.full(np.shape(t), None)
    yield f"{name} a list", lambda t: np.asarray(t).tolist()
    yield f"{name} its shape", lambda t: jax.ShapeDtypeStruct(np.shape(t), np.asarray(t).dtype)
    yield f"{name} a random key", lambda t: jax.random.key(0)


def _full(array: Any, value: Any, one: bool = False) -> np.ndarray:
    array = np.array(array)
    with np.errstate(all="ignore"):
        filled = np.full(array.shape, value).astype(array.dtype)
    if one and array.size:
        array.reshape(-1)[array.size // 2] = filled.reshape(-1)[0]
        return array
    return filled


def _of_sealed(array: Any, name: str) -> Iterator[Change]:
    """Of what a sparse gradient keeps from arithmetic: its numbers changed and sealed again, or not sealed any more."""

    def opened(x):
        return np.asarray(unseal(x, jnp.int32))

    for what, change in _of_array(jnp.asarray(opened(array)), name):
        if any(word in what for word in (" size ", "axis", "flat", "scalar", " all ", " with a ", "reversed")):
            yield what, lambda t, change=change: seal(jnp.asarray(change(opened(t)), jnp.int32))
    yield f"{name} opened", opened
    yield f"{name} a random key", lambda t: jax.random.split(jax.random.key(0), np.shape(t))


def damaged(arguments: dict[str, Any], rng: np.random.Generator, count: int) -> Iterator[tuple[str, list[Change]]]:
    """`count` damages: each single one in a random order, then two or three at once, for ever."""
    every = list(_of_parts("", {k: k for k in arguments}, lambda t, k: t[k], lambda t, k, x: {**t, k: x}, arguments))
    order = rng.permutation(len(every))
    for k in range(count):
        chosen = [order[k]] if k < len(order) else rng.choice(len(every), int(rng.integers(2, 4)), replace=False)
        yield "; ".join(every[i][0] for i in chosen), [every[i] for i in chosen]


def apply(changes: list[Change], arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments with the changes; None where one of them undid the place of another."""
    for _, change in changes:
        try:
            arguments = change(arguments)
        except (ValueError, TypeError, AttributeError, IndexError, KeyError):
            return None
    return {name: _plain(x) for name, x in arguments.items()}


def _plain(argument: Any) -> Any:
    if isinstance(argument, Fixed):
        return argument.value
    return int(argument) if isinstance(argument, Small) else argument
