"""`Overwrite`: how a table optimizer hands back a new table."""

from typing import Any

from jaxtbe.support.errors import type_error
from jaxtbe.support.text import array_text

API = "jaxtbe.Overwrite"


class Overwrite:
    """The update of a table that is trained in place: `old + Overwrite(new)` is `new`.

    `optax.apply_updates`, Equinox's, and `jax.tree.map(lambda p, u: p + u, params, updates)` store
    the new table without a further addition or copy. Any other use is an error: a transformation
    behind a table optimizer would scale or clip whole tables. It is no pytree, so that no
    `tree.map` reaches the array, and so it cannot leave a jitted function: apply updates in the
    function that made them.

    It knows the old table: added to any other array, an accumulator of a transformation for
    instance, it is an error.

    Args:
      value: the new table, dtype[rows, dim].
      old: the table that `update` was called with.
    """

    __slots__ = ("old", "value")
    __array_ufunc__ = None  # ndarray + Overwrite is __radd__, not a loop over numbers
    __hash__ = None  # type: ignore[assignment]  # an array in a wrapper

    value: Any
    old: Any

    def __init__(self, value: Any, old: Any):
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "old", old)

    def __setattr__(self, name: str, value: Any) -> None:
        raise _refusal(f"an assignment of .{name}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the table."""
        return self.value.shape

    @property
    def dtype(self) -> Any:
        """Dtype of the table."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """Dimensions of the table."""
        return self.value.ndim

    def __radd__(self, old: Any) -> Any:
        if old is not self.old:
            raise type_error(
                API,
                "a table's update",
                "the very table on its left that update was called with",
                array_text(old) if hasattr(old, "shape") else type(old).__name__,
                "Apply updates to the same parameters with optax.apply_updates, and put transformations in front",
            )
        return self.value

    def _refuse(self, *others: Any) -> Any:
        raise _refusal("arithmetic")

    __add__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _refuse
    __neg__ = __pos__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = _refuse
    __getitem__ = __len__ = __iter__ = __bool__ = __eq__ = __ne__ = _refuse  # type: ignore[assignment]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise _refusal("a conversion to an array")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # protocols that other libraries look for
        raise AttributeError(str(_refusal(f"a use of .{name}")))

    def __repr__(self) -> str:
        return f"Overwrite({array_text(self.value)})"


def _refusal(got: str) -> TypeError:
    return type_error(
        API,
        "a table's update",
        "optax.apply_updates",
        got,
        "Put transformations in front of the table optimizer, as tools of jaxtbe.optim, and schedules into its learning_rate",
    )
