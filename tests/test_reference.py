"""Every public name has a docstring and is in the reference."""

import importlib
import importlib.util
import inspect
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(path: pathlib.Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


public_names = load(ROOT / "docs" / "site" / "public_names.py")


def test_modules_are_those_of_the_design():
    assert {"jaxtbe", "jaxtbe.optim", "jaxtbe.ops", "jaxtbe.sharding", "jaxtbe.zch"} <= set(public_names.modules())


@pytest.mark.parametrize("module", public_names.modules())
def test_every_name_has_a_docstring(module):
    names = public_names.names_of(module)
    assert names
    assert [name for name in names if not public_names.summary_of(module, name)] == []


@pytest.mark.parametrize("module", public_names.modules())
def test_nothing_public_is_left_out(module):
    found = {n: v for n, v in vars(importlib.import_module(module)).items() if not n.startswith("_")}
    ours = {n for n, v in found.items() if str(getattr(v, "__module__", "")).startswith("jaxtbe")}
    visible = {n for n in ours if not inspect.ismodule(found[n])} - {"lazy_names"}  # a tool of the packages themselves
    offered = set(public_names.names_of(module))
    assert offered
    if module != "jaxtbe.migrate":  # a module of its own, which imports what it uses
        assert visible <= offered


def test_the_page_is_up_to_date():
    assert public_names.PAGE.read_text() == public_names.page(), "run python docs/site/public_names.py"
