"""`Table`: the static description of one embedding table."""

import dataclasses
import functools
import math
import pickle
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.ops.layout import Duplicates
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import config_text
from jaxtbe.zch.config import Zch

DTYPES = (jnp.dtype(jnp.float32), jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))
DUPLICATES = get_args(Duplicates)

Initializer = Callable[[jax.Array, tuple[int, int], Any], jax.Array]


_BLOCK_ELEMENTS = 2**22


def uniform_initializer(key: jax.Array, shape: tuple[int, int], dtype: Any) -> jax.Array:
    """Uniform in [-1/sqrt(dim), 1/sqrt(dim)): rows of about the same norm for any dim.

    Large tables are filled block by block: random bits for all rows at once would take several
    times the table's memory.
    """
    rows, dim = shape
    scale = 1.0 / math.sqrt(dim)
    block = uniform_block(dim)
    if rows <= block:
        return jax.random.uniform(key, shape, dtype, -scale, scale)

    def fill(i, table):
        start, values = uniform_rows(key, i, shape, dtype)
        return jax.lax.dynamic_update_slice(table, values, (start, 0))

    return jax.lax.fori_loop(0, -(-rows // block), fill, jnp.zeros(shape, dtype))


def uniform_block(dim: int) -> int:
    """Rows that `uniform_initializer` fills at a time."""
    return max(1, _BLOCK_ELEMENTS // dim)


def uniform_rows(key: jax.Array, number: Any, shape: tuple[int, int], dtype: Any) -> tuple[jax.Array, jax.Array]:
    """The first row and the values of a block of `uniform_initializer`. The last block ends with
    the table.
    """
    (rows, dim), scale = shape, 1.0 / math.sqrt(shape[1])
    block = uniform_block(dim)
    values = jax.random.uniform(jax.random.fold_in(key, number), (block, dim), dtype, -scale, scale)
    return jnp.minimum(number * block, rows - block), values


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _initial_value(initializer: Initializer, shape: tuple[int, int], dtype: Any, key: jax.Array) -> jax.Array:
    """One program for all tables of a shape, regardless of their names."""
    return initializer(key, shape, dtype)


@dataclasses.dataclass(frozen=True, repr=False)
class Table:
    """A 2-D table of embedding rows: a description without arrays, batch size or device.

    Args:
      name: unique within an `EmbeddingBags`. Features that name it share its rows.
      rows: number of rows, at least 1 and below 2**31.
      dim: number of columns, at least 1.
      dtype: float32, bfloat16 or float16. Sums and updates are always computed in float32.
      initializer: `(key, shape, dtype) -> dtype[rows, dim]`, for instance one of
        `jax.nn.initializers`. The default is uniform in [-1/sqrt(dim), 1/sqrt(dim)).
      duplicates: which occurrences of a row in one batch make its gradient: their `"sum"`, or the
        `"first"` or `"last"` in (feature, sample, position) order.
      zch: a `Zch` for a table that is keyed by raw 64-bit ids, or None: ids are row numbers.

    Raises:
      TypeError: a wrong dtype, or a name that is no string.
      ValueError: a number out of range, or an unknown `duplicates`.
    """

    name: str
    rows: int
    dim: int
    dtype: Any = jnp.float32
    initializer: Initializer | None = None
    duplicates: Duplicates = "sum"
    zch: Zch | None = None

    def __post_init__(self):
        api, obj = "jaxtbe.Table", f"table {self.name!r}"
        if not isinstance(self.name, str) or not self.name:
            raise type_error(api, "name", "a non-empty string", repr(self.name), "Name the table")
        for field, least in (("rows", 1), ("dim", 1)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise type_error(api, obj, f"an int as {field}", repr(value), f"Pass {field} as a whole number")
            if not least <= value < 2**31:
                raise value_error(
                    api, obj, f"{least} <= {field} < 2**31", str(value), "Split the table or correct the number"
                )
            object.__setattr__(self, field, int(value))
        try:
            dtype = jnp.dtype(self.dtype)
        except TypeError:
            dtype = None
        if dtype not in DTYPES:
            raise type_error(
                api, obj, "dtype float32, bfloat16 or float16", repr(self.dtype), "Choose one of the three"
            )
        object.__setattr__(self, "dtype", dtype)
        if self.duplicates not in DUPLICATES:
            raise value_error(
                api, obj, "duplicates 'sum', 'first' or 'last'", repr(self.duplicates), "Choose one of the three"
            )
        self._check_zch()

    def _check_zch(self) -> None:
        if self.zch is None:
            return
        if not isinstance(self.zch, Zch):
            raise type_error(
                "jaxtbe.Table",
                f"table {self.name!r}",
                "zch as a jaxtbe.Zch",
                repr(self.zch),
                "Pass zch=jaxtbe.Zch(...)",
            )
        self.zch.check(self.name, self.rows)

    def __repr__(self) -> str:
        return config_text(self)

    def __reduce__(self) -> Any:
        try:
            pickle.dumps(self.initializer)
        except (pickle.PicklingError, AttributeError, TypeError) as e:
            raise type_error(
                "jaxtbe.Table",
                f"table {self.name!r}",
                "an initializer that pickles",
                repr(self.initializer),
                "Use jaxtbe.initializer('normal', 0.1) for instance, or a function of a module",
            ) from e
        return Table, tuple(getattr(self, f.name) for f in dataclasses.fields(self))

    def check_key(self, key: Any) -> None:
        """Raises unless this is a key of `jax.random`."""
        dtype = getattr(key, "dtype", None)
        if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32):
            raise type_error(
                "jaxtbe.Table.init",
                f"table {self.name!r}",
                "a key of jax.random.key",
                repr(key) if isinstance(key, int) else type(key).__name__,
                "Pass jax.random.key(seed)",
            )

    def init(self, key: jax.Array) -> jax.Array:
        """The table's initial value, dtype[rows, dim]."""
        self.check_key(key)
        value: Any = _initial_value(self.initializer or uniform_initializer, (self.rows, self.dim), self.dtype, key)
        if value.shape != (self.rows, self.dim) or value.dtype != self.dtype:
            raise value_error(
                "jaxtbe.Table.init",
                f"table {self.name!r}",
                f"{self.dtype.name}[{self.rows}, {self.dim}] from its initializer",
                f"{value.dtype.name}{list(value.shape)}",
                "Let the initializer use the shape and dtype that it is given",
            )
        return value
