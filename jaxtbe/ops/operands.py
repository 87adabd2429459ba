"""What the ops take, declared: each operand's dtype and shape in the letters of the docstrings, and
one check of them all.

The kernels trust what they are given. Everything that they would read or write is compared here, in
plain Python over shapes and dtypes, while a program is traced. The handlers compare once more, but
an error of theirs costs every donated array.
"""

import dataclasses
import re
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxtbe.support.errors import type_error, value_error

_SHORT = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i32": "int32", "u32": "uint32", "bool": "bool"}
FLOATS = ("float32", "bfloat16", "float16")
_PLAIN = (*FLOATS, "float64", "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_CLASSES = {"float": FLOATS, "any": _PLAIN}
_NOT_EMPTY = ("rows", "dim", "slots")
_LIMIT = 2**31
_DIM = re.compile(r"(?:(?P<times>\w+)\*)?(?P<symbol>[A-Za-z]+)(?:\+(?P<plus>\d+))?|(?P<number>\d+)|(?P<rest>\.\.\.)")


@dataclasses.dataclass(frozen=True)
class Operand:
    """One array: its dtypes, and its shape in symbols that the operands of an op share."""

    text: str
    dtypes: tuple[str, ...]
    shape: tuple[str, ...]
    optional: bool
    repeated: bool

    @classmethod
    def parse(cls, text: str) -> "Operand":
        """From "i32[F*B+1]". A leading "*": a list of them, all of one dtype. A trailing "?": or
        None.
        """
        match = re.fullmatch(r"(\*?)([\w|]+)\[(.*)\](\??)", text)
        assert match, text
        dtypes = tuple(d for part in match[2].split("|") for d in _CLASSES.get(part, (_SHORT.get(part, part),)))
        shape = tuple(d.strip() for d in match[3].split(",") if d.strip())
        assert all(_DIM.fullmatch(d) for d in shape), text
        return cls(text.strip("*?"), dtypes, shape, bool(match[4]), bool(match[1]))


@dataclasses.dataclass(frozen=True)
class Signature:
    """The operands of one op.

    Args:
      api: the op's public name.
      target: its FFI target.
      operands: name to `Operand`. Symbols in upper case are shared by all; those in lower case by
        one table alone.
    """

    api: str
    target: str
    operands: dict[str, Operand]


class Symbols:
    """The sizes that the symbols of one call stand for: a symbol gets its size from the first
    operand that has it.

    Args:
      api: for the messages.
      shared: symbols in upper case, which all places of the call share.
    """

    def __init__(self, api: str, shared: dict[str, int] | None = None):
        self.api = api
        self.shared = {} if shared is None else shared
        self.own: dict[str, int] = {}

    def __getitem__(self, symbol: str) -> int:
        return (self.shared if symbol.isupper() else self.own)[symbol]

    def place(self) -> "Symbols":
        """The scope of one table, or one lookup, of the call."""
        return Symbols(self.api, self.shared)

    def check(self, name: str, operand: Operand, array: Any) -> None:
        """Raises unless the array is what the operand says."""
        if array is None and operand.optional:
            return
        obj = f"operand {name!r}"
        shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
        if not isinstance(shape, tuple) or dtype is None:
            raise type_error(
                self.api, obj, f"an array {operand.text}", f"a {type(array).__name__}", "Pass a JAX or NumPy array"
            )
        if str(dtype) not in operand.dtypes:
            raise type_error(self.api, obj, " or ".join(operand.dtypes), str(dtype), f"Cast it to {operand.dtypes[0]}")
        if not self._fits(operand.shape, shape):
            known = {**self.shared, **self.own}
            sizes = ", ".join(f"{k}={v}" for k, v in known.items() if k in re.findall(r"\w+", operand.text))
            raise value_error(
                self.api,
                obj,
                operand.text + (f" with {sizes}" if sizes else ""),
                f"shape {shape}",
                "Make its shape agree with those of the other operands",
            )
        if any(n >= _LIMIT for n in shape):
            raise value_error(
                self.api, obj, "fewer than 2**31 along each axis", f"shape {shape}", "Split the call in two"
            )
        if any(n < 1 for n, d in zip(shape, operand.shape, strict=False) if d in _NOT_EMPTY):
            raise value_error(self.api, obj, "a row and a column at least", f"shape {shape}", "Leave empty tables out")

    def check_all(self, name: str, operand: Operand, arrays: Any, scopes: "list[Symbols]") -> None:
        """The arrays of a repeated operand, each in the scope of its place; all of one dtype."""
        first = None
        for i, (array, scope) in enumerate(zip(arrays, scopes, strict=True)):
            place = f"{name}[{i}]"
            scope.check(place, operand, array)
            first = first or str(array.dtype)
            if str(array.dtype) != first:
                raise type_error(
                    self.api,
                    f"operand {place!r}",
                    f"{first} as the first of them",
                    str(array.dtype),
                    "Call once a dtype",
                )

    def _fits(self, dims: tuple[str, ...], shape: tuple[int, ...]) -> bool:
        if "..." in dims:
            dims, shape = dims[:-1], shape[: len(dims) - 1]
        return len(dims) == len(shape) and all(self._bind(d, n) for d, n in zip(dims, shape, strict=True))

    def _bind(self, dim: str, size: int) -> bool:
        """Whether an axis may have this size; its symbol, if new, stands for it from now on."""
        match = _DIM.fullmatch(dim)
        assert match, dim
        if match["number"]:
            return size == int(match["number"])
        size -= int(match["plus"] or 0)
        if match["times"]:
            size, rest = divmod(size, self[match["times"]])
            if rest:
                return False
        symbol = match["symbol"]
        return size >= 0 and (self.shared if symbol.isupper() else self.own).setdefault(symbol, size) == size


def whole_number(value: Any, dtype: Any) -> Any:
    """A whole number as a scalar array; anything else as it is, for the check to refuse."""
    kind = getattr(value, "dtype", np.dtype(type(value) if type(value) is int else object)).kind
    return jnp.asarray(value, dtype) if kind in "iu" else value


def check_list(api: str, name: str, items: Any, length: int | None = None) -> None:
    """Raises unless it is a list or tuple that is not empty, or of this length."""
    if not isinstance(items, (list, tuple)):
        raise type_error(api, f"operand {name!r}", "a list or tuple", f"a {type(items).__name__}", "Pass a list")
    if length is None and not items:
        raise value_error(api, f"operand {name!r}", "one at least", "none", "Pass the tables of the call")
    if length is not None and len(items) != length:
        raise value_error(api, f"operand {name!r}", f"{length} of them", str(len(items)), "Pass one for each table")


def check_static(api: str, name: str, value: Any, least: int, end: int) -> None:
    """Raises unless a static number is an int in [least, end)."""
    is_int = hasattr(value, "__index__") and not isinstance(value, bool) and not hasattr(value, "aval")
    if not is_int or not least <= value < end:
        raise value_error(api, name, f"an int from {least} to {end - 1}", repr(value), "Correct the static argument")


def check_choice(api: str, name: str, value: Any, choices: tuple) -> None:
    """Raises unless a static word or flag is one of some."""
    if not isinstance(value, str | bool | None) or value not in choices:
        raise value_error(api, name, f"one of {choices}", repr(value), "Correct the static argument")


def check_call(signature: Signature, known: dict[str, int] | None = None, **arrays: Any) -> Symbols:
    """Checks the operands of one call, in the order of its signature. Returns its symbols."""
    symbols = Symbols(signature.api, dict(known or {}))
    for name, operand in signature.operands.items():
        if operand.repeated:
            check_list(signature.api, name, arrays[name])
            symbols.shared["T"] = len(arrays[name])
            symbols.check_all(name, operand, arrays[name], [symbols.place() for _ in arrays[name]])
        else:
            symbols.check(name, operand, arrays[name])
    return symbols
