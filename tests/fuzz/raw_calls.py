"""FFI calls as the ops make them, and the same with changes that no check in Python sees."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from entries import ENTRIES
from misfits import changes


@dataclasses.dataclass
class RawCall:
    """One FFI call: its target, and what it is called with. Results stand as arrays, so that the same changes apply."""

    target: str
    results: list[np.ndarray]
    operands: list[np.ndarray]
    attributes: dict[str, Any]
    aliases: dict[int, int]

    def run(self) -> Any:
        """The results, computed, or an exception of JAX."""
        aliases = {i: o for i, o in self.aliases.items() if _alike(self.operands, i, self.results, o)}
        shapes = [jax.ShapeDtypeStruct(r.shape, r.dtype) for r in map(np.asarray, self.results)]
        call = jax.ffi.ffi_call(self.target, shapes, input_output_aliases=aliases)
        attributes = {k: np.asarray(v, np.int64) if isinstance(v, list) else v for k, v in self.attributes.items()}
        return jax.block_until_ready(call(*map(jnp.asarray, self.operands), **attributes))


def _alike(operands, i: int, results, o: int) -> bool:
    if i >= len(operands) or o >= len(results):
        return False
    operand, result = np.asarray(operands[i]), np.asarray(results[o])
    return operand.shape == result.shape and operand.dtype == result.dtype


def record(name: str, rng: np.random.Generator) -> RawCall:
    """The FFI call that an op makes, with operands of the same shapes and dtypes and any values."""
    made: list[RawCall] = []
    original = jax.ffi.ffi_call

    def recording(target, results, *, input_output_aliases=None, **options):
        call = original(target, results, input_output_aliases=input_output_aliases, **options)

        def recorded(*operands, **attributes):
            shapes = results if isinstance(results, list | tuple) else [results]
            lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in attributes.items()}
            made.append(
                RawCall(
                    target,
                    [np.zeros(r.shape, r.dtype) for r in shapes],
                    [_values(x, rng) for x in operands],
                    lists,
                    dict(input_output_aliases or {}),
                )
            )
            return call(*operands, **attributes)

        return recorded

    entry = ENTRIES[name]
    arrays = entry.arrays(rng)
    jax.ffi.ffi_call = recording
    try:
        jax.eval_shape(lambda a: entry.call(a, **entry.static, implementation="native"), arrays)
    finally:
        jax.ffi.ffi_call = original
    return made[0]


def _values(like, rng) -> np.ndarray:
    dtype = np.dtype(like.dtype)
    if dtype.kind in "iub":
        values = np.asarray(rng.integers(0 if dtype.kind != "i" else -1, 2 if dtype.kind == "b" else 12, like.shape))
        if dtype.kind == "i" and values.ndim and rng.random() < 0.7:
            values = np.sort(values)  # as offsets are
        return values.astype(dtype)
    return rng.normal(size=like.shape).astype(dtype)


def raw_misfits(call: RawCall, rng: np.random.Generator, count: int) -> Iterator[tuple[str, RawCall]]:
    """`count` changed calls: single changes in a random order, then two or three at once."""
    tree = {"results": call.results, "operands": call.operands, "attributes": call.attributes}
    every = [c for c in changes(tree) if not c[0].endswith("None")]
    order = rng.permutation(len(every))
    for k in range(count):
        chosen = [order[k]] if k < len(order) else rng.choice(len(every), int(rng.integers(2, 4)), replace=False)
        whats, changed = [], tree
        for i in chosen:
            what, change = every[i]
            try:
                changed = change(changed)
            except (ValueError, TypeError, AttributeError, IndexError, KeyError):
                continue
            whats.append(what)
        results, operands = list(changed["results"]), list(changed["operands"])
        if rng.random() < 0.5:  # what is changed in place changes as its operand does
            for i, o in call.aliases.items():
                if i < len(operands) and o < len(results) and operands[i] is not None:
                    results[o] = np.zeros(np.shape(operands[i]), np.asarray(operands[i]).dtype)
            whats.append("with its results")
        yield (
            "; ".join(whats),
            dataclasses.replace(call, results=results, operands=operands, attributes=changed["attributes"]),
        )
