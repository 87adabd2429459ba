"""What a lookup, its gradients and an assignment compute, in float64 NumPy and plain loops.

Written from the semantics alone: nothing here is shared with the package. `tables` and `features` are anything with
the attributes of `jaxtbe.Table` and `jaxtbe.Feature`; a batch is nested lists, `batch.ids[feature][sample][position]`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Ragged = Mapping[str, Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Batch:
    """One batch: per feature, a list of bags; per bag, a list of ids (and of their weights and update flags)."""

    ids: Ragged
    id_weights: Ragged | None = None
    update_mask: Ragged | None = None

    @property
    def size(self) -> int:
        return len(next(iter(self.ids.values())))


class Occurrence(NamedTuple):
    """One valid id at its place in the batch."""

    feature: Any
    sample: int
    position: int
    row: int
    weight: float  # the id's weight
    divisor: int  # the number of valid ids of a mean bag, otherwise 1
    updates: bool  # False where the update mask is off

    @property
    def scale(self) -> float:
        return self.weight / self.divisor

    def bag(self, acts: Mapping[str, np.ndarray]) -> np.ndarray:
        """This occurrence's slice of a per-feature dict of activations (a view)."""
        bags = acts[self.feature.name]
        return bags[self.sample, self.position] if self.feature.pooling == "none" else bags[self.sample]


class Fault(NamedTuple):
    count: int
    first: int


def by_name(tables) -> dict[str, Any]:
    return {table.name: table for table in tables}


def occurrences(tables, features, batch: Batch) -> Iterator[Occurrence]:
    """Every id that is a row and is not cut, in (feature, sample, position) order."""
    for feature in features:
        rows = by_name(tables)[feature.table].rows
        for sample, bag in enumerate(batch.ids[feature.name]):
            count = sum(0 <= id < rows for id in bag)
            for position, id in enumerate(bag):
                cut = feature.pooling == "none" and position >= feature.max_length
                if cut or not 0 <= id < rows:
                    continue
                weights, mask = batch.id_weights, batch.update_mask
                yield Occurrence(
                    feature,
                    sample,
                    position,
                    id,
                    weight=1.0 if weights is None else float(weights[feature.name][sample][position]),
                    divisor=count if feature.pooling == "mean" else 1,
                    updates=True if mask is None else bool(mask[feature.name][sample][position]),
                )


def faults(tables, features, batch: Batch) -> dict[str, Fault]:
    """Per feature with any, how many ids are no row of its table, and the first of them."""
    found = {}
    for feature in features:
        rows = by_name(tables)[feature.table].rows
        bad = [id for bag in batch.ids[feature.name] for id in bag if id >= rows]
        if bad:
            found[feature.name] = Fault(len(bad), bad[0])
    return found


def zeros_like_acts(tables, features, batch_size: int) -> dict[str, np.ndarray]:
    acts = {}
    for feature in features:
        dim = by_name(tables)[feature.table].dim
        shape = (batch_size, feature.max_length, dim) if feature.pooling == "none" else (batch_size, dim)
        acts[feature.name] = np.zeros(shape)
    return acts


def lookup(tables, features, values: Mapping[str, np.ndarray], batch: Batch) -> dict[str, np.ndarray]:
    """The activations of every feature."""
    acts = zeros_like_acts(tables, features, batch.size)
    for o in occurrences(tables, features, batch):
        if o.feature.access != "write_only":
            o.bag(acts)[...] += o.scale * values[o.feature.table][o.row].astype(np.float64)
    return acts


def lookup_magnitude(tables, features, values, batch: Batch) -> dict[str, np.ndarray]:
    """The sum of the absolute values of each activation's terms: what rounding errors are measured against."""
    weights = batch.id_weights
    if weights is not None:
        weights = {name: [[abs(w) for w in bag] for bag in bags] for name, bags in weights.items()}
    absolute = {name: np.abs(table.astype(np.float64)) for name, table in values.items()}
    return lookup(tables, features, absolute, Batch(batch.ids, weights))


def row_gradients(tables, features, lookups: Sequence[tuple[Batch, Mapping]]) -> dict[str, dict[int, np.ndarray]]:
    """Per table, the gradient of each touched row, over all lookups of one loss.

    Args:
      lookups: for each lookup, in order, its batch and the gradient of its activations.
    """
    gradients: dict[str, dict[int, np.ndarray]] = {table.name: {} for table in tables}
    for batch, d_acts in lookups:
        for o in occurrences(tables, features, batch):
            if o.updates and o.feature.access != "read_only":
                stores = o.feature.access == "write_only"  # the value itself, whatever the pooling and the weights
                contribution = (1.0 if stores else o.scale) * np.asarray(o.bag(d_acts), np.float64)
                duplicates = by_name(tables)[o.feature.table].duplicates
                _combine(gradients[o.feature.table], o.row, contribution, duplicates)
    return gradients


def _combine(rows: dict[int, np.ndarray], row: int, contribution: np.ndarray, duplicates: str) -> None:
    if row not in rows or duplicates == "last":
        rows[row] = contribution
    elif duplicates == "sum":
        rows[row] = rows[row] + contribution


def dense_gradients(tables, features, lookups) -> dict[str, np.ndarray]:
    """The gradient of each table as an array of the table's shape; every occurrence counts."""
    gradients = {table.name: np.zeros((table.rows, table.dim)) for table in tables}
    for batch, d_acts in lookups:
        for o in occurrences(tables, features, batch):
            if o.updates and o.feature.access == "read_write":
                gradients[o.feature.table][o.row] += o.scale * np.asarray(o.bag(d_acts), np.float64)
    return gradients


def id_weight_gradients(tables, features, values, batch: Batch, d_acts) -> dict[str, list[list[float]]]:
    """The gradient of every id's weight, ragged like the batch; 0 for ids that are no row."""
    gradients = {name: [[0.0] * len(bag) for bag in bags] for name, bags in batch.ids.items()}
    for o in occurrences(tables, features, batch):
        if o.feature.access != "write_only":
            row = values[o.feature.table][o.row].astype(np.float64)
            gradients[o.feature.name][o.sample][o.position] = float(row @ o.bag(d_acts)) / o.divisor
    return gradients


def assign(tables, features, values, batch: Batch, targets) -> dict[str, np.ndarray]:
    """The tables after each bag's value went to each of its ids, unweighted and undivided.

    Args:
      targets: values for some of the features.
    """
    chosen: dict[str, dict[int, np.ndarray]] = {table.name: {} for table in tables}
    for o in occurrences(tables, features, batch):
        if o.updates and o.feature.name in targets:
            duplicates = by_name(tables)[o.feature.table].duplicates
            _combine(chosen[o.feature.table], o.row, np.asarray(o.bag(targets)), duplicates)
    return {name: replace_rows(values[name], rows) for name, rows in chosen.items()}


def overwrite(values: np.ndarray, gradients: Mapping[int, np.ndarray], learning_rate: float) -> np.ndarray:
    """A write-only table after its step: the touched rows are `-learning_rate * g`, whatever they held."""
    return replace_rows(values, {row: -learning_rate * g for row, g in gradients.items()})


def replace_rows(values: np.ndarray, rows: Mapping[int, np.ndarray]) -> np.ndarray:
    """A copy of `values`, in its dtype, with some rows replaced."""
    replaced = values.copy()
    for row, value in rows.items():
        replaced[row] = value.astype(values.dtype)
    return replaced
