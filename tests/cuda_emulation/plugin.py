"""A pytest plugin: the tests run with the emulated CUDA handlers in the place of the CPU's, in a process of their own.

    python -m pytest -p cuda_emulation.plugin tests/test_lookup.py

The whole Python side, target names included, is then what runs on a GPU. `JAXTBE_EMULATION` is the folder of the built module,
`JAXTBE_SCHEDULE` the order in which threads run: "first_in", "last_in" or "random:<seed>".
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys

from cuda_emulation.build import folder


def _load():
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    path = pathlib.Path(os.environ.get("JAXTBE_EMULATION", folder())) / f"_emulated{suffix}"
    spec = importlib.util.spec_from_file_location("_emulated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    schedule, _, seed = os.environ.get("JAXTBE_SCHEDULE", "first_in").partition(":")
    module.set_schedule(schedule, seed=int(seed or 1))
    return module


assert "jaxtbe" not in sys.modules, "the plugin must be loaded before jaxtbe"
sys.modules["jaxtbe._cpu"] = _load()
