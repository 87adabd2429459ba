"""`initializer`: one of `jax.nn.initializers` by its name, which pickles and compares."""

import dataclasses
from typing import Any

import jax

from jaxtbe.support.errors import value_error


@dataclasses.dataclass(frozen=True)
class NamedInitializer:
    """A function of `jax.nn.initializers` and what it is called with."""

    name: str
    args: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]

    def __call__(self, key: jax.Array, shape: tuple[int, int], dtype: Any) -> jax.Array:
        made = getattr(jax.nn.initializers, self.name)
        if self.name in ("zeros", "ones"):  # initializers themselves, where the others make one
            return made(key, shape, dtype)
        return made(*self.args, **dict(self.options))(key, shape, dtype)

    def __repr__(self) -> str:
        given = [repr(self.name), *map(repr, self.args), *(f"{k}={v!r}" for k, v in self.options)]
        return f"jaxtbe.initializer({', '.join(given)})"


def initializer(name: str, *args: Any, **options: Any) -> NamedInitializer:
    """`jax.nn.initializers.<name>(*args, **options)`, for `Table(initializer=...)`.

    What `jax.nn.initializers` returns is a function of its own at each call: it does not pickle,
    and two of them are unequal, so that an `EmbeddingBags` made again compiles again. This one
    pickles, and is equal to one made with the same arguments.

    Args:
      name: of a function in `jax.nn.initializers`, "normal" for instance.
      *args, **options: its arguments, hashable.

    Returns:
      `(key, shape, dtype) -> dtype[rows, dim]`.

    Raises:
      ValueError: there is none of that name.

    Example:
      >>> import jaxtbe
      >>> jaxtbe.Table("item", rows=1000, dim=8, initializer=jaxtbe.initializer("normal", 0.01))
      Table('item', rows=1000, dim=8, initializer=jaxtbe.initializer('normal', 0.01))
    """
    if not isinstance(name, str) or name.startswith("_") or not callable(getattr(jax.nn.initializers, name, None)):
        raise value_error(
            "jaxtbe.initializer", "name", "a function of jax.nn.initializers", repr(name), "Correct the name"
        )
    return NamedInitializer(name, args, tuple(sorted(options.items())))
