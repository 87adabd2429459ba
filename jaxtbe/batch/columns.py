"""Columns of other libraries as NumPy arrays, by their protocols and without importing the
libraries.

Arrow arrays (pyarrow, and polars, pandas and awkward arrays that turn into them) have offsets
already, and so have SciPy's sparse rows: no Python loop runs over their ids. Object columns and
lists of arrays are taken bag by bag.
"""

from typing import Any

import numpy as np

from jaxtbe.support.errors import type_error

API = "jaxtbe.EmbeddingBags.bags"
IDS = ("ids", "raw ids")


def plain_column(data: Any, obj: str, what: str) -> Any:
    """A column as an array, a list, or a pair `(values, lengths)`; those are returned as they are.

    Args:
      data: what the user gave.
      obj: the feature, for messages.
      what: "ids" or "raw ids", in which nulls and masked entries become -1; or "id_weights",
        "update_mask", "lengths", which have none.
    """
    if type(data) in (np.ndarray, list, tuple):
        return _object_column(data, what) if type(data) is np.ndarray and data.dtype == object else data
    if isinstance(data, np.ma.MaskedArray):
        return _filled(data, np.ma.getmaskarray(data), obj, what)
    if _is_sparse_rows(data):
        values = data.indices if what in IDS else data.data
        return np.asarray(values), np.diff(data.indptr)
    arrow = _arrow(data)
    if arrow is not None:
        return _from_arrow(arrow, obj, what)
    if hasattr(data, "isna") and hasattr(data, "to_numpy"):
        return _from_series(data, obj, what)
    if not hasattr(data, "__array__") and hasattr(data, "tolist"):
        return data.tolist()
    array = np.asarray(data)
    return _object_column(array, what) if array.dtype == object else array


def _filled(data: Any, missing: np.ndarray, obj: str, what: str) -> np.ndarray:
    """The array with -1 in place of what is missing."""
    values = np.asarray(data)
    if not missing.any():
        return values
    if what not in IDS:
        _refuse_missing(obj, what, int(missing.sum()))
    if values.dtype.kind not in "iu":
        return values
    if values.dtype == np.uint64:  # all ones are -1 in 64 bits
        return (
            join([np.where(missing, np.uint64(2**64 - 1), values)], "raw ids")
            if what == "raw ids"
            else _small(values, missing)
        )
    return np.where(missing, np.int64(-1), values.astype(np.int64, copy=False))


def _small(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Row numbers in 64 bits without a sign; those past int64 become the largest of it, and are
    refused later.
    """
    return np.where(missing, np.int64(-1), np.minimum(values, np.uint64(2**63 - 1)).astype(np.int64))


def _refuse_missing(obj: str, what: str, count: int) -> None:
    raise type_error(
        API, obj, f"{what} without gaps", f"{count} missing ones", "Fill them, fill_null or .filled for instance"
    )


def _is_sparse_rows(data: Any) -> bool:
    return getattr(data, "format", None) == "csr" and hasattr(data, "indptr") and hasattr(data, "indices")


def _arrow(data: Any) -> Any:
    """The pyarrow array that the data is or turns into, or None."""
    if hasattr(data, "combine_chunks"):
        data = data.combine_chunks()
        if hasattr(data, "num_chunks"):  # some versions keep chunked arrays
            return data.chunk(0) if data.num_chunks == 1 else None
        return data
    if hasattr(data, "null_count") and hasattr(data, "type") and hasattr(data, "fill_null"):
        return data
    if hasattr(data, "to_arrow"):
        return _arrow(data.to_arrow())
    inner = getattr(data, "array", data)
    if hasattr(inner, "__arrow_array__") and not _is_nullable(data):
        return _arrow(inner.__arrow_array__())
    return None


def _is_nullable(data: Any) -> bool:
    """Whether this is one of pandas' columns of numbers with gaps, which convert by themselves."""
    return hasattr(data, "isna") and str(getattr(data, "dtype", "")).lower().startswith(
        ("int", "uint", "bool", "float")
    )


def _from_arrow(array: Any, obj: str, what: str) -> Any:
    if hasattr(array, "flatten") and "list" in str(array.type):
        if hasattr(array, "value_lengths"):
            lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        else:
            lengths = np.where(_nulls(array), 0, array.type.list_size)
        return _from_arrow(array.flatten(), obj, what), lengths.astype(np.int64)
    if not array.null_count:
        return array.to_numpy(zero_copy_only=False)
    return _filled(array.fill_null(0).to_numpy(zero_copy_only=False), _nulls(array), obj, what)


def _nulls(array: Any) -> np.ndarray:
    return ~np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool)


def _from_series(data: Any, obj: str, what: str) -> Any:
    """A pandas Series, or an array of pandas."""
    if isinstance(data.dtype, np.dtype):
        array = data.to_numpy()
        return _object_column(array, what) if array.dtype == object else array
    dtype = getattr(data.dtype, "numpy_dtype", np.dtype(object))
    return _filled(data.to_numpy(dtype=dtype, na_value=0), np.asarray(data.isna()), obj, what)


def _object_column(array: np.ndarray, what: str) -> Any:
    """Bags as objects: a list of them. Whole numbers as objects, None among them: an array."""
    items = array.tolist() if array.ndim == 1 else array
    if array.ndim != 1 or any(_is_bag(x) for x in items):
        return items
    return whole_numbers([-1 if _is_none(x) and what in IDS else x for x in items], what)


def _is_bag(x: Any) -> bool:
    dimensions = getattr(x, "ndim", None)
    if dimensions is not None:
        return dimensions > 0
    return hasattr(x, "__len__") and not isinstance(x, (str, bytes))


def _is_none(x: Any) -> bool:
    return x is None or type(x).__name__ in ("NAType", "NaTType") or (isinstance(x, float) and x != x)


def is_list_of_bags(data: list) -> bool:
    """Whether a list has bags in it, of any kind, and not numbers."""
    return any(_is_bag(x) for x in data)


def bag_array(data: Any, obj: str, what: str) -> np.ndarray:
    """One bag of a list as an array; None is an empty one."""
    if _is_none(data):
        return np.zeros(0, np.int64)
    column = plain_column(data, obj, what)
    if isinstance(column, list):
        return whole_numbers(column, what)
    return column if isinstance(column, np.ndarray) else np.asarray(column)


def whole_numbers(values: list, what: str) -> np.ndarray:
    """A list as an array. Whole numbers past int64 stay whole: NumPy would turn them into floats
    beside smaller ones.
    """
    array = np.asarray(values)
    if array.dtype.kind in "fO" and array.ndim == 1 and all(type(x) is int for x in values):
        if all(0 <= x < 2**64 for x in values):
            return np.asarray(values, np.uint64)
        if what == "raw ids" and all(-(2**63) <= x < 2**64 for x in values):
            return np.asarray([x if x < 2**63 else x - 2**64 for x in values], np.int64)
    return array


def join(arrays: list[np.ndarray], what: str) -> np.ndarray:
    """Arrays one after another. int64 and uint64 together are int64, where NumPy would make floats
    of them: raw ids with the same bits, row numbers past int64 as the largest of it, which is
    refused later.
    """
    kinds = {a.dtype for a in arrays}
    if np.dtype(np.uint64) in kinds and (len(kinds) > 1 or what == "raw ids"):
        small = (lambda a: a.view(np.int64)) if what == "raw ids" else (lambda a: _small(a, np.zeros(a.shape, bool)))
        arrays = [small(a) if a.dtype == np.uint64 else a for a in arrays]
    return np.concatenate(arrays)
