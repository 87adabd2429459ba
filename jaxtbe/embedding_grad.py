"""`EmbeddingGrad`: the sparse gradient of `EmbeddingParams`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.bags import Bags
from jaxtbe.errors import type_error
from jaxtbe.spec import Spec
from jaxtbe.text import tree_text


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class LookupGrad:
    """One lookup's share of a gradient.

    Args:
      d_acts: writing feature to the gradient of its activations, f32[B, dim] or f32[B, max_length, dim].
      bags: what was looked up.
      faults: i32[F, 2], the lookup's count of faulty ids and the first of them, for each feature.
      spec: static.
    """

    d_acts: dict[str, Any]
    bags: Bags
    faults: Any
    spec: Spec = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return f"LookupGrad({tree_text(self.d_acts)}, {self.bags!r})"


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class EmbeddingGrad:
    """The sparse gradient of an `EmbeddingParams`: batches and the gradients of their activations, never table-sized.

    It stands where a dense gradient would and goes to a table optimizer's `update`. Gradients of several lookups or
    micro-batches add up by `+`, which concatenates.

    Args:
      lookups: the shares of the lookups.
      tokens: arrays that were computed from the old tables. The update takes and ignores them, and so runs after every read.
    """

    lookups: tuple[LookupGrad, ...]
    tokens: tuple[Any, ...] = ()

    def after(self, *values) -> "EmbeddingGrad":
        """The same gradient, whose update runs after `values` (pytrees of arrays) are computed.

        Use it for whatever else reads a table within the step, a metric for instance: on CPU, XLA copies a table that is read
        after it was updated in place.
        """
        leaves = [jnp.asarray(x) for x in jax.tree.leaves(values)]
        return dataclasses.replace(self, tokens=(*self.tokens, *leaves))

    def __add__(self, other: "EmbeddingGrad") -> "EmbeddingGrad":
        if not isinstance(other, EmbeddingGrad):
            return NotImplemented
        return EmbeddingGrad((*self.lookups, *other.lookups), (*self.tokens, *other.tokens))

    def __mul__(self, scale) -> "EmbeddingGrad":
        """Every contribution times a number or scalar array."""
        if jnp.ndim(scale) != 0:
            raise type_error(
                "jaxtbe.EmbeddingGrad",
                "factor",
                "a scalar",
                f"shape {jnp.shape(scale)}",
                "Scale activations in the loss instead",
            )
        lookups = tuple(
            dataclasses.replace(l, d_acts={name: d * scale for name, d in l.d_acts.items()}) for l in self.lookups
        )
        return dataclasses.replace(self, lookups=lookups)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(l.d_acts)} features x {l.bags.batch_size} samples" for l in self.lookups)
        return f"EmbeddingGrad({parts or 'no lookups'})"


def is_grad(x: Any) -> bool:
    """Whether this is an `EmbeddingGrad`: the leaf of a tree of gradients."""
    return isinstance(x, EmbeddingGrad)
