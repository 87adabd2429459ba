"""`Recording`: the lookups of one run of a loss, found by the very arrays that `value_and_grad`
gave it as tables.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp

from jaxtbe.autodiff import logged_lookup
from jaxtbe.autodiff.lookup import Taps, lookup, make_taps
from jaxtbe.batch.bags import Bags
from jaxtbe.model.spec import Spec
from jaxtbe.support.errors import runtime_error

API = "jaxtbe.value_and_grad"

_active: contextvars.ContextVar[tuple["Recording", ...]] = contextvars.ContextVar("jaxtbe recordings", default=())


class Found(NamedTuple):
    """A lookup of one run of a loss."""

    params: int  # which EmbeddingParams of the arguments
    spec: Spec
    bags: Bags
    faults: jax.Array


def _trace_state() -> Any:
    from jax.extend.core import get_opaque_trace_state  # slow to import, and needed only while a loss is traced

    return get_opaque_trace_state()


class Recording:
    """The lookups of one run of a loss, in order. Without taps it only notes what taps they need.

    Args:
      given: for each `EmbeddingParams` the tables that lookups read.
      seen: the same tables as the loss sees them. A lookup belongs to this run if it gets these
        very arrays: scaled, cast or stopped ones are others, and an ordinary lookup with a dense
        gradient is made of them.
      taps: of the lookups, in their order.
      log_taps: of the lookups in nested transformations.
      guarded: a `Guarded` for each table that the loss sees through a guard.
    """

    def __init__(
        self,
        given: list[dict[str, Any]],
        seen: list[dict[str, Any]],
        taps: list[Taps] | None,
        log_taps: dict[str, jax.Array] | None = None,
        guarded: Sequence[Any] = (),
    ):
        self.given = given
        self.places = {id(table): (i, name) for i, tables in enumerate(seen) for name, table in tables.items()}
        self.seen = seen  # keeps what the ids are of
        self.taps = taps
        self.log_taps = log_taps or {}
        self.guarded = guarded
        self.lookups: list[Found] = []
        self.nested: dict[str, tuple[int, Spec, int]] = {}  # key of its log to params, spec and batch size
        self.trace_state = _trace_state()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Within, `recorded_lookup` finds this recording."""
        token = _active.set((*_active.get(), self))
        try:
            yield
        finally:
            _active.reset(token)
            self.places, self.seen = {}, []

    def params_of(self, tables: Mapping[str, Any]) -> int | None:
        """Which `EmbeddingParams` these tables are, or None: not those of one, unchanged."""
        places = [self.places.get(id(table)) for table in tables.values()]
        found = {place[0] for place in places if place is not None}
        same = [place is not None and place[1] == name for place, name in zip(places, tables, strict=True)]
        return found.pop() if all(same) and len(found) == 1 else None

    def lookup(self, params: int, spec: Spec, bags: Bags) -> dict[str, jax.Array]:
        tables = {t.name: self.given[params][t.name] for t in spec.tables}
        if _trace_state() != self.trace_state:
            return self._nested_lookup(params, spec, tables, bags)
        taps = make_taps(spec, bags.batch_size) if self.taps is None else self.taps[len(self.lookups)]
        acts, faults = lookup(spec, tables, bags, taps, recorded=True)
        self.lookups.append(Found(params, spec, bags, faults))
        return acts

    def _nested_lookup(self, params: int, spec: Spec, tables, bags: Bags) -> dict[str, jax.Array]:
        if not logged_lookup.SUPPORTED or not spec.placement.nests_lookups:
            refuse_nested(spec)
        key = f"jaxtbe lookup {len(self.nested)}"
        self.nested[key] = params, spec, bags.batch_size
        return logged_lookup.logged_lookup(spec, key, tables, bags, self.log_taps.get(key, jnp.zeros(())))


def recorded_lookup(spec: Spec, tables: Mapping[str, Any], bags: Bags) -> dict[str, jax.Array] | None:
    """The activations, if the tables are those of a loss that is being differentiated; else None."""
    for recording in reversed(_active.get()):
        params = recording.params_of(tables)
        if params is not None:
            return recording.lookup(params, spec, bags)
    _note_nested(spec)
    return None


def is_recorded(tables: Mapping[str, Any]) -> bool:
    """Whether any of these arrays is a table of a loss that is being differentiated."""
    return any(id(table) in recording.places for recording in _active.get() for table in tables.values())


def _note_nested(spec: Spec) -> None:
    """Remembers a lookup in a transformation within a loss: if a gradient of its tables is needed,
    the error says so.
    """
    for recording in _active.get():
        if recording.guarded and recording.trace_state != _trace_state():
            for about in recording.guarded:
                if about.name in spec.tables_by_name:
                    about.nested = spec


def refuse_nested(spec: Spec) -> NoReturn:
    """Raises for a lookup whose gradient no tap can reach."""
    raise runtime_error(
        API,
        f"lookup of features {spec.feature_names}",
        "a lookup in the loss itself",
        "one inside a nested transformation (jit, scan, vmap, checkpoint, ...) of the loss",
        "Look up before the nested function and pass the activations in",
    )
