"""Which implementation serves a call: the native kernels, or plain jax.numpy."""

from typing import Literal, get_args

import jax

from jaxtbe import _native
from jaxtbe.support.errors import value_error

Implementation = Literal["native", "xla"]


def use_native(implementation: Implementation | None) -> bool:
    """True for the native kernels.

    Args:
      implementation: "native", "xla", or None: native where the default backend has kernels.
    """
    if implementation is None:
        return jax.default_backend() in _native.PLATFORMS
    if implementation not in get_args(Implementation):
        raise value_error(
            "jaxtbe.ops", "implementation", "None, 'native' or 'xla'", repr(implementation), "Choose one of the three"
        )
    return implementation == "native"
