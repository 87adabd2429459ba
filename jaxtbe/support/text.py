"""How arrays, sizes and tables read as text. Nothing waits for a device, and no array's values are
shown.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

_SHORT = {"float": "f", "bfloat": "bf", "int": "i", "uint": "u"}


def dtype_text(dtype: Any) -> str:
    """A dtype in short: f32, bf16, i32, u8; others by their name."""
    name = str(getattr(dtype, "name", dtype))
    kind = name.rstrip("0123456789")
    return _SHORT[kind] + name[len(kind) :] if kind in _SHORT and kind != name else name


def array_text(x: Any) -> str:
    """An array, a tracer or a `jax.ShapeDtypeStruct` as dtype[shape]; anything else by its repr."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype") or type(x).__module__.startswith("jaxtbe."):
        return repr(x)
    return f"{dtype_text(x.dtype)}[{','.join(map(str, x.shape))}]"


def tree_text(tree: Any) -> str:
    """A pytree of dicts, sequences and arrays in one line, the arrays as dtype[shape]."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{k}: {tree_text(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, (list, tuple)):
        named = getattr(tree, "_fields", None)
        inner = [tree_text(v) for v in tree]
        if named:
            return f"{type(tree).__name__}({', '.join(f'{n}={v}' for n, v in zip(named, inner, strict=True))})"
        return "(" + ", ".join(inner) + ")"
    return array_text(tree)


def array_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree, or of their shapes."""
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape") and hasattr(x, "dtype")]
    return sum(int(np.prod(x.shape, dtype=np.int64)) * x.dtype.itemsize for x in leaves)


def bytes_text(count: int) -> str:
    """Bytes in the largest unit of 1024 that leaves at least 1: 1.5 GiB."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def config_text(config: Any) -> str:
    """A frozen dataclass as the call that makes it, without what is left at its default."""
    parts = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            shown = repr(value.name) if isinstance(value, np.dtype) else repr(value)
            parts.append(shown if field.name == "name" else f"{field.name}={shown}")
    return f"{type(config).__name__}({', '.join(parts)})"


def columns_text(header: Sequence[str], rows: Iterable[Sequence[Any]], left: int = 1) -> str:
    """Rows under a header, in columns: the first `left` and text to the left, numbers to the right.

    Args:
      header: one name a column.
      rows: of as many cells. Integers get thousands separators.
      left: columns that are set to the left regardless of content.
    """
    cells = [[f"{x:,}" if isinstance(x, int) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]

    def line(row):
        parts = [x.ljust(w) if i < left else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), "-" * len(line(["-" * w for w in widths])), *map(line, cells)])
