"""`Spec`: validated tables and features, and what follows from them alone."""

import dataclasses
import functools
from typing import Any, get_args

from jaxtbe.model.feature import Feature
from jaxtbe.model.one_device import OneDevice
from jaxtbe.model.placement import Placement
from jaxtbe.model.table import Table
from jaxtbe.ops.implementation import Implementation
from jaxtbe.ops.layout import FeatureLayout
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.names import stable_id

_API = "jaxtbe.EmbeddingBags"
IMPLEMENTATIONS = (None, *get_args(Implementation))


@dataclasses.dataclass(frozen=True)
class LookupGroup:
    """The tables of one dtype, placement and way to travel: what one forward call serves."""

    dtype: Any
    tables: tuple[str, ...]
    layout: tuple[FeatureLayout, ...]  # of every feature of the spec; those of other groups have table -1
    columns: int
    split: bool = False  # whether the rows of its tables are split over devices
    exchanged: bool = False  # whether these rows travel to the samples by an all-to-all


@dataclasses.dataclass(frozen=True)
class Spec:
    """The static part of an `EmbeddingBags`: hashable, without arrays."""

    tables: tuple[Table, ...]
    features: tuple[Feature, ...]
    implementation: Implementation | None = None
    placement: Placement = dataclasses.field(default_factory=OneDevice)

    def __post_init__(self):
        _check_names("table", self.tables, Table)
        _check_names("feature", self.features, Feature)
        known = self.tables_by_name
        for feature in self.features:
            if feature.table not in known:
                raise value_error(
                    _API,
                    f"feature {feature.name!r}",
                    f"a table among {sorted(known)}",
                    repr(feature.table),
                    "Add the table or correct its name",
                )
        for name in known:
            accesses = {f.access: f.name for f in self.features if f.table == name and f.writes}
            if len(accesses) > 1:
                raise value_error(
                    _API,
                    f"table {name!r}",
                    "one access among its writing features",
                    " and ".join(f"{access!r} ({feature!r})" for access, feature in sorted(accesses.items())),
                    "Make them all read_write or all write_only, or one of them read_only",
                )
        if self.implementation not in IMPLEMENTATIONS:
            raise value_error(
                _API, "implementation", "None, 'native' or 'xla'", repr(self.implementation), "Choose one of the three"
            )
        for name in (*known, *self.feature_names):
            stable_id(name)

    @functools.cached_property
    def tables_by_name(self) -> dict[str, Table]:
        return {t.name: t for t in self.tables}

    @functools.cached_property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.features)

    def table_of(self, feature: Feature) -> Table:
        return self.tables_by_name[feature.table]

    def width(self, feature: Feature) -> int:
        """Columns of the feature's output in one sample."""
        return self.table_of(feature).dim * (feature.max_length or 1)

    def acts_shape(self, feature: Feature, batch_size: int) -> tuple[int, ...]:
        """Shape of the feature's activations."""
        dim = self.table_of(feature).dim
        return (batch_size, dim) if feature.max_length is None else (batch_size, feature.max_length, dim)

    def is_write_only(self, table: str) -> bool:
        """Whether the features that write this table overwrite it."""
        return any(f.table == table and f.access == "write_only" for f in self.features)

    @functools.cached_property
    def writing_features(self) -> tuple[Feature, ...]:
        return tuple(f for f in self.features if f.writes)

    @functools.cached_property
    def lookup_groups(self) -> tuple[LookupGroup, ...]:
        """One group a dtype, placement and way to travel, over the tables that a feature uses."""
        used = {f.table for f in self.features}
        members: dict[Any, list[str]] = {}
        for table in self.tables:
            if table.name in used:
                split, exchanged = self.placement.is_split(table.name), self.placement.is_exchanged(table.name)
                members.setdefault((table.dtype, split, exchanged), []).append(table.name)
        groups = []
        for (dtype, split, exchanged), names in members.items():
            layout, column = [], 0
            for feature in self.features:
                mine = feature.table in names
                layout.append(
                    FeatureLayout(
                        table=names.index(feature.table) if mine else -1,
                        pooling=feature.pooling,
                        column=column,
                        max_length=feature.max_length or 1,
                        reads=feature.reads,
                    )
                )
                column += self.width(feature) if mine else 0
            groups.append(LookupGroup(dtype, tuple(names), tuple(layout), column, split, exchanged))
        return tuple(groups)


def _check_names(kind: str, items: tuple, cls: type) -> None:
    if not items:
        raise value_error(_API, f"{kind}s", f"at least one {kind}", "none", f"Pass a list of jaxtbe.{cls.__name__}")
    for item in items:
        if not isinstance(item, cls):
            raise type_error(
                _API, f"{kind}s", f"jaxtbe.{cls.__name__} objects", repr(item), f"Wrap it in jaxtbe.{cls.__name__}"
            )
    names = [item.name for item in items]
    for name in names:
        if names.count(name) > 1:
            raise value_error(
                _API, f"{kind} {name!r}", "unique names", f"{names.count(name)} of them", f"Rename one {kind}"
            )
