"""What public functions are given, compared before anything is read of it: types, arrays and
transformations.
"""

from typing import Any

import jax

from jaxtbe.support.errors import type_error, value_error


def is_array(x: Any) -> bool:
    """Whether this is an array of JAX or NumPy, or a tracer."""
    return has_shape(x) and not isinstance(x, jax.ShapeDtypeStruct)


def has_shape(x: Any) -> bool:
    """Whether this is an array, or the shape of one as `jax.eval_shape` gives it."""
    return isinstance(getattr(x, "shape", None), tuple) and hasattr(x, "dtype")


def check_type(api: str, name: str, value: Any, kind: type | tuple[type, ...], what: str, remedy: str) -> None:
    """Raises unless the value is of a type, `what` in words."""
    if not isinstance(value, kind):
        raise type_error(api, name, what, type(value).__name__, remedy)


def check_array(api: str, name: str, array: Any, text: str, *ndims: int, shapes: bool = False) -> None:
    """Raises unless it is an array with one of these numbers of dimensions; `text` says it, as
    i32[N]. `shapes`: or its shape.
    """
    if not (has_shape if shapes else is_array)(array):
        raise type_error(api, name, text, type(array).__name__, "Pass a JAX or NumPy array")
    if ndims and len(array.shape) not in ndims:
        raise type_error(api, name, text, f"shape {tuple(array.shape)}", "Pass an array of that form")


def check_transformation(api: str, name: str, tx: Any) -> None:
    """Raises unless it is a transformation of optax."""
    if not callable(getattr(tx, "init", None)) or not callable(getattr(tx, "update", None)):
        what = "an optax.GradientTransformation"
        raise type_error(api, name, what, type(tx).__name__, "Pass an optimizer")


def check_shape(api: str, name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raises unless it is an array of this shape."""
    check_array(api, name, array, f"an array of shape {shape}")
    if tuple(array.shape) != shape:
        raise value_error(
            api, name, f"an array of shape {shape}", f"shape {tuple(array.shape)}", "Pass it as it was made"
        )
