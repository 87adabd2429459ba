"""`Feature`: the static description of one named input stream."""

import dataclasses
from typing import Literal, get_args

from jaxtbe.ops.layout import Pooling
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import config_text

Access = Literal["read_write", "read_only", "write_only"]
Keep = Literal["first", "last"]
POOLINGS, ACCESSES, KEEPS = get_args(Pooling), get_args(Access), get_args(Keep)


@dataclasses.dataclass(frozen=True, repr=False)
class Feature:
    """A named stream of bags of ids, looked up in one table.

    Args:
      name: unique within an `EmbeddingBags`; the key of the ids that go in and of the activations
        that come out.
      table: the name of its table.
      pooling: how the rows of a bag become one output: `"sum"`, `"mean"` (the sum, weighted where
        there are id weights, divided by the number of valid ids) or `"none"` (one row an id,
        zero-padded to `max_length`, longer bags cut).
      access: `"read_write"` (reads rows, its gradient updates them), `"read_only"` (reads rows and
        contributes nothing to the update) or `"write_only"` (reads zeros; its gradient overwrites
        rows: `row = -learning_rate * g`).
      max_length: for pooling `"none"`, the number of ids of a bag that are kept; for the others
        None.
      keep: for pooling `"none"`, which ids of a longer bag are kept: the `"first"`, or the `"last"`
        as for a history whose newest events come last. `EmbeddingBags.bags` counts the others in
        `Bags.cut`, and takes them out if the last are kept.

    Raises:
      TypeError: a name that is no string.
      ValueError: an unknown pooling or access, or a `max_length` that does not fit the pooling.
    """

    name: str
    table: str
    pooling: Pooling = "sum"
    access: Access = "read_write"
    max_length: int | None = None
    keep: Keep = "first"

    def __post_init__(self):
        api, obj = "jaxtbe.Feature", f"feature {self.name!r}"
        for field in ("name", "table"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value:
                raise type_error(
                    api, obj, f"a non-empty string as {field}", repr(value), f"Pass the {field} as a string"
                )
        if self.pooling not in POOLINGS:
            raise value_error(
                api, obj, "pooling 'sum', 'mean' or 'none'", repr(self.pooling), "Choose one of the three"
            )
        if self.access not in ACCESSES:
            raise value_error(
                api,
                obj,
                "access 'read_write', 'read_only' or 'write_only'",
                repr(self.access),
                "Choose one of the three",
            )
        if self.pooling == "none":
            if isinstance(self.max_length, bool) or not isinstance(self.max_length, int) or self.max_length < 1:
                raise value_error(
                    api,
                    obj,
                    "max_length >= 1 with pooling 'none'",
                    repr(self.max_length),
                    "Set max_length to the number of ids kept per bag",
                )
        elif self.max_length is not None:
            raise value_error(
                api,
                obj,
                f"no max_length with pooling {self.pooling!r}",
                repr(self.max_length),
                "Leave it out, or use pooling='none'",
            )
        if self.keep not in KEEPS or (self.keep != "first" and self.pooling != "none"):
            raise value_error(
                api,
                obj,
                "keep 'first', or 'last' with pooling 'none'",
                f"{self.keep!r} with pooling {self.pooling!r}",
                "Choose one of the two",
            )

    def __repr__(self) -> str:
        return config_text(self)

    @property
    def reads(self) -> bool:
        """Whether its lookup reads the table."""
        return self.access != "write_only"

    @property
    def writes(self) -> bool:
        """Whether its gradient changes the table."""
        return self.access != "read_only"
