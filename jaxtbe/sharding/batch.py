"""Batches whose samples are on several devices: split on the host, gathered within the step."""

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from jaxtbe.batch.bags import Bags, check_arrays
from jaxtbe.batch.merge import merge_parts
from jaxtbe.sharding.placement import Sharding
from jaxtbe.support.arguments import check_shape
from jaxtbe.support.errors import value_error

API = "jaxtbe.EmbeddingBags.global_bags"
_LEAVES = ("ids", "offsets", "id_weights", "update_mask")


def split_bags(bags: Bags, parts: int, capacity: int | None = None) -> Bags:
    """A NumPy batch as `parts` batches of consecutive samples, one after another in each array.

    Args:
      bags: an ordinary batch of NumPy arrays.
      parts: how many; it divides the batch size.
      capacity: positions of each part, or None: those of the whole batch, which always suffice.
    """
    check_arrays(API, bags)
    wanted = (len(bags.features) * bags.batch_size + 1,)
    check_shape(API, "offsets", bags.offsets, wanted)
    for name in ("id_weights", "update_mask"):
        if getattr(bags, name) is not None:
            check_shape(API, name, getattr(bags, name), tuple(bags.ids.shape[:1]))
    batch, features = bags.batch_size // parts, len(bags.features)
    if bags.batch_size % parts:
        raise value_error(
            API, "batch", f"samples that {parts} devices share evenly", str(bags.batch_size), "Change the batch size"
        )
    capacity = bags.capacity if capacity is None else capacity
    bounds = np.asarray(bags.offsets)[np.arange(features * bags.batch_size).reshape(features, parts, batch)]
    ends = np.asarray(bags.offsets)[1:][np.arange(features * bags.batch_size).reshape(features, parts, batch)]
    out: dict[str, list[np.ndarray]] = {name: [] for name in _LEAVES}
    for part in range(parts):
        spans = [slice(bounds[f, part, 0], ends[f, part, -1]) for f in range(features)]
        lengths = (ends - bounds)[:, part].reshape(-1)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        if offsets[-1] > capacity:
            raise value_error(API, "capacity", f"at least {offsets[-1]}", str(capacity), "Pass a larger one")
        out["offsets"].append(offsets)
        for name, fill in (("ids", -1), ("id_weights", 0), ("update_mask", False)):
            array = getattr(bags, name)
            if array is not None:
                array = np.asarray(array)
                rest = np.full((capacity - offsets[-1], *array.shape[1:]), fill).astype(array.dtype)
                out[name].append(np.concatenate([*(array[s] for s in spans), rest]))
    joined = {name: np.concatenate(parts) if parts else None for name, parts in out.items()}
    return bags.replace(**joined, shards=parts)


def global_bags(sharding: Sharding, bags: Bags, capacity: int | None) -> Bags:
    """See `EmbeddingBags.global_bags`."""
    own = sum(d.process_index == jax.process_index() for d in sharding.mesh.devices.flat)
    own = max(1, own * sharding.devices // sharding.mesh.devices.size)
    local = split_bags(bags, own, capacity)
    place = sharding.named(sharding.split)
    whole = jax.tree.map(lambda x: jax.make_array_from_process_local_data(place, x), local)
    parts = sharding.devices // own
    return whole.replace(shards=sharding.devices, batch_size=bags.batch_size * parts)


def gather_bags(
    sharding: Sharding, num_features: int, bags: Bags, scores: jax.Array | None
) -> tuple[Bags, jax.Array | None]:
    """The whole batch on every device, where its samples are on several. An ordinary batch stays as
    it is.

    `scores` has one number for each position, and moves with it.
    """
    if bags.shards == 1:
        return bags, scores
    if bags.shards != sharding.devices:
        raise value_error(
            "jaxtbe.EmbeddingBags",
            "batch",
            f"one in {sharding.devices} parts",
            f"one in {bags.shards} parts",
            "Build it with global_bags of the same EmbeddingBags",
        )
    leaves = {**{name: getattr(bags, name) for name in _LEAVES}, "scores": scores}
    leaves = {name: x for name, x in leaves.items() if x is not None}

    def gather(leaves):
        whole = {n: jax.lax.all_gather(x, sharding.axis, axis=0, tiled=True) for n, x in leaves.items()}
        by_part = {n: x.reshape(bags.shards, -1, *x.shape[1:]) for n, x in whole.items()}
        return merge_parts(num_features, by_part)

    merged = sharding.on_each_device(gather, (sharding.split,), P(), leaves)
    scores = merged.pop("scores", None)
    return bags.replace(**merged, shards=1), scores
