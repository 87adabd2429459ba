"""Labels for `optax.partition`: which parameters are tables."""

from typing import Any

import jax

from jaxtbe.autodiff.embedding_grad import is_grad
from jaxtbe.model.params import is_params


def labels(tree: Any, tables: str = "tables", dense: str = "dense") -> Any:
    """A label for each parameter: every `EmbeddingParams` is one leaf, and so is the
    `EmbeddingGrad` in its place.

    It takes parameters and gradients of any pytree: dicts, Flax NNX states, Equinox modules.
    `optax.partition` calls a function of labels on both, so pass the function itself.

    Args:
      tree: parameters or gradients.
      tables: the label of embedding tables.
      dense: the label of all other leaves.

    Returns:
      The tree with labels as leaves.

    Example:
      >>> import jaxtbe, optax
      >>> tx = optax.partition(
      ...     {"tables": jaxtbe.optim.rowwise_adagrad(0.02), "dense": optax.adam(1e-3)}, jaxtbe.optim.labels)
    """

    def is_table(x: Any) -> bool:
        return is_params(x) or is_grad(x)

    return jax.tree.map(lambda x: tables if is_table(x) else dense, tree, is_leaf=is_table)
