"""What a differentiated loss sees of a table: the table, and an error where anything but a lookup
has a gradient in it.

The gradient of a table goes through its lookups alone, so any other use that needs one would
silently get none. The guard is the identity. It depends on a scalar tap, with respect to which the
loss is differentiated, and its backward rule runs only if a gradient reaches the table. Nothing of
the table's size is made for it.
"""

import dataclasses
import functools
from typing import Any

import jax

from jaxtbe.autodiff.recording import refuse_nested
from jaxtbe.model.spec import Spec
from jaxtbe.support.errors import type_error

API = "jaxtbe.value_and_grad"


@dataclasses.dataclass(eq=False)
class Guarded:
    """The name of a table, and what the loss did with it."""

    name: str
    nested: Spec | None = None  # of a lookup inside a nested transformation, which got the table as an argument


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def guard(about: Guarded, table: Any, tap: jax.Array) -> jax.Array:
    """The table. Raises while tracing if a gradient with respect to `tap`, a scalar, needs one of
    the table.
    """
    del about, tap
    return jax.numpy.asarray(table)


def _forward(about, table, tap):
    return guard(about, table, tap), None


def _backward(about: Guarded, _, cotangent):
    del cotangent
    if about.nested is not None:
        refuse_nested(about.nested)
    raise type_error(
        API,
        f"table {about.name!r}",
        "gradients through lookups of the parameters as they were passed in, and no others",
        "another use of the table, or a lookup of scaled, cast or rebuilt tables, with a gradient in it",
        f"Ask for its dense gradient with value_and_grad(..., dense_tables=({about.name!r},)), or use "
        "jax.lax.stop_gradient of the table where it is only measured",
    )


guard.defvjp(_forward, _backward)
