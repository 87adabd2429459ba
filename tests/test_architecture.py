"""Imports run one way, and only where the design allows them."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = sorted((ROOT / "jaxtbe").rglob("*.py"))
NATIVE = sorted([*(ROOT / "csrc").rglob("*.h"), *(ROOT / "csrc").rglob("*.c*"), *(ROOT / "xla_ffi").rglob("*")])

# A module of the first layer imports nothing of the later ones.
LAYERS = ["errors", "lazy", "names", "_native", "reference", "ops", None, "optim"]


def layer(path: pathlib.Path) -> int:
    parts = path.relative_to(ROOT / "jaxtbe").with_suffix("").parts
    name = parts[0]
    return LAYERS.index(name) if name in LAYERS else LAYERS.index(None)


def imports(path: pathlib.Path, top_level_only: bool = False):
    """Every module and `module.name` that a file imports."""
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_imports(path):
    for name in imports(path):
        assert not name.startswith("jax._src"), f"{path}: {name} is private to JAX"
        if name == "jaxtbe._cpu":
            assert path.name == "_native.py", f"{path}: only _native.py touches the extension"


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_layers(path):
    if path.parent == ROOT / "jaxtbe" and path.name in ("__init__.py", "__main__.py"):
        return  # the public surface sees all
    for name in imports(path, top_level_only=True):
        package, *rest = name.split(".")
        if package == "jaxtbe" and rest:
            imported = LAYERS.index(rest[0] if rest[0] in LAYERS else None)
            assert imported <= layer(path), f"{path}: {name} stands above it"


@pytest.mark.parametrize("path", [p for p in NATIVE if p.is_file()], ids=lambda p: str(p.relative_to(ROOT)))
def test_native_includes(path):
    place = path.relative_to(ROOT).parts
    for include in re.findall(r'#include [<"]([^>"]+)[>"]', path.read_text()):
        if place[0] == "csrc":
            assert not include.startswith(("xla", "pybind11", "Python")), (
                f"{path}: {include}: kernels know no framework"
            )
        if place[:2] == ("csrc", "common"):
            assert not include.startswith(("csrc/cpu", "csrc/cuda")), f"{path}: {include}"
        if include.startswith("pybind11"):
            assert path.name.startswith("module"), f"{path}: only module.cc knows Python"


def test_importing_starts_no_backend_and_no_optax():
    program = (
        "import sys, jax, jaxtbe\n"
        "assert 'optax' not in sys.modules, 'optax was imported'\n"
        "jax.config.update('jax_num_cpu_devices', 3)\n"  # an error once a backend has started
        "assert len(jax.devices('cpu')) == 3\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
