"""A batch against the spec that a call is for, while it is traced."""

from typing import Any

import jax.numpy as jnp

from jaxtbe.batch.bags import check_arrays
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.EmbeddingBags"


def check_is_of(api: str, spec: Any, bags: Any) -> None:
    """Raises unless this is a batch with the features of this spec."""
    check_arrays(api, bags)
    if bags.features != spec.feature_names:
        raise value_error(
            api,
            "batch",
            f"the features {spec.feature_names}",
            f"{bags.features}",
            "Build it with the same EmbeddingBags",
        )


def check_batch(spec: Any, bags: Any) -> None:
    """Raises unless the batch is one for this spec, with ids that are row numbers."""
    check_is_of(API, spec, bags)
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
