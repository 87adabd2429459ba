"""Helpers for users migrating from FBGEMM."""

from collections.abc import Mapping
from typing import Any

from jaxtbe.model.feature import Access, Feature, Pooling
from jaxtbe.model.table import Duplicates, Table
from jaxtbe.module import EmbeddingBags
from jaxtbe.support.arguments import check_type
from jaxtbe.support.errors import value_error

_POOLINGS: dict[str, Pooling] = {"SUM": "sum", "MEAN": "mean", "NONE": "none"}


def from_fbgemm_writeback(
    tables: Mapping[str, tuple[int, int]],
    features: Mapping[str, str],
    *,
    learning_rate: Any = 1.0,
    optimizer: str = "EXACT_SGD",
    pooling_mode: str = "SUM",
    max_length: int | None = None,
    use_writeback_bwd_prehook: bool = True,
    writeback_first_feature_only: bool = False,
    precompute_writeback: bool = False,
):
    """The tables, features and optimizer that do what FBGEMM's writeback settings are documented to
    do.

    Train with a loss whose gradient at the activations is `acts - target`, such as
    `jaxtbe.writeback_loss`.

    Args:
      tables: table name to (rows, dim), FBGEMM's `embedding_specs`.
      features: feature name to table name, in FBGEMM's order (its `feature_table_map`).
      learning_rate: FBGEMM's `learning_rate`; 1.0 stores the target itself.
      optimizer: FBGEMM's `OptimType` by name. Writeback needs EXACT_SGD.
      pooling_mode: FBGEMM's `PoolingMode` by name: SUM, MEAN or NONE.
      max_length: for NONE, ids kept of each bag.
      use_writeback_bwd_prehook: write each row once, with the first occurrence's gradient. False:
        plain SGD over the sum.
      writeback_first_feature_only: only the first feature writes; the others read.
      precompute_writeback: taken and without effect: it says when FBGEMM finds the occurrences that
        write.

    Returns:
      An `EmbeddingBags` and a `jaxtbe.optim` optimizer.

    Raises:
      ValueError: an optimizer or pooling that FBGEMM does not offer here.
    """
    del precompute_writeback
    from jaxtbe import optim

    api = "jaxtbe.migrate.from_fbgemm_writeback"
    for name, given in (("tables", tables), ("features", features)):
        check_type(api, name, given, Mapping, "a dict", "Pass tables as {name: (rows, dim)}, features as {name: table}")
    if optimizer not in ("EXACT_SGD", "SGD"):
        raise value_error(
            api, "optimizer", "EXACT_SGD", repr(optimizer), "Writeback stores rows, which only SGD expresses"
        )
    if pooling_mode not in _POOLINGS:
        raise value_error(api, "pooling_mode", "SUM, MEAN or NONE", repr(pooling_mode), "Choose one of the three")
    if writeback_first_feature_only and not use_writeback_bwd_prehook:
        raise value_error(
            api,
            "writeback_first_feature_only",
            "use_writeback_bwd_prehook=True with it",
            "False",
            "Switch the prehook on, or this off",
        )
    duplicates: Duplicates = "first" if use_writeback_bwd_prehook else "sum"
    made = []
    for i, (name, table) in enumerate(features.items()):
        access: Access = "read_only" if writeback_first_feature_only and i > 0 else "read_write"
        made.append(Feature(name, table, _POOLINGS[pooling_mode], access, max_length))
    return (
        EmbeddingBags([Table(n, rows, dim, duplicates=duplicates) for n, (rows, dim) in tables.items()], made),
        optim.sgd(learning_rate),
    )
