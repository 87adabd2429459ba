"""The differentiable lookup: a `custom_vjp` whose rules encode read-only, write-only and masked access.

Its arguments are the tables, a batch and *taps*: zeros shaped like the outputs of the writing features, which the forward
ignores. The backward hands each output's cotangent to its tap. `value_and_grad` differentiates with respect to taps, so that
no gradient of a table's size exists. With plain `jax.grad` the tables themselves are differentiated, which
`symbolic_zeros=True` lets the rule see, and then it makes the dense gradient.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxtbe import ops
from jaxtbe.bags import Bags, check_arrays
from jaxtbe.errors import type_error, value_error
from jaxtbe.ops.varying import vary, varying_axes
from jaxtbe.sharding.guard import whole_token
from jaxtbe.sharding.lookup import check_batch_size, sharded_id_weights_gradient, sharded_lookup
from jaxtbe.spec import Spec
from jaxtbe.store import store
from jaxtbe.update_plan import concat_d_acts, plan_update, written_by_dtype

API = "jaxtbe.EmbeddingBags"


class Taps(NamedTuple):
    """Where the backward leaves its results."""

    acts: dict[str, jax.Array]  # writing feature to the gradient of its activations
    token: jax.Array  # f32[1]: computed after the backward's own reads of the tables


def _zeros_of_samples(spec: Spec, shape: tuple[int, ...]) -> jax.Array:
    """f32[B, ...], zeros that lie where the samples do."""
    if spec.sharding is None:
        return jnp.zeros(shape, jnp.float32)
    return spec.sharding.zeros(shape, jnp.float32, spec.sharding.split)


def make_taps(spec: Spec, batch_size: int) -> Taps:
    if spec.sharding is not None:
        check_batch_size(spec.sharding, batch_size)
    acts = {f.name: _zeros_of_samples(spec, spec.acts_shape(f, batch_size)) for f in spec.writing_features}
    return Taps(acts, jnp.zeros((1,), jnp.float32))


def check_batch(spec: Spec, bags: Bags) -> None:
    """Raises unless the batch is one for this spec, with ids that are row numbers."""
    check_arrays(API, bags)
    if bags.features != spec.feature_names:
        raise value_error(
            API,
            "batch",
            f"the features {spec.feature_names}",
            f"{bags.features}",
            "Build it with the same EmbeddingBags",
        )
    if bags.ids.dtype == jnp.uint32:
        raise type_error(
            API,
            "ids",
            "i32 row numbers",
            "raw 64-bit ids (uint32[N, 2])",
            "Map them to rows with EmbeddingBags.remap first",
        )
    for name, dtype in (
        ("ids", jnp.int32),
        ("offsets", jnp.int32),
        ("id_weights", jnp.float32),
        ("update_mask", jnp.bool_),
    ):
        array = getattr(bags, name)
        if array is None:
            continue
        if array.dtype != dtype:
            raise type_error(
                API, name, jnp.dtype(dtype).name, array.dtype.name, "Build batches with EmbeddingBags.bags"
            )
        length = len(spec.features) * bags.batch_size + bags.shards if name == "offsets" else bags.ids.shape[0]
        if array.shape != (length,):
            raise value_error(
                API, name, f"shape ({length},)", str(array.shape), "Build batches with EmbeddingBags.bags"
            )


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
    if spec.sharding is not None:
        return sharded_lookup(spec, tables, ids, offsets, id_weights)
    token = whole_token(tables.values())
    ids = ids if token is None else ids + token
    acts: dict[str, jax.Array] = {}
    faults = jnp.zeros((len(spec.features), 2), jnp.int32)
    batch = (offsets.shape[0] - 1) // len(spec.features)
    for group in spec.lookup_groups:
        out, group_faults = ops.lookup(
            [tables[name] for name in group.tables],
            ids,
            offsets,
            id_weights,
            features=group.layout,
            columns=group.columns,
            implementation=spec.implementation,
        )
        for feature, layout in zip(spec.features, group.layout, strict=True):
            if layout.table >= 0:
                columns = out[:, layout.column : layout.column + spec.width(feature)]
                acts[feature.name] = columns.reshape(spec.acts_shape(feature, batch))
        mine = jnp.asarray([layout.table >= 0 for layout in group.layout])[:, None]
        faults = group_faults if len(spec.lookup_groups) == 1 else jnp.where(mine, group_faults, faults)
    return {f.name: acts[f.name] for f in spec.features}, faults


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
        d_weights = _id_weights_gradient(spec, saved.tables, bags, d_acts)
        token = d_weights[:1]
    d_tables = dense_gradient(spec, bags, d_acts) if saved.dense else None
    taps = Taps({f.name: d_acts[f.name] for f in spec.writing_features}, token)
    return d_tables, None, None, d_weights, None, taps


_lookup.defvjp(_forward, _backward, symbolic_zeros=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _manual_lookup(spec, dense, axes, *operands):
    """`_lookup` in a `jax.shard_map`, where JAX has no symbolic zeros: it cannot see which operands are differentiated, and makes
    every gradient that may be. All operands vary over `axes`, and so does what the kernels return."""
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
    return _zeros_of_samples(spec, d.shape) if isinstance(d, SymbolicZero) else d


def _id_weights_gradient(spec, tables, bags, d_acts):
    if spec.sharding is not None:
        return sharded_id_weights_gradient(spec, tables, bags, d_acts)
    total = jnp.zeros(bags.ids.shape, jnp.float32)
    for group in spec.lookup_groups:
        mine = [f for f, layout in zip(spec.features, group.layout, strict=True) if layout.table >= 0]
        total = total + ops.id_weights_grad(
            concat_d_acts(mine, d_acts),
            [tables[name] for name in group.tables],
            bags.ids,
            bags.offsets,
            features=group.layout,
            implementation=spec.implementation,
        )
    return total


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
    gradients = {t.name: _zero_table(spec, t) for t in spec.tables}
    for names in written_by_dtype(spec, d_acts):
        share = plan_update(spec, bags, d_acts, names)
        # The mathematical gradient, whatever Table.duplicates says of updates.
        gradients.update(store(spec, gradients, names, share, duplicates=("sum",) * len(names)))
    return gradients


def _zero_table(spec: Spec, table) -> jax.Array:
    if spec.sharding is None:
        return jnp.zeros((table.rows, table.dim), table.dtype)
    return spec.sharding.zeros((table.rows, table.dim), table.dtype, spec.sharding.spec_of(table.name))
