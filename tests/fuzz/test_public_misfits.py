"""Damaged arguments of every public function, in child processes: a sensible error or a finished result, and never a signal.

JAXTBE_FUZZ=20 runs twenty times as many. `tests/fuzz/sanitize.sh` runs them under AddressSanitizer and UBSan.
"""

import inspect
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest
from public_calls import ENTRIES, EXEMPT, SAME
from test_misfits import environment

import jaxtbe
from jaxtbe import debug, migrate, optim, sharding, zch

HERE = pathlib.Path(__file__).resolve().parent
TIMES = float(os.environ.get("JAXTBE_FUZZ", "1"))
COUNT, SHARES, LIMIT = 10, 6, 120  # damages of an entry, processes, and seconds of one call
MODULES = (jaxtbe, optim, zch, migrate, debug, sharding)


def public_functions() -> set[str]:
    """The public functions and classes of the package, and the methods of the classes; each by the name that users call it by."""
    found = set()
    for module in MODULES:
        for name in dir(module):
            value = getattr(module, name)
            own = getattr(value, "__module__", "").startswith("jaxtbe")
            if name.startswith("_") or not callable(value) or not own or _is_from_elsewhere(module, value):
                continue
            found.add(f"{module.__name__}.{name}")
            if inspect.isclass(value):
                found |= {f"{module.__name__}.{name}.{method}" for method in _methods(value)}
    return found


def _is_from_elsewhere(module: types.ModuleType, value) -> bool:
    """Whether a module that is no package imported it for its own use."""
    return not hasattr(module, "__path__") and value.__module__ != module.__name__


def _methods(cls: type) -> set[str]:
    kinds = (types.FunctionType, classmethod, staticmethod)
    shown = {n for n, v in vars(cls).items() if isinstance(v, kinds) and not n.startswith("_")}
    return shown | ({"__call__"} & set(vars(cls)))


def test_every_public_function_has_an_entry_or_a_reason():
    entries = {name.partition(" (")[0] for name in ENTRIES}
    known = entries | set(EXEMPT) | set(SAME)
    assert public_functions() <= known, f"add to tests/fuzz/public_calls.py: {sorted(public_functions() - known)}"
    assert known <= public_functions(), f"no longer there: {sorted(known - public_functions())}"
    assert not entries & set(EXEMPT)
    assert all(len(reason) > 10 for reason in EXEMPT.values()) and set(SAME.values()) <= entries


def test_an_entry_is_missed():
    assert "jaxtbe.zch.find" in public_functions() and "jaxtbe.EmbeddingBags.assign" in public_functions()


@pytest.mark.parametrize("share", range(SHARES))
def test_damages(share):
    names = list(ENTRIES)[share::SHARES]
    count = max(1, int(COUNT * min(1.0, TIMES)))
    for seed in range(max(1, round(TIMES))):  # a process each: every result leaves a compiled program behind
        command = [sys.executable, str(HERE / "public_child.py"), str(seed), str(count), str(LIMIT), *names]
        cheap = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        env = {**environment(), "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {cheap}".strip()}
        run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=1200)
        said = run.stdout.splitlines() or [""]
        assert run.returncode == 0, f"seed {seed}: exit status {run.returncode} at {said[-1]!r}:\n{run.stderr[-3000:]}"
        tally = json.loads(said[-1])
        assert not tally["wrong"], f"seed {seed}:\n" + "\n".join(tally["wrong"])
        assert tally["errors"] > 0 and tally["results"] > 0, tally
