"""Builds `Bags` from arrays, lists of lists, or (ids, lengths): arrays, lists of lists, or ids with
lengths. NumPy only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxtbe.batch.bags import Bags
from jaxtbe.batch.columns import bag_array, is_list_of_bags, join, plain_column, whole_numbers
from jaxtbe.batch.ids import pack_ids
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.EmbeddingBags.bags"
_INT32 = np.iinfo(np.int32)


class _Ragged(NamedTuple):
    values: np.ndarray
    lengths: np.ndarray
    trimmed: np.ndarray | None  # bool[B, L]: which entries of a 2-D input were kept
    kept: np.ndarray | None = None  # bool[ids before cutting]: which ids were kept, where any were cut here
    cut: int = 0  # how many ids of bags longer than max_length neither show nor train


def build_bags(spec, ids, id_weights=None, update_mask=None, capacity=None, raw=False) -> Bags:
    """See `EmbeddingBags.bags`. `raw`: keep 64-bit ids, as uint32[N, 2]."""
    _check_features(spec, "ids", ids)
    given = {
        f.name: _cut(f, _ragged_ids(f.name, ids[f.name], raw, spec.table_of(f).zch is not None))
        for f in spec.features
        if ids[f.name] is not None
    }
    batch_size = _batch_size(given)
    empty = _Ragged(np.zeros(0, np.int64), np.zeros(batch_size, np.int64), None)
    raggeds = [given.get(f.name, empty) for f in spec.features]
    lengths = np.concatenate([r.lengths for r in raggeds])
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    count = int(offsets[-1])
    capacity = _capacity(count, capacity)
    flat = np.full(capacity, -1, np.int64 if raw else np.int32)
    np.concatenate([r.values for r in raggeds], out=flat[:count], casting="unsafe")
    bags = Bags(
        ids=pack_ids(flat) if raw else flat,
        offsets=offsets.astype(np.int32),
        id_weights=_companion(spec, raggeds, "id_weights", id_weights, np.float32, 1, capacity),
        update_mask=_companion(spec, raggeds, "update_mask", update_mask, np.bool_, True, capacity),
        features=spec.feature_names,
        batch_size=batch_size,
    )
    cut = {name: r.cut for name, r in given.items() if r.cut}
    object.__setattr__(bags, "_cut", cut)
    return bags


def _cut(feature, ragged: _Ragged) -> _Ragged:
    """Counts the ids of bags longer than `max_length`. The lookup reads the first ones; for the
    last, the others go here.
    """
    longest = feature.max_length
    if longest is None or not ragged.lengths.size or ragged.lengths.max() <= longest:
        return ragged
    cut = int(np.maximum(ragged.lengths - longest, 0).sum())
    if feature.keep == "first":
        return ragged._replace(cut=cut)
    from_the_end = np.repeat(np.cumsum(ragged.lengths), ragged.lengths) - 1 - np.arange(ragged.values.size)
    kept = from_the_end < longest
    lengths = np.minimum(ragged.lengths, longest)
    return ragged._replace(values=ragged.values[kept], lengths=lengths, kept=kept, cut=cut)


def round_capacity(count: int) -> int:
    """The least of a small set of sizes, four to a doubling, that holds `count` ids: batches then
    repeat few shapes.
    """
    if count <= 16:
        return 16
    step = 1 << (int(count - 1).bit_length() - 3)
    return -(-count // step) * step


def _capacity(count: int, capacity: int | None) -> int:
    if capacity is None:
        capacity = round_capacity(count)
    if isinstance(capacity, bool) or not isinstance(capacity, (int, np.integer)):
        raise type_error(API, "capacity", "a whole number or None", repr(capacity), "Pass the positions to pad to")
    if count > capacity:
        raise value_error(
            API, "capacity", f"at least the {count} ids of the batch", str(capacity), "Raise the capacity"
        )
    if capacity > _INT32.max:
        raise value_error(API, "capacity", "fewer than 2**31 ids", str(capacity), "Split the batch")
    return max(1, int(capacity))


def _check_features(spec, what: str, data: Any) -> None:
    if not hasattr(data, "keys"):
        raise type_error(API, what, "a dict from feature name to values", type(data).__name__, "Pass {feature: values}")
    missing = [n for n in spec.feature_names if n not in data]
    unknown = [n for n in data if n not in spec.feature_names]
    if missing or unknown:
        got = " and ".join(f"{kind} {names}" for kind, names in (("no", missing), ("unknown", unknown)) if names)
        raise value_error(
            API,
            what,
            f"the features {list(spec.feature_names)}",
            got,
            "Give every feature, None for one that has no ids in this batch, and no other",
        )


def _batch_size(given: dict[str, _Ragged]) -> int:
    sizes = {name: ragged.lengths.size for name, ragged in given.items()}
    if not sizes:
        raise value_error(API, "features", "ids for at least one feature", "None for each", "Skip batches without ids")
    if len(set(sizes.values())) > 1:
        raise value_error(API, "features", "one batch size", str(sizes), "Give every feature as many samples")
    if 0 in sizes.values():
        raise value_error(API, "features", "at least one sample", "an empty batch", "Skip empty batches")
    return next(iter(sizes.values()))


def _ragged_ids(name: str, data: Any, raw: bool, hashed: bool) -> _Ragged:
    """`raw`: keep 64 bits. `hashed`: of a table with a ZCH, where only -1 is no id."""
    what = "raw ids" if hashed else "ids"
    ragged = _ragged(name, data, what, (lambda ids: ids != -1) if hashed else (lambda ids: ids >= 0))
    values = ragged.values
    if values.size == 0:
        values = values.astype(np.int64)
    if not np.issubdtype(values.dtype, np.integer):
        raise type_error(
            API, f"feature {name!r}", "integer ids", values.dtype.name, "Convert them, or hash strings to int64"
        )
    if hashed:
        return ragged._replace(values=values.astype(np.int64, copy=False))
    if values.size and values.dtype.itemsize >= 4 and values.dtype != np.int32:
        low, high = int(values.min()), int(values.max())
        if low < _INT32.min or high > _INT32.max:
            raise value_error(
                API,
                f"feature {name!r}",
                "row numbers that fit int32",
                f"an id {high if high > _INT32.max else low}",
                "Map raw ids to rows with Table(zch=jaxtbe.Zch(...)), or number them from 0",
            )
    return ragged._replace(values=values.astype(np.int64) if raw else values)


def _ragged(name: str, data: Any, what: str, is_id: Callable = lambda ids: ids >= 0) -> _Ragged:
    """Any of the forms as flat values and lengths. `is_id` says which entries of a matrix are ids."""
    obj = f"feature {name!r}"
    if isinstance(data, jax.core.Tracer):
        raise type_error(
            API,
            obj,
            "NumPy arrays or lists",
            "an array traced by JAX",
            "Build batches outside of jit, and pass them in",
        )
    data = plain_column(data, obj, what)
    if isinstance(data, tuple):
        return _from_lengths(name, data, what)
    if isinstance(data, list):
        if is_list_of_bags(data):
            return _from_lists(name, data, what)
        data = whole_numbers(data, what)
    array = np.asarray(data)
    if array.ndim == 1:
        return _Ragged(array, np.ones(array.shape[0], np.int64), None)
    if array.ndim == 2:
        return _from_matrix(array, is_id)
    raise value_error(
        API,
        obj,
        "1-D or 2-D values, a list of lists, or a pair (values, lengths)",
        f"{array.ndim} dimensions",
        "Reshape to [batch] or [batch, length]",
    )


def _from_lists(name: str, data: list, what: str) -> _Ragged:
    obj = f"feature {name!r}"
    rows = [bag_array(x, obj, what) for x in data]
    if any(r.ndim != 1 for r in rows):
        raise value_error(API, obj, "a list of 1-D bags", "bags of other dimensions", "Flatten each bag")
    filled = [r for r in rows if r.size]
    values = join(filled, what) if filled else np.zeros(0, np.int64)
    return _Ragged(values, np.asarray([r.size for r in rows], np.int64), None)


def _from_matrix(array: np.ndarray, is_id: Callable) -> _Ragged:
    """Rows of a matrix, without the entries at their ends that are no ids; those further in keep
    their place.
    """
    kept = np.ones(array.shape, bool)
    if np.issubdtype(array.dtype, np.signedinteger):
        # From the end of a row: keep everything before the last entry that is an id.
        kept = np.logical_or.accumulate(is_id(array)[:, ::-1], axis=1)[:, ::-1]
    return _Ragged(array[kept], kept.sum(axis=1).astype(np.int64), kept)


def _from_lengths(name: str, data: tuple, what: str) -> _Ragged:
    if len(data) != 2:
        raise value_error(
            API,
            f"feature {name!r}",
            f"a pair ({what}, lengths)",
            f"a tuple of {len(data)}",
            "Pass a list for a plain sequence",
        )
    obj = f"feature {name!r}"
    values, lengths = (plain_column(x, obj, of) for x, of in zip(data, (what, "lengths"), strict=True))
    values, lengths = (whole_numbers(x, what) if isinstance(x, list) else np.asarray(x) for x in (values, lengths))
    if values.ndim != 1 or lengths.ndim != 1:
        got = f"{values.ndim} and {lengths.ndim} dimensions"
        raise value_error(API, f"feature {name!r}", f"1-D {what} and lengths", got, "Flatten both")
    if lengths.size and not np.issubdtype(lengths.dtype, np.integer):
        raise type_error(API, f"feature {name!r}", "integer lengths", lengths.dtype.name, "Convert the lengths to int")
    if lengths.size and lengths.min() < 0:
        raise value_error(
            API, f"feature {name!r}", "lengths of 0 or more", str(lengths.min()), "Check how they were counted"
        )
    if int(lengths.sum()) != values.size:
        raise value_error(
            API,
            f"feature {name!r}",
            f"lengths that sum to the {values.size} {what} given",
            f"a sum of {int(lengths.sum())}",
            "Check for truncated rows",
        )
    return _Ragged(values, lengths.astype(np.int64), None)


def _companion(spec, raggeds, what, data, dtype, fill, capacity):
    """Flat values that go with the ids, one each: id weights or the update mask. Features left out
    get `fill`.
    """
    if data is None:
        return None
    if not hasattr(data, "keys"):
        raise type_error(API, what, "a dict from feature name to values", type(data).__name__, "Pass {feature: values}")
    unknown = [n for n in data if n not in spec.feature_names]
    if unknown:
        raise value_error(API, what, f"features among {list(spec.feature_names)}", str(unknown), "Correct the name")
    flat, at = np.full(capacity, fill, dtype), 0
    for feature, ids in zip(spec.features, raggeds, strict=True):
        if data.get(feature.name) is not None:
            flat[at : at + ids.values.size] = _companion_values(feature.name, data[feature.name], ids, what, dtype)
        at += ids.values.size
    return flat


def _companion_values(name, data, ids: _Ragged, what, dtype) -> np.ndarray:
    obj = f"{what} of feature {name!r}"
    data = data if isinstance(data, (tuple, list)) else plain_column(data, obj, what)
    array = None if isinstance(data, (tuple, list)) else np.asarray(data)
    if ids.trimmed is not None and array is not None and array.shape == ids.trimmed.shape:
        values = array[ids.trimmed]
    else:
        ragged = _ragged(name, data, what)
        values, lengths = ragged.values, ragged.lengths
        count = ids.values.size if ids.kept is None else ids.kept.size
        same = lengths.size == ids.lengths.size and values.size == count
        if not same or (ids.kept is None and not np.array_equal(lengths, ids.lengths)):
            got = f"{values.size} values in {lengths.size} bags of other lengths"
            raise value_error(API, obj, f"one value for each of the {count} ids", got, "Give them in the ids' form")
    if ids.kept is not None:
        values = values[ids.kept]
    if values.size and (values.dtype == np.bool_) != (dtype is np.bool_):
        raise type_error(API, obj, np.dtype(dtype).name, values.dtype.name, "Convert the values")
    if values.dtype.kind not in "biuf" and values.dtype.name not in ("bfloat16", "float16"):
        raise type_error(API, obj, np.dtype(dtype).name, values.dtype.name, "Give every id a number")
    return values.astype(dtype)
