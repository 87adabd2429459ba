"""`Bags`: one batch of ids, of every feature."""

import dataclasses
from typing import Any

import jax
import numpy as np

from jaxtbe.batch.describe import describe
from jaxtbe.batch.validate import check_bags
from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False)
class Bags:
    """A batch of ragged bags of ids, made by `EmbeddingBags.bags` in NumPy; picklable, and a
    pytree.

    Feature f of sample b has the ids at positions [offsets[f*B+b], offsets[f*B+b+1]). Positions at
    and past the last offset are padding.

    Args:
      ids: i32[N] row numbers (negative: no id), or uint32[N, 2] raw 64-bit ids before
        `EmbeddingBags.remap`.
      offsets: i32[F*B+1], feature-major.
      id_weights: f32[N], or None: all 1.
      update_mask: bool[N], or None: all True. A False id is read, and trains nothing.
      features: static, the names of the F features.
      batch_size: static, B.
      shards: static, number of equal parts that the arrays are made of, one per device; 1 unless
        `EmbeddingBags.global_bags` made the batch.

    Raises:
      TypeError: int64 NumPy ids, which JAX would truncate silently, or another wrong dtype.
    """

    ids: Any
    offsets: Any
    id_weights: Any
    update_mask: Any
    features: tuple[str, ...]
    batch_size: int
    shards: int = 1

    def __post_init__(self):
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise value_error("jaxtbe.Bags", "batch_size", "at least 1", repr(self.batch_size), "Skip empty batches")
        check_arrays("jaxtbe.Bags", self)
        if isinstance(self.shards, bool) or not isinstance(self.shards, int) or self.shards < 1:
            raise value_error("jaxtbe.Bags", "shards", "at least 1", repr(self.shards), "Leave it to global_bags")
        if not isinstance(self.features, tuple) or not all(isinstance(name, str) for name in self.features):
            raise type_error("jaxtbe.Bags", "features", "a tuple of names", repr(self.features), "Name the features")
        allowed = {
            "ids": ("int32", "uint32"),
            "offsets": ("int32",),
            "id_weights": ("float32",),
            "update_mask": ("bool",),
        }
        for name, dtypes in allowed.items():
            array = getattr(self, name)
            if array is not None and np.dtype(array.dtype).name not in dtypes:
                raise type_error(
                    "jaxtbe.Bags",
                    name,
                    " or ".join(dtypes),
                    np.dtype(array.dtype).name,
                    "Build batches with EmbeddingBags.bags",
                )

    @property
    def capacity(self) -> int:
        """Positions, padding included: N."""
        return self.ids.shape[0]

    @property
    def cut(self) -> dict[str, int]:
        """How many ids are past `Feature.max_length`, neither kept nor trained, for each feature
        that has any.

        It is known on the host alone: a batch that went through JAX, or that `replace` made, has an
        empty dict.
        """
        return dict(getattr(self, "_cut", {}))

    def replace(self, **changes) -> "Bags":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def validate(self, emb) -> None:
        """Checks on the host that every id is a row of its feature's table, before a step.

        Args:
          emb: the `EmbeddingBags` that the batch is for.

        Raises:
          ValueError: names the feature, its table, how many ids are faulty and the first of them;
            or broken offsets.
        """
        check_arrays("jaxtbe.Bags.validate", self)
        check_bags(self, getattr(emb, "spec", None))

    def describe(self) -> str:
        """What the batch holds, feature by feature, as text: ids, bags, empty ones, lengths; and
        the padding.

        Waits for the arrays, if they are on a device. Within `jit`, and for arrays of other
        processes, it reports shapes only.

        Example:
          >>> import jaxtbe
          >>> emb = jaxtbe.EmbeddingBags([jaxtbe.Table("item", rows=9, dim=4)], [jaxtbe.Feature("seen", table="item")])
          >>> print(emb.bags({"seen": [[1, 5, 7], [], [3]]}).describe())
          3 samples, 16 positions: ids i32[16], offsets i32[4]
          feature  ids  bags  empty  no id  mean length  longest
          ------------------------------------------------------
          seen       4     3      1      0         1.33        3
          padding: 12 of 16 positions (75%)
        """
        return describe(self)

    def __repr__(self) -> str:
        kinds = [k for k in ("id_weights", "update_mask") if getattr(self, k) is not None]
        extra = f", with {' and '.join(kinds)}" if kinds else ""
        return (
            f"Bags({len(self.features)} features x {self.batch_size} samples, capacity {self.ids.shape[0]} ids{extra})"
        )

    # A pytree by hand: its leaves can be anything while JAX transforms it, so they are not checked there.
    def tree_flatten_with_keys(self):
        names = ("ids", "offsets", "id_weights", "update_mask")
        children = tuple((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in names)
        return children, (self.features, self.batch_size, self.shards)

    @classmethod
    def tree_unflatten(cls, static, children):
        bags = object.__new__(cls)
        names = ("ids", "offsets", "id_weights", "update_mask", "features", "batch_size", "shards")
        for name, value in zip(names, (*children, *static), strict=True):
            object.__setattr__(bags, name, value)
        return bags


def check_arrays(api: str, bags: Any) -> None:
    """Raises unless this is a batch whose fields are arrays, with as many dimensions as they must
    have.
    """
    check_type(api, "batch", bags, Bags, "jaxtbe.Bags", "Build it with EmbeddingBags.bags")
    check_array(api, "ids", bags.ids, "an array i32[N] or u32[N, 2]", 1, 2)
    check_array(api, "offsets", bags.offsets, "an array i32[F*B+1]", 1)
    for name, text in (("id_weights", "an array f32[N] or None"), ("update_mask", "an array bool[N] or None")):
        if getattr(bags, name) is not None:
            check_array(api, name, getattr(bags, name), text, 1)
