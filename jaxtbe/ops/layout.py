"""How features lie in the operands of the ops: static descriptions, encoded as FFI attributes."""

import dataclasses

import numpy as np

_POOLING = {"sum": 0, "mean": 1, "none": 2}
_DUPLICATES = {"sum": 0, "first": 1, "last": 2}


@dataclasses.dataclass(frozen=True)
class FeatureLayout:
    """One feature of a forward call.

    Args:
      table: index into the call's tables, or -1: the call leaves this feature out.
      pooling: "sum", "mean" or "none".
      column: where its output begins in a row of the activations.
      max_length: ids of a bag that show, with pooling "none".
      reads: False (write-only): the output is zeros, and the table is not read.
    """

    table: int
    pooling: str = "sum"
    column: int = 0
    max_length: int = 1
    reads: bool = True


@dataclasses.dataclass(frozen=True)
class SourceLayout:
    """One writing feature of an update.

    Args:
      feature: which feature of the batch it is.
      num_features: how many features the batch has.
      table: index into the call's tables.
      pooling: "sum", "mean" or "none".
      column: where the gradient of its output begins in a row of `d_acts`.
      max_length: ids of a bag that show, with pooling "none".
    """

    feature: int
    num_features: int
    table: int
    pooling: str = "sum"
    column: int = 0
    max_length: int = 1


def _ints(rows) -> np.ndarray:
    return np.asarray([int(x) for row in rows for x in row], np.int64)


def encode_features(features: tuple[FeatureLayout, ...]) -> np.ndarray:
    return _ints((f.table, _POOLING[f.pooling], f.column, f.max_length, f.reads) for f in features)


def encode_sources(sources: tuple[SourceLayout, ...]) -> np.ndarray:
    return _ints((s.feature, s.num_features, s.table, _POOLING[s.pooling], s.column, s.max_length) for s in sources)


def encode_shapes(shapes, duplicates: tuple[str, ...]) -> np.ndarray:
    """For each table its rows, dim and duplicates."""
    return _ints((rows, dim, _DUPLICATES[d]) for (rows, dim), d in zip(shapes, duplicates, strict=True))


def encode_lookups(lookups) -> np.ndarray:
    """For each `UpdateLookup` its number of sources, and whether it has id weights and an update mask."""
    return _ints((len(l.sources), l.id_weights is not None, l.update_mask is not None) for l in lookups)
