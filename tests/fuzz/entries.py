"""A call that fits, for each op: what the misfits are made of. A new op or FFI target needs an entry here."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxtbe
from jaxtbe import ops
from jaxtbe.ops import FeatureLayout, SourceLayout, UpdateLookup
from jaxtbe.optim.rules.adam import ADAM
from jaxtbe.optim.rules.partial_rowwise_adam import PARTIAL_ROWWISE_ADAM
from jaxtbe.optim.rules.sgd import SGD

F, B, N, ROWS, DIM = 3, 4, 24, 11, 5
POOLINGS = ("sum", "mean", "none")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One op.

    Args:
      arrays: from a generator, the operands of a call: a pytree of NumPy arrays.
      static: its static arguments.
      call: calls the op with both.
    """

    arrays: Callable[[np.random.Generator], Any]
    static: dict[str, Any]
    call: Callable[..., Any]


def _offsets(rng):
    return np.concatenate([[0], np.sort(rng.integers(0, N + 1, F * B))]).astype(np.int32)


def _table(rng, rows=ROWS, dim=DIM, dtype=np.float32):
    return rng.normal(size=(rows, dim)).astype(dtype)


def _batch(rng):
    return {"ids": rng.integers(-1, ROWS + 1, N).astype(np.int32), "offsets": _offsets(rng)}


def _words(rng, n=N):
    return jaxtbe.pack_ids(rng.integers(0, 40, n))


FEATURES = tuple(
    FeatureLayout(t, pooling=p, column=c, max_length=2) for t, p, c in zip((0, 1, 0), POOLINGS, (0, 5, 10), strict=True)
)
SOURCES = tuple(
    SourceLayout(f, F, t, pooling=p, column=c, max_length=2)
    for f, (t, p, c) in enumerate(zip((0, 1, 0), POOLINGS, (0, 5, 10), strict=True))
)
COLUMNS = 4 * DIM


def _lookup(rng):
    return {"tables": [_table(rng), _table(rng, 7)], **_batch(rng), "id_weights": rng.normal(size=N).astype(np.float32)}


def _id_weights_grad(rng):
    d_acts = rng.normal(size=(B, COLUMNS)).astype(np.float32)
    return {"d_acts": d_acts, "tables": [_table(rng), _table(rng, 7)], **_batch(rng)}


def _shares(rng):
    share = {
        **_batch(rng),
        "id_weights": rng.normal(size=N).astype(np.float32),
        "update_mask": rng.random(N) < 0.8,
        "d_acts": rng.normal(size=(B, COLUMNS)).astype(np.float32),
    }
    return [share, {**share, "id_weights": None, "update_mask": None}]


def _lookups(shares, sources):
    return [UpdateLookup(**share, sources=sources) for share in shares]


def _update(rule):
    def arrays(rng):
        tables = [_table(rng), _table(rng, 7)]
        states = [[np.ones(t.shape[:1] if s.per_row else t.shape, np.float32) for s in rule.states] for t in tables]
        hyper = np.full((2, rule.numbers), 0.1, np.float32)
        noise = np.zeros(4, np.uint32)
        return {"tables": tables, "states": states, "hyper": hyper, "noise": noise, "shares": _shares(rng)}

    def call(arrays, sources, rule, **static):
        arrays = dict(arrays)
        lookups = _lookups(arrays.pop("shares"), sources)
        return ops.update(**arrays, lookups=lookups, rule=rule, **static)

    static = {"sources": SOURCES, "rule": rule, "duplicates": ("sum", "last"), "table_ids": (3, 2**32 - 1)}
    return Entry(arrays, static, call)


def _of_shares(op):
    def call(arrays, sources, **static):
        return op(_lookups(arrays["shares"], sources), **static)

    static = {"sources": SOURCES, "shapes": ((ROWS, DIM), (7, DIM)), "duplicates": ("sum", "first")}
    return Entry(lambda rng: {"shares": _shares(rng)}, static, call)


def _plain(op):
    return lambda arrays, **static: op(**arrays, **static)


def _rows(rng):
    rows = np.concatenate([rng.permutation(7)[:6], rng.permutation(7)[:6]]).astype(np.int32)
    return {"tables": [_table(rng), _table(rng, 7)], "rows": rows, "starts": np.asarray([0, 6, 12], np.int32)}


def _reset(rng):
    slots = np.asarray([2, 5, 7, -1, -1], np.int32)
    states = [_table(rng), np.ones(ROWS, np.float32)]
    return {"table": _table(rng), "states": states, "slots": slots, "ids": _words(rng, 5), "seed": np.uint32(3)}


def _insert(rng):
    slots = ops.ZchSlots(
        np.full((16, 2), 0xFFFFFFFF, np.uint32), np.full(16, -1, np.int32), np.int32(0), np.zeros(16, np.int32)
    )
    batch = ops.ZchBatch(_words(rng), _offsets(rng), rng.random(N) < 0.8, rng.integers(0, 9, N).astype(np.int32))
    return {"slots": slots._asdict(), "batch": batch._asdict(), "now": np.int32(5), "ttl": np.int32(2)}


def _call_insert(arrays, **static):
    slots, batch = ops.ZchSlots(**arrays["slots"]), ops.ZchBatch(**arrays["batch"])
    return ops.zch_insert(slots, batch, arrays["now"], arrays["ttl"], **static)


ZCH = jaxtbe.Zch(policy="lru", ttl=1, buckets=2, reserved=1, on_full="reserved", track_counts=True)
ACCESS = ("read_write", "read_only", None)

ENTRIES: dict[str, Entry] = {
    "lookup": Entry(_lookup, {"features": FEATURES, "columns": COLUMNS}, _plain(ops.lookup)),
    "count_faults": Entry(_batch, {"rows": (ROWS, 7, 3)}, _plain(ops.count_faults)),
    "id_weights_grad": Entry(_id_weights_grad, {"features": FEATURES}, _plain(ops.id_weights_grad)),
    "update": _update(ADAM),
    "update_with_rows": _update(PARTIAL_ROWWISE_ADAM),
    "update_without_states": _update(SGD),
    "square_norms": _of_shares(ops.square_norms),
    "row_gradients": _of_shares(ops.row_gradients),
    "gather_rows": Entry(_rows, {}, _plain(ops.gather_rows)),
    "store_rows": Entry(lambda rng: {**_rows(rng), "values": _table(rng, 12)}, {}, _plain(ops.store_rows)),
    "reset_rows": Entry(_reset, {"table_number": 4, "scale": 0.5}, _plain(ops.reset_rows)),
    "zch_find": Entry(
        lambda rng: {"identities": _words(rng, 16), "ids": _words(rng), "offsets": _offsets(rng)},
        {"zch": ZCH, "access": ACCESS},
        _plain(ops.zch_find),
    ),
    "zch_insert": Entry(_insert, {"zch": ZCH, "access": ACCESS}, _call_insert),
}


def run(entry: Entry, arrays: Any, static: dict[str, Any], implementation: str) -> Any:
    """The results of one call, computed."""
    arrays = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x, arrays)
    return jax.block_until_ready(entry.call(arrays, **static, implementation=implementation))


def op_of(name: str) -> str:
    """The op of an entry: "update" of "update_with_rows"."""
    return name.partition("_with")[0]
