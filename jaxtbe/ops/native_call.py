"""A call of a native kernel."""

from collections.abc import Callable
from typing import Any

import jax

from jaxtbe.ops.varying import vary, varying_axes


def native_call(target: str, results: Any, **options: Any) -> Callable:
    """`jax.ffi.ffi_call`, whose results vary over the devices of a `jax.shard_map` if any operand
    does.

    JAX does not see into a kernel, and would take its results for the same on every device: a table
    that each device changed with its own samples could leave the shard_map as if it were
    replicated.
    """
    call = jax.ffi.ffi_call(target, results, **options)

    def run(*operands: Any, **attributes: Any) -> Any:
        out = call(*operands, **attributes)
        if not jax.sharding.get_abstract_mesh().manual_axes:
            return out
        return vary(out, varying_axes(operands))

    return run
