"""Runs misfits of one op in a process of its own: `python child.py OP LEVEL SEED COUNT`. It says what it does before it does it.

LEVEL is "public", through the op, whose answer is an error of ours or what the reference gives; or "raw", through the FFI target
alone, whose answer is any error or result, but no signal.
"""

import json
import sys
import warnings

import jax
import numpy as np
import other_library  # noqa: F401  # before jaxtbe
from entries import ENTRIES, run
from misfits import misfits
from raw_calls import raw_misfits, record

warnings.simplefilter("ignore")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def equal(got, want) -> bool:
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    return len(got) == len(want) and all(
        g.shape == w.shape and g.dtype == w.dtype and _close(np.asarray(g), np.asarray(w))
        for g, w in zip(got, want, strict=True)
    )


def _close(got, want) -> bool:
    if got.dtype.kind in "iub":
        return np.array_equal(got, want)
    return np.allclose(got.astype(np.float64), want.astype(np.float64), rtol=1e-2, atol=1e-3, equal_nan=True)


def public(name: str, seed: int, count: int) -> dict[str, int]:
    entry, rng = ENTRIES[name], np.random.default_rng(seed)
    arrays = entry.arrays(rng)
    if not equal(run(entry, arrays, entry.static, "native"), run(entry, arrays, entry.static, "xla")):
        raise AssertionError(f"{name}: what fits is not what the reference gives")
    tally = {"errors": 0, "results": 0}
    for what, changed, static in misfits(arrays, entry.static, rng, count):
        say(f"{name}: {what}")
        try:
            got = run(entry, changed, static, "native")
        except (TypeError, ValueError) as e:
            if "jaxtbe" not in str(e):
                raise AssertionError(f"{name}: {what}: an error that is not ours: {e!r}") from e
            tally["errors"] += 1
            continue
        if not equal(got, run(entry, changed, static, "xla")):
            raise AssertionError(f"{name}: {what}: not what the reference gives")
        tally["results"] += 1
    return tally


def raw(name: str, seed: int, count: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    call = record(name, rng)
    call.run()
    tally = {"errors": 0, "results": 0}
    for what, changed in raw_misfits(call, rng, count):
        say(f"{call.target}: {what}")
        try:
            changed.run()
            tally["results"] += 1
        except Exception:  # whatever JAX makes of it, as long as it is Python that speaks
            tally["errors"] += 1
    return tally


if __name__ == "__main__":
    name, level, seed, count = sys.argv[1:]
    say(json.dumps({"public": public, "raw": raw}[level](name, int(seed), int(count))))
