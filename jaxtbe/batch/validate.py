"""The body of `Bags.validate`: a batch against the tables and features it is for."""

from typing import Any

import numpy as np

from jaxtbe.batch.ids import unpack_ids
from jaxtbe.support.arguments import check_shape
from jaxtbe.support.errors import type_error, value_error


def check_bags(bags: Any, spec: Any) -> None:
    """Raises unless offsets are in order and every id is a row of its table."""
    if not hasattr(spec, "tables_by_name"):
        raise type_error(
            "jaxtbe.Bags.validate",
            "emb",
            "a jaxtbe.EmbeddingBags",
            type(spec).__name__,
            "Pass the one that the batch is for",
        )
    if bags.features != spec.feature_names:
        raise value_error(
            "jaxtbe.Bags.validate",
            "batch",
            f"the features {spec.feature_names}",
            f"{bags.features}",
            "Pass the EmbeddingBags that built it",
        )
    check_shape("jaxtbe.Bags.validate", "offsets", bags.offsets, (len(spec.features) * bags.batch_size + bags.shards,))
    offsets, ids = np.asarray(bags.offsets), np.asarray(bags.ids)
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > ids.shape[0]:
        raise value_error(
            "jaxtbe.Bags.validate",
            "offsets",
            f"0 to at most {ids.shape[0]}, never falling",
            f"{offsets[0]} to {offsets[-1]}",
            "Build batches with EmbeddingBags.bags",
        )
    if ids.ndim == 2:
        ids = unpack_ids(ids)
    for f, feature in enumerate(spec.features):
        longest = int(np.diff(offsets[f * bags.batch_size : (f + 1) * bags.batch_size + 1]).max(initial=0))
        if feature.keep == "last" and feature.max_length is not None and longest > feature.max_length:
            raise value_error(
                "jaxtbe.Bags.validate",
                f"feature {feature.name!r}",
                f"bags of at most {feature.max_length} ids with keep='last'",
                str(longest),
                "Build batches with EmbeddingBags.bags, which cuts them",
            )
        if bags.ids.ndim == 2 and spec.table_of(feature).zch is not None:
            continue  # a raw id may be any number
        mine = ids[offsets[f * bags.batch_size] : offsets[(f + 1) * bags.batch_size]]
        faulty = mine[mine >= spec.table_of(feature).rows]
        if faulty.size:
            raise value_error(
                "jaxtbe.Bags.validate",
                f"feature {feature.name!r} of table {feature.table!r}",
                f"ids below {spec.table_of(feature).rows}",
                f"{faulty.size} at or past it, the first {int(faulty[0])}",
                "Correct the ids, or enlarge the table",
            )
