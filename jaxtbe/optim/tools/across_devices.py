"""Sums of gradients over the devices of a `jax.shard_map` or `jax.pmap`."""

from typing import Any

import jax

from jaxtbe.autodiff.embedding_grad import is_grad
from jaxtbe.autodiff.opaque import gather_sealed, is_sealed
from jaxtbe.optim.tools.gradient_tools import scale_gradients


def psum(grads: Any, axis_name: Any) -> Any:
    """The sum of the devices' gradients, on each device: for data parallelism with whole tables on
    every device.

    Dense parts are summed by `jax.lax.psum`. Sparse ones are gathered in the order of the devices,
    so every device applies the same update bit for bit. `EmbeddingBags.shard` is for tables that
    are split over devices, and needs no such call.

    Args:
      grads: a pytree of arrays and `EmbeddingGrad`s, of the samples of this device. All devices
        need batches of one capacity.
      axis_name: name of the mapped axis, or a tuple of names. A `jax.shard_map` around it needs
        `check_vma=False`.
    """

    def gather(x):
        return gather_sealed(x, axis_name) if is_sealed(x) else jax.lax.all_gather(x, axis_name)

    def of_leaf(grad):
        if not is_grad(grad):
            return jax.lax.psum(grad, axis_name)
        return type(grad)(jax.tree.map(gather, grad.shares), grad.tokens)

    return jax.tree.map(of_leaf, grads, is_leaf=is_grad)


def pmean(grads: Any, axis_name: Any) -> Any:
    """The mean of the devices' gradients, on each device. See `psum`."""
    return scale_gradients(psum(grads, axis_name), 1.0 / jax.lax.axis_size(axis_name))
