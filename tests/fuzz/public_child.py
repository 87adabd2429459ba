"""Damages of the arguments of public functions, in a process of its own: `python public_child.py SEED COUNT LIMIT NAME...`.

It says what it does before it does it, and at last what went wrong. Right is an error of a sensible type, or a result, which is
that of implementation="xla" where a function has two ways. A call of more than LIMIT seconds ends the process with its stack.
"""

import faulthandler
import json
import sys
import time
import traceback
import warnings
import zlib
from typing import Any

import jax
import numpy as np
import other_library  # noqa: F401  # before jaxtbe
from damages import apply, damaged
from public_calls import ENTRIES, Entry

warnings.simplefilter("ignore")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leaves_of(result: Any) -> list[Any]:
    """What can be compared of a result, computed."""
    leaves = jax.tree.leaves(result)
    keys = [isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
    return jax.block_until_ready([jax.random.key_data(x) if k else x for x, k in zip(leaves, keys, strict=True)])


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array) or (isinstance(x, np.ndarray) and x.dtype.kind in "biufc")


def run(entry: Entry, arguments: dict[str, Any], way: str) -> list[Any]:
    """What a call leaves: "eager", in "jit", or, without any array of it, "traced". Within jit, arrays are arguments and all else
    is closed over."""
    if way == "eager":
        return leaves_of(entry.call(**arguments))
    leaves, structure = jax.tree.flatten(arguments)
    places = [i for i, x in enumerate(leaves) if _is_array(x)]

    def call(arrays):
        whole = list(leaves)
        for i, array in zip(places, arrays, strict=True):
            whole[i] = array
        return [x for x in jax.tree.leaves(entry.call(**jax.tree.unflatten(structure, whole))) if hasattr(x, "dtype")]

    arrays = [leaves[i] for i in places]
    return jax.tree.leaves(jax.eval_shape(call, arrays)) if way == "traced" else leaves_of(jax.jit(call)(arrays))


def is_sensible(error: Exception, entry: Entry) -> bool:
    """Whether an error is one that a caller can be given: of a value or a type, or one of ours about what surrounds the call."""
    if isinstance(error, RuntimeError | ImportError) and str(error).startswith("jaxtbe"):
        return True
    return isinstance(error, (ValueError, TypeError, *entry.raises))


def differs(got: list[Any], want: list[Any]) -> str:
    if len(got) != len(want):
        return f"{len(got)} leaves, not {len(want)}"
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        if not hasattr(w, "dtype"):
            if g != w:
                return f"leaf {i} is {g!r}, not {w!r}"
            continue
        if isinstance(w, jax.ShapeDtypeStruct):
            if (g.shape, g.dtype) != (w.shape, w.dtype):
                return f"leaf {i} is {g}, not {w}"
            continue
        g, w = np.asarray(g), np.asarray(w)
        if g.shape != w.shape or g.dtype != w.dtype:
            return f"leaf {i} is {g.dtype}{list(g.shape)}, not {w.dtype}{list(w.shape)}"
        exact = w.dtype.kind in "iubSUO"
        if not (np.array_equal(g, w) if exact else _close(g.astype(np.float64), w.astype(np.float64))):
            return f"leaf {i} is {g.ravel()[:8]}, not {w.ravel()[:8]}"
    return ""


def _close(got: np.ndarray, want: np.ndarray) -> bool:
    return np.allclose(got, want, rtol=2e-2, atol=1e-3, equal_nan=True)


def outcome(entry: Entry, given: dict[str, dict[str, Any]], way: str, tally: dict[str, int]) -> str:
    """What is wrong with what comes of a call."""
    try:
        got = run(entry, given["native"], way)
    except Exception as e:
        tally["errors"] += 1
        return "" if is_sensible(e, entry) else f"{e!r}\n{''.join(traceback.format_tb(e.__traceback__)[-3:])}"
    tally["results"] += 1
    if not entry.two:
        return ""
    try:
        want = run(entry, given["xla"], way)
    except Exception as e:
        return f"a result, where implementation='xla' raises {e!r}"
    return differs(got, want)


def check(name: str, seed: int, count: int, limit: float, tally: dict[str, int]) -> list[str]:
    """What is wrong with `count` damages of one entry."""
    entry, wrong = ENTRIES[name], []
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    arguments = {i: entry.arguments(i) for i in (("native", "xla") if entry.two else ("native",))}
    say(f"{name}: as it is")
    ways = ["eager"] * (not entry.jitted) or ["traced"] * 8 + ["jit"] + ["eager"] * entry.eager
    try:
        results = [run(entry, apply([], of), ways[0]) for of in arguments.values()]
    except Exception:
        return [f"{name}: as it is: {traceback.format_exc()}"]
    if differs(results[0], results[-1]):
        return [f"{name}: as it is: {differs(results[0], results[-1])}"]
    for what, changes in damaged(arguments["native"], rng, count):
        way = ways[rng.integers(len(ways))]
        given = {i: apply(changes, of) for i, of in arguments.items()}
        if any(x is None for x in given.values()):
            continue
        where = f"{name}: {what}, {way}"
        say(where)
        faulthandler.dump_traceback_later(limit, exit=True)
        found = outcome(entry, given, way, tally)
        faulthandler.cancel_dump_traceback_later()
        if found:
            wrong.append(f"{where}: {found}")
            say(f"wrong: {json.dumps(wrong[-1])}")
    return wrong


if __name__ == "__main__":
    seed, count, limit, *names = sys.argv[1:]
    tally, wrong = {"errors": 0, "results": 0}, []
    for name in names:
        began = time.process_time()
        wrong += check(name, int(seed), int(count), float(limit), tally)
        say(f"{name}: {time.process_time() - began:.1f} seconds")
    say(json.dumps({**tally, "wrong": wrong}))
