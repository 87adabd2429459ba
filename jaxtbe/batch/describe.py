"""Describes a batch as text, feature by feature."""

from typing import Any

import jax
import numpy as np

from jaxtbe.batch.ids import unpack_ids
from jaxtbe.support.text import array_text, columns_text

_LEAVES = ("ids", "offsets", "id_weights", "update_mask")


def describe(bags: Any) -> str:
    """See `Bags.describe`."""
    shapes = ", ".join(f"{name} {array_text(getattr(bags, name))}" for name in _LEAVES if _has(bags, name))
    title = f"{bags.batch_size} samples, {bags.capacity} positions: {shapes}"
    if np.ndim(bags.offsets) != 1 or not all(_is_here(getattr(bags, name)) for name in _LEAVES if _has(bags, name)):
        return f"{title}\nfeatures {', '.join(bags.features)}: no values to count, the batch is traced or is on other devices"
    filled, rows = 0, []
    for name, lengths, ids, masked in _features(bags):
        filled += ids.size
        valid = ids.size - _no_ids(ids, raw=bags.ids.ndim == 2)
        mean = f"{lengths.mean():.2f}" if lengths.size else "0.00"
        row = [
            name,
            valid,
            lengths.size,
            int((lengths == 0).sum()),
            ids.size - valid,
            mean,
            int(lengths.max(initial=0)),
        ]
        rows.append([*row, masked] if bags.update_mask is not None else row)
    header = ["feature", "ids", "bags", "empty", "no id", "mean length", "longest"]
    header += ["masked"] if bags.update_mask is not None else []
    padding = bags.capacity - filled
    cut = "".join(f"\ncut from {name}: {count:,} ids past max_length" for name, count in bags.cut.items())
    end = f"padding: {padding:,} of {bags.capacity:,} positions ({padding / bags.capacity:.0%}){cut}"
    return "\n".join([title, columns_text(header, rows), end])


def _has(bags: Any, name: str) -> bool:
    return getattr(bags, name) is not None


def _is_here(array) -> bool:
    """Whether this process can read the values."""
    return not isinstance(array, (jax.core.Tracer, jax.ShapeDtypeStruct)) and getattr(
        array, "is_fully_addressable", True
    )


def _no_ids(ids: np.ndarray, raw: bool) -> int:
    return int((ids == -1).sum() if raw else (ids < 0).sum())


def _features(bags: Any):
    """Of each feature: its name, the lengths of its bags, its ids, and how many of them the update
    mask excludes.
    """
    parts = bags.shards
    offsets = np.asarray(bags.offsets).reshape(parts, -1)
    ids = np.asarray(bags.ids)
    ids = (unpack_ids(ids) if ids.ndim == 2 else ids).reshape(parts, -1)
    mask = None if bags.update_mask is None else np.asarray(bags.update_mask).reshape(parts, -1)
    batch = bags.batch_size // parts
    for f, name in enumerate(bags.features):
        bounds = offsets[:, f * batch : (f + 1) * batch + 1]
        spans = [(part, slice(bounds[part, 0], bounds[part, -1])) for part in range(parts)]
        mine = np.concatenate([ids[part, span] for part, span in spans])
        masked = 0 if mask is None else int(sum((~mask[part, span]).sum() for part, span in spans))
        yield name, np.diff(bounds, axis=1).reshape(-1), mine, masked
