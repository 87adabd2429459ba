"""What a training step over a mesh moves between devices, by formula."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtbe.model.spec import Spec
from jaxtbe.sharding.placement import Sharding
from jaxtbe.support.arguments import check_type
from jaxtbe.support.errors import value_error

_WORD = 4  # bytes of an int32 or float32


class StepBytes(NamedTuple):
    """Bytes of the whole arrays that travel in one step.

    With n devices, a device receives (n-1)/n of what is gathered (`ids`, `gradients`),
    reduce-scattered (`activations`) or exchanged (`exchanged`), and about 2(n-1)/n of what is
    reduced to all (`rows`).
    """

    ids: int
    """Gathered: ids, offsets, id weights and update mask of all devices' samples."""
    activations: int
    """Reduce-scattered: the sums of split tables, except exchanged ones."""
    gradients: int
    """Gathered: the gradients of the activations of all writing features, except those of exchanged tables."""
    rows: int
    """Reduced to all: the rows of raw ids, for each hashed table that is split."""
    exchanged: int = 0
    """Of one device, by all-to-all: the rows of tables with a `peer_capacity`, and the gradients of these rows."""

    def received(self, devices: int) -> float:
        """Bytes that each device receives in a step."""
        whole = self.ids + self.activations + self.gradients + 2 * self.rows + self.exchanged
        return whole * (devices - 1) / devices


def step_bytes(
    emb,
    batch_size: int,
    capacity: int,
    devices: int,
    *,
    replicated: tuple[str, ...] | None = None,
    peer_capacity: Mapping[str, int] | None = None,
    id_weights: bool = False,
    update_mask: bool = False,
    spread: bool = True,
) -> StepBytes:
    """The bytes of one step's collectives: remap, lookup and update. Those of dense parameters are
    their own size.

    Args:
      emb: an `EmbeddingBags`, of one device or over a mesh.
      batch_size: samples of all devices together.
      capacity: positions of each device's part of the batch.
      devices: how many there are.
      replicated: tables that every device holds whole; None: those of `emb`.
      peer_capacity: of tables whose rows travel, as in `EmbeddingBags.shard`; None: that of `emb`.
      id_weights, update_mask: whether batches have them.
      spread: whether samples are split over the devices (`EmbeddingBags.global_bags`), or every
        device has the whole batch.

    Returns:
      A `StepBytes`.

    Example:
      >>> import jaxtbe
      >>> emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=64, dim=8)], [jaxtbe.Feature("f", table="t")])
      >>> jaxtbe.sharding.step_bytes(emb, batch_size=32, capacity=4, devices=8)
      StepBytes(ids=288, activations=1024, gradients=1024, rows=0, exchanged=0)
    """
    spec: Any = getattr(emb, "spec", None)
    api, kind = "jaxtbe.sharding.step_bytes", "a jaxtbe.EmbeddingBags"
    check_type(api, "emb", spec, Spec, kind, "Pass one")
    if replicated is None:
        replicated = spec.placement.replicated if isinstance(spec.placement, Sharding) else ()
    if peer_capacity is None:
        peer_capacity = dict(spec.placement.peer_capacity) if isinstance(spec.placement, Sharding) else {}
    check_type(api, "peer_capacity", peer_capacity, Mapping, "a dict from table name to rows", "Pass a dict")
    check_type(api, "replicated", replicated, (tuple, list), "a tuple of table names", "Pass a tuple")
    unknown = [name for name in (*peer_capacity, *replicated) if name not in spec.tables_by_name]
    if unknown:
        known = f"tables among {sorted(spec.tables_by_name)}"
        raise value_error(api, "replicated and peer_capacity", known, str(unknown), "Correct the names")
    positions = capacity * devices
    hashed = [t for t in spec.tables if t.zch is not None]
    id_bytes = _WORD * (2 if hashed else 1) + _WORD * id_weights + update_mask
    offsets = _WORD * (len(spec.features) * batch_size + devices)
    split = [f for f in spec.features if f.table not in replicated and f.table not in peer_capacity]
    writing = [f for f in spec.writing_features if f.table not in peer_capacity]
    return StepBytes(
        ids=positions * id_bytes + offsets if spread else 0,
        activations=_WORD * batch_size * sum(spec.width(f) for f in split),
        gradients=_WORD * batch_size * sum(spec.width(f) for f in writing),
        rows=_WORD * positions * sum(t.name not in replicated for t in hashed),
        exchanged=_WORD * devices * sum(c * _travels(spec, t) for t, c in peer_capacity.items()),
    )


def _travels(spec, table: str) -> int:
    """Numbers that travel for a row of an exchanged table: there, and its gradient back."""
    features = [f for f in spec.features if f.table == table]
    there = any(f.reads for f in features)
    return spec.tables_by_name[table].dim * (there + any(f.writes for f in features))
