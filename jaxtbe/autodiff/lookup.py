"""The differentiable lookup: a `custom_vjp` whose rules encode read-only, write-only and masked
access.

Its arguments are the tables, a batch and *taps*: zeros shaped like the outputs of the writing
features, which the forward ignores. The backward hands each output's cotangent to its tap.
`value_and_grad` differentiates with respect to taps, so that no gradient of a table's size exists.
With plain `jax.grad` the tables themselves are differentiated, which `symbolic_zeros=True` lets the
rule see, and then it makes the dense gradient.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxtbe.batch.bags import Bags
from jaxtbe.model.spec import Spec
from jaxtbe.ops.varying import vary, varying_axes
from jaxtbe.support.errors import value_error
from jaxtbe.writes.plan import plan_update, written_by_dtype
from jaxtbe.writes.store import store

API = "jaxtbe.EmbeddingBags"


class Taps(NamedTuple):
    """Where the backward leaves its results."""

    acts: dict[str, jax.Array]  # writing feature to the gradient of its activations
    token: jax.Array  # f32[1]: computed after the backward's own reads of the tables


def make_taps(spec: Spec, batch_size: int) -> Taps:
    spec.placement.check_batch_size(batch_size)
    zeros = spec.placement.zeros_of_samples
    acts = {f.name: zeros(spec.acts_shape(f, batch_size)) for f in spec.writing_features}
    return Taps(acts, jnp.zeros((1,), jnp.float32))


def lookup(
    spec: Spec, tables: dict[str, jax.Array], bags: Bags, taps: Taps, recorded: bool = False
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Activations by feature, and faults i32[F, 2].

    Args:
      recorded: the tables are not differentiated: their gradient goes through the taps.
    """
    bags = jax.tree.map(jnp.asarray, bags)
    operands = tables, bags.ids, bags.offsets, bags.id_weights, bags.update_mask, taps
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return _lookup(spec, *operands)
    axes = varying_axes(operands)
    if axes and recorded:
        raise value_error(
            "jaxtbe.value_and_grad",
            "a jax.shard_map around it",
            "check_vma=False",
            f"batches or tables whose types vary over {sorted(axes)}",
            "Pass check_vma=False, and sum the gradients of the devices with jaxtbe.optim.psum or pmean",
        )
    return _manual_lookup(spec, not recorded, axes, *vary(operands, axes))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lookup(spec, tables, ids, offsets, id_weights, update_mask, taps):
    del update_mask, taps
    return spec.placement.lookup(spec, tables, ids, offsets, id_weights)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["tables", "ids", "offsets", "id_weights", "update_mask"],
    meta_fields=["dense", "weights"],
)
@dataclasses.dataclass
class _Residuals:
    tables: dict[str, Any] | None  # kept only for the gradient of id weights
    ids: Any
    offsets: Any
    id_weights: Any
    update_mask: Any
    dense: bool  # the tables are being differentiated
    weights: bool  # the id weights are


def _forward(spec, tables, ids, offsets, id_weights, update_mask, taps):
    def value(primals):
        return jax.tree.map(lambda p: p.value, primals)

    def perturbed(primals):
        return any(p.perturbed for p in jax.tree.leaves(primals))

    dense, weights = perturbed(tables), perturbed(id_weights)
    ids, offsets, id_weights, update_mask = (value(x) for x in (ids, offsets, id_weights, update_mask))
    tables = value(tables)
    out = _lookup(spec, tables, ids, offsets, id_weights, update_mask, value(taps))
    return out, _Residuals(tables if weights else None, ids, offsets, id_weights, update_mask, dense, weights)


def _backward(spec, saved: _Residuals, cotangents):
    d_acts, _ = cotangents
    d_acts = {name: _instantiate(spec, d) for name, d in d_acts.items()}
    batch_size = (saved.offsets.shape[0] - 1) // len(spec.features)
    bags = Bags.tree_unflatten(
        (spec.feature_names, batch_size, 1), (saved.ids, saved.offsets, saved.id_weights, saved.update_mask)
    )
    d_weights, token = None, jnp.zeros((1,), jnp.float32)
    if saved.weights:
        d_weights = spec.placement.id_weights_gradient(spec, saved.tables, bags, d_acts)
        token = d_weights[:1]
    d_tables = dense_gradient(spec, bags, d_acts) if saved.dense else None
    taps = Taps({f.name: d_acts[f.name] for f in spec.writing_features}, token)
    return d_tables, None, None, d_weights, None, taps


_lookup.defvjp(_forward, _backward, symbolic_zeros=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _manual_lookup(spec, dense, axes, *operands):
    """`_lookup` in a `jax.shard_map`, where JAX has no symbolic zeros: it cannot see which operands
    are differentiated, and makes every gradient that may be. All operands vary over `axes`, and so
    does what the kernels return.
    """
    del dense
    return vary(_lookup.fun(spec, *operands), axes)


def _manual_forward(spec, dense, axes, tables, ids, offsets, id_weights, update_mask, taps):
    out = _manual_lookup(spec, dense, axes, tables, ids, offsets, id_weights, update_mask, taps)
    weights = id_weights is not None
    return out, _Residuals(tables if weights else None, ids, offsets, id_weights, update_mask, dense, weights)


def _manual_backward(spec, dense, axes, saved: _Residuals, cotangents):
    del dense
    return vary(_backward(spec, saved, cotangents), axes)


_manual_lookup.defvjp(_manual_forward, _manual_backward)


def _instantiate(spec: Spec, d):
    return spec.placement.zeros_of_samples(d.shape) if isinstance(d, SymbolicZero) else d


def dense_gradient(spec: Spec, bags: Bags, d_acts: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The gradient of every table as an array of its shape: the sparse gradient, stored into zeros."""
    for feature in spec.features:
        if feature.access == "write_only":
            raise value_error(
                "jax.grad",
                f"feature {feature.name!r}",
                "access read_write or read_only: a dense gradient cannot overwrite rows",
                "write_only",
                "Use jaxtbe.value_and_grad with jaxtbe.optim.sgd",
            )
    gradients = {t.name: spec.placement.zeros_of_table(t) for t in spec.tables}
    for names in written_by_dtype(spec, d_acts):
        share = plan_update(spec, bags, d_acts, names)
        # The mathematical gradient, whatever Table.duplicates says of updates.
        gradients.update(store(spec, gradients, names, share, duplicates=("sum",) * len(names)))
    return gradients
