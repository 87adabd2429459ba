"""The lookup over a mesh: each device reads its own rows for all samples. Sums go back by a
reduce-scatter, or rows by an all-to-all.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from jaxtbe import ops
from jaxtbe.model.acts import acts_by_feature
from jaxtbe.sharding.blocks import Rows, count_valid, take_block
from jaxtbe.sharding.exchange import exchanged_lookup
from jaxtbe.sharding.placement import Sharding
from jaxtbe.support.errors import value_error


def check_batch_size(sharding: Sharding, batch_size: int) -> None:
    if batch_size % sharding.devices:
        raise value_error(
            "jaxtbe.EmbeddingBags",
            "batch",
            f"samples that {sharding.devices} devices share evenly",
            str(batch_size),
            "Pad the batch with empty bags",
        )


@functools.partial(jax.jit, static_argnums=(0, 1))  # eager calls compile once a shape, not each operation each time
def sharded_lookup(
    sharding: Sharding, spec, tables, ids, offsets, id_weights
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Activations by feature, split over samples, and faults i32[F, 2]. The batch is whole on every
    device.
    """
    batch = (offsets.shape[0] - 1) // len(spec.features)
    check_batch_size(sharding, batch)

    def on_device(tables, ids, offsets, id_weights):
        rows = Rows.of(sharding, [(f.table, spec.table_of(f).rows) for f in spec.features])
        limits = tuple(int(r) for r in rows.whole)
        faults = ops.count_faults(ids, offsets, rows=limits, implementation=spec.implementation)
        acts: dict[str, jax.Array] = {}
        for group in spec.lookup_groups:
            out, read = _lookup_group(sharding, group, rows, tables, ids, offsets, id_weights, spec.implementation)
            faults = faults + read[:, :1]  # zeros: local ids have no faults; but computed after the tables were read
            acts.update(acts_by_feature(spec, group, out))
        counts = count_valid(take_block(sharding, rows, ids, offsets).valid, offsets).reshape(len(rows.whole), -1)
        counts = jax.lax.dynamic_slice_in_dim(counts, sharding.index() * (batch // sharding.devices), len(out), axis=1)
        for f, feature in enumerate(spec.features):
            if feature.pooling == "mean" and sharding.capacity_of(feature.table) is None:
                acts[feature.name] = acts[feature.name] / counts[f][:, None]
        return {f.name: acts[f.name] for f in spec.features}, faults

    table_specs = {name: sharding.spec_of(name) for name in tables}
    out_specs = {f.name: sharding.split for f in spec.features}, P()
    args = tables, ids, offsets, id_weights
    return sharding.on_each_device(on_device, (table_specs, P(), P(), P()), out_specs, *args)


def _summed(layout):
    """The layout without divisors: a device sees only some of a bag's ids."""
    return tuple(dataclasses.replace(l, pooling="sum") if l.pooling == "mean" else l for l in layout)


def _group_ids(sharding: Sharding, group, rows: Rows, ids, offsets):
    """The ids that a device reads: of its own rows, or in replicated tables those of its own
    samples.
    """
    of_group = np.asarray([l.table >= 0 for l in group.layout])
    block = take_block(sharding, Rows(rows.whole * of_group, rows.block * of_group), ids, offsets)
    if group.split:
        return block.ids
    samples = (offsets.shape[0] - 1) // len(rows.whole) // sharding.devices
    return jnp.where(block.at.sample // samples == sharding.index(), block.ids, -1)


def _lookup_group(sharding: Sharding, group, rows, tables, ids, offsets, id_weights, implementation):
    """f32[B/devices, columns] of the device's samples, and what depends on its reads."""
    if group.exchanged:
        blocks = [tables[name] for name in group.tables]
        whole = [b.shape[0] * sharding.devices for b in blocks]
        return exchanged_lookup(sharding, group, blocks, whole, ids, offsets, id_weights, implementation)
    out, read = ops.lookup(
        [tables[name] for name in group.tables],
        _group_ids(sharding, group, rows, ids, offsets),
        offsets,
        id_weights,
        features=_summed(group.layout),
        columns=group.columns,
        implementation=implementation,
    )
    if group.split:
        return jax.lax.psum_scatter(out, sharding.axis, scatter_dimension=0, tiled=True), read
    samples = out.shape[0] // sharding.devices
    return jax.lax.dynamic_slice_in_dim(out, sharding.index() * samples, samples), read


@functools.partial(jax.jit, static_argnums=(0, 1))
def sharded_id_weights_gradient(sharding: Sharding, spec, tables, bags, d_acts) -> jax.Array:
    """f32[N], whole on every device: each adds what its own rows contribute."""

    def on_device(tables, ids, offsets, d_acts: dict[str, Any]):
        rows = Rows.of(sharding, [(f.table, spec.table_of(f).rows) for f in spec.features])
        total = jnp.zeros(ids.shape, jnp.float32)
        for group in spec.lookup_groups:
            mine = [f for f, l in zip(spec.features, group.layout, strict=True) if l.table >= 0]
            parts = [d_acts[f.name].reshape(d_acts[f.name].shape[0], -1) for f in mine]
            whole = jax.lax.all_gather(jnp.concatenate(parts, axis=1), sharding.axis, axis=0, tiled=True)
            total = total + ops.id_weights_grad(
                whole,
                [tables[name] for name in group.tables],
                _group_ids(sharding, group, rows, ids, offsets),
                offsets,
                features=_summed(group.layout),
                implementation=spec.implementation,
            )
        total = jax.lax.psum(total, sharding.axis)
        block = take_block(sharding, rows, ids, offsets)
        count = count_valid(block.valid, offsets)[jnp.minimum(block.at.bag, offsets.shape[0] - 2)]
        is_mean = jnp.asarray([f.pooling == "mean" for f in spec.features])
        return jnp.where(is_mean[jnp.minimum(block.at.feature, len(spec.features) - 1)], total / count, total)

    table_specs = {name: sharding.spec_of(name) for name in tables}
    d_specs = dict.fromkeys(d_acts, sharding.split)
    args = tables, bags.ids, bags.offsets, d_acts
    return sharding.on_each_device(on_device, (table_specs, P(), P(), d_specs), P(), *args)
