"""What the handlers themselves refuse, where no check in Python comes first."""

import dataclasses

import jax
import numpy as np
import pytest
from entries import ENTRIES
from raw_calls import record

from jaxtbe import _native

COLUMN, FIELDS = 2, 5
"""Where a feature's column stands among the numbers of its layout."""


def with_columns(*columns: int):
    """The lookup of three features with outputs of 5, 5 and 10 columns, at these columns."""
    call = record("lookup", np.random.default_rng(0))
    layout = list(call.attributes["layout"])
    layout[COLUMN::FIELDS] = columns
    return dataclasses.replace(call, attributes={**call.attributes, "layout": layout})


@pytest.mark.parametrize("columns", [(0, 0, 10), (0, 3, 10), (3, 5, 10), (0, 5, 6), (10, 5, 10), (0, 10, 0)])
def test_outputs_that_overlap(columns):
    with pytest.raises(jax.errors.JaxRuntimeError, match="jaxtbe: the layout of the outputs does not fit the rest"):
        with_columns(*columns).run()


@pytest.mark.parametrize("columns", [(0, 5, 10), (5, 0, 10), (10, 15, 0), (15, 0, 5)])
def test_outputs_in_any_order(columns):
    acts = np.asarray(with_columns(*columns).run()[0])
    honest = np.asarray(with_columns(0, 5, 10).run()[0])
    for column, first, width in zip(columns, (0, 5, 10), (5, 5, 10), strict=True):
        np.testing.assert_array_equal(acts[:, column : column + width], honest[:, first : first + width])


def test_a_gap_between_outputs():
    call = with_columns(0, 5, 11)
    acts = np.zeros((call.results[0].shape[0], 21), np.float32)
    wider = dataclasses.replace(call, results=[acts, *call.results[1:]])
    with pytest.raises(jax.errors.JaxRuntimeError, match="jaxtbe: the layout of the outputs does not fit the rest"):
        wider.run()


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "reset_rows"])
def test_scratch_one_byte_short(name, monkeypatch):
    # The scratch is enough for any platform; that of this one alone is what its handler needs.
    platform = "cpu" if jax.default_backend() == "cpu" else "CUDA"
    monkeypatch.setattr(_native, "_LIBRARIES", {platform: _native._LIBRARIES[platform]})
    call = record(name, np.random.default_rng(0))
    (place,) = [i for i, r in enumerate(call.results) if r.dtype == np.uint8]
    call.run()
    results = list(call.results)
    results[place] = results[place][1:]
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"jaxtbe: the .*scratch.* does not fit the rest of the call"):
        dataclasses.replace(call, results=results).run()
    results[place] = results[place][:0]  # too short for the offsets alone
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"jaxtbe: the .*scratch.* does not fit the rest of the call"):
        dataclasses.replace(call, results=results).run()
