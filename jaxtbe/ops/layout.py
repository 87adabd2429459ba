"""The layout of features in the operands of the ops: static descriptions, encoded as FFI
attributes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from jaxtbe.ops.operands import check_choice, check_list, check_static
from jaxtbe.support.errors import type_error, value_error

Pooling = Literal["sum", "mean", "none"]
Duplicates = Literal["sum", "first", "last"]
_POOLING = {"sum": 0, "mean": 1, "none": 2}
_DUPLICATES = {"sum": 0, "first": 1, "last": 2}
DUPLICATES = tuple(_DUPLICATES)


@dataclasses.dataclass(frozen=True)
class FeatureLayout:
    """One feature of a forward call.

    Args:
      table: index into the call's tables, or -1: the call leaves this feature out.
      pooling: "sum", "mean" or "none".
      column: where its output begins in a row of the activations.
      max_length: ids kept of a bag, with pooling "none".
      reads: False (write-only): the output is zeros, and the table is not read.
    """

    table: int
    pooling: Pooling = "sum"
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
      max_length: ids kept of a bag, with pooling "none".
    """

    feature: int
    num_features: int
    table: int
    pooling: Pooling = "sum"
    column: int = 0
    max_length: int = 1


def check_features(api: str, features: Any, dims: Sequence[int], columns: int, fill: bool) -> None:
    """Raises unless each feature's output fits in a row of `columns`.

    Args:
      api: for the messages.
      features: `FeatureLayout`s.
      dims: of the call's tables.
      columns: width of the activations.
      fill: whether the outputs must fill the row, each column once.
    """
    check_list(api, "features", features)
    spans = []
    for f, feature in enumerate(features):
        name = f"features[{f}]"
        _check_kind(api, name, feature, FeatureLayout)
        check_static(api, f"{name}.table", feature.table, -1, len(dims))
        check_choice(api, f"{name}.reads", feature.reads, (True, False))
        if feature.table < 0:
            check_choice(api, f"{name}.pooling", feature.pooling, tuple(_POOLING))
            for field in (feature.column, feature.max_length):
                check_static(api, f"{name}, column and max_length", field, -(2**63), 2**63)
            continue
        spans.append(_check_span(api, name, feature, dims[feature.table], columns))
    if not fill:
        return
    edges = [0, *(edge for span in sorted(spans) for edge in span), columns]
    if edges[::2] != edges[1::2]:
        raise value_error(
            api,
            "features",
            f"outputs that fill {columns} columns, each once",
            f"the columns {sorted(spans)}",
            "Put the outputs side by side",
        )


def check_sources(
    api: str, lookup: str, sources: Any, shapes: Sequence[tuple[int, int]], columns: int | None = None
) -> int:
    """Raises unless the sources of one lookup fit each other and the tables. Returns its number of
    features.

    Args:
      api: for the messages.
      lookup: what the lookup is called there.
      sources: `SourceLayout`s.
      shapes: of the call's tables.
      columns: width of the gradients, or None: their place in it is not checked yet.
    """
    check_list(api, f"{lookup}.sources", sources, len(sources) if isinstance(sources, (list, tuple)) else None)
    least = 0
    for s, source in enumerate(sources):
        name = f"{lookup}.sources[{s}]"
        _check_kind(api, name, source, SourceLayout)
        check_static(api, f"{name}.num_features", source.num_features, 1, 2**31)
        if source.num_features != sources[0].num_features:
            raise value_error(
                api,
                f"{name}.num_features",
                f"{sources[0].num_features}, that of the first source",
                str(source.num_features),
                "Correct the static argument",
            )
        check_static(api, f"{name}.feature", source.feature, least, source.num_features)
        least = source.feature + 1  # in order, each once
        check_static(api, f"{name}.table", source.table, 0, len(shapes))
        if columns is not None:
            _check_span(api, name, source, shapes[source.table][1], columns)
    return sources[0].num_features if sources else 1


def _check_kind(api: str, name: str, item: Any, kind: type) -> None:
    if not isinstance(item, kind):
        raise type_error(api, name, f"a jaxtbe.ops.{kind.__name__}", f"a {type(item).__name__}", "Wrap it in one")


def _check_span(api: str, name: str, item: Any, dim: int, columns: int) -> tuple[int, int]:
    """The columns of an output, or of its gradient."""
    check_choice(api, f"{name}.pooling", item.pooling, tuple(_POOLING))
    check_static(api, f"{name}.max_length", item.max_length, 1, 2**31)
    width = dim * (item.max_length if item.pooling == "none" else 1)
    check_static(api, f"{name}.column", item.column, 0, columns + 1)
    if item.column + width > columns:
        raise value_error(
            api,
            name,
            f"{width} columns from column {item.column} on",
            f"{columns} columns in all",
            "Correct the layout",
        )
    return item.column, item.column + width


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
    """For each `UpdateLookup` its number of sources, and whether it has id weights and an update
    mask.
    """
    return _ints((len(l.sources), l.id_weights is not None, l.update_mask is not None) for l in lookups)
