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

# A file imports nothing of its own floor's other folders, and nothing of the floors above.
FLOORS = [
    ["support"],
    ["_native", "batch"],
    ["reference"],
    ["ops"],
    ["zch"],
    ["model"],
    ["sharding"],
    ["raw_ids", "writes"],
    ["autodiff"],
    ["debug", "optim", "summary"],
    ["module"],
    ["migrate", "nnx"],
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
TOP = ROOT / "jaxtbe"


def dotted(path: pathlib.Path) -> str:
    """`optim.base` for jaxtbe/optim/base.py, and `optim` for its `__init__`."""
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in PYTHON if dotted(path) not in ("", "__main__")}


def imports(path: pathlib.Path):
    """Every module and `module.name` that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
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


def inner_imports(name: str) -> set[str]:
    """The modules of the package that a module imports. A package's own `__init__` stands for the names it gives."""
    found = set()
    for imported in imports(MODULES[name]):
        package, _, rest = imported.partition(".")
        if package == "jaxtbe" and rest:
            while rest and rest not in MODULES:
                rest = rest.rpartition(".")[0]
            if rest and rest != name:
                found.add(rest)
    return found


def test_every_folder_and_file_at_the_top_has_its_floor():
    assert {name.split(".")[0] for name in MODULES} == set(FLOOR_OF)
    assert len(list(TOP.glob("*.py"))) <= 8, "a folder is for more"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_down(name):
    folder = name.split(".")[0]
    for imported in inner_imports(name):
        other = imported.split(".")[0]
        if other != folder:
            assert FLOOR_OF[other] < FLOOR_OF[folder], f"{MODULES[name]}: {imported} is not below it"


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Every way from a module back to itself that a walk over the graph meets first."""
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                walk(other, [*way, name])
            done.add(name)

    for name in sorted(graph):
        walk(name, [])
    return found


def test_no_modules_import_each_other_in_a_circle():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]  # it finds one
    packages = {name for name in MODULES if MODULES[name].name == "__init__.py"}
    # A package gives names of its modules, and these may use another's names: `ops` is no module of its own.
    graph = {name: inner_imports(name) - packages for name in MODULES}
    assert not circles(graph)


def test_no_module_is_hidden_by_what_its_package_gives():
    program = (
        "import importlib, sys, jaxtbe\n"
        f"for name in {sorted(MODULES)!r}:\n"
        "    package, _, last = f'jaxtbe.{name}'.rpartition('.')\n"
        "    module = importlib.import_module(f'jaxtbe.{name}')\n"
        "    assert getattr(sys.modules[package], last) is module, name\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_dir_shows_public_names():
    import jaxtbe

    folders = {path.name for path in TOP.iterdir() if path.is_dir()} - {"ops", "sharding", "zch", "optim", "debug"}
    shown = {name for name in dir(jaxtbe) if not name.startswith("__")}
    assert not shown & (folders | {"module", "raw_ids", "summary"})
    assert not [name for name in shown if name.startswith("_")]
    assert {"EmbeddingBags", "grad", "nnx", "optim"} <= shown


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


def test_files_that_the_page_names_exist():
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`([a-z_]+/[\w./]*\.(?:py|h|cc|cu))`", page) + re.findall(
        r"^\| `(\w+(?:\.py)?)`", page, re.MULTILINE
    )
    assert len(named) > 20
    missing = [n for n in named if not (ROOT / n).exists() and not (TOP / n).exists()]
    assert not missing, missing


def test_where_tables_are_is_asked_of_their_placement():
    asked = re.compile(r"sharding is (not )?None|isinstance\([^)]*(OneDevice|OverMesh|[ .]Sharding)\)")
    outside = [path for path in PYTHON if path.parent.name != "sharding"]
    assert not [path for path in outside if asked.search(path.read_text())]


def test_a_program_of_one_device_imports_no_sharding():
    program = (
        "import sys, jax, jax.numpy as jnp, numpy as np, optax, jaxtbe\n"
        "emb = jaxtbe.EmbeddingBags([jaxtbe.Table('t', 64, 4, zch=jaxtbe.Zch(buckets=1))], [jaxtbe.Feature('f', 't')])\n"
        "params, zch, tx = emb.init(jax.random.key(0)), emb.init_zch(), jaxtbe.optim.adam(0.1)\n"
        "state = tx.init(params)\n"
        "zch, bags, reports = emb.remap(zch, emb.bags({'f': np.asarray([5, 6])}))\n"
        "params, state = emb.reset_rows(params, state, reports)\n"
        "grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)['f']))(params)\n"
        "updates, state = tx.update(grads, state, params)\n"
        "optax.apply_updates(params, updates)\n"
        "assert not [m for m in sys.modules if m.startswith('jaxtbe.sharding')]\n"
        "assert 'sharding' in dir(jaxtbe) and jaxtbe.sharding.Sharding\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_docstrings_fit_a_terminal(path):
    text = path.read_text()
    wide = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            body = node.body[0]
            lines = text.split("\n")[body.lineno - 1 : body.end_lineno]
            code = (">>>", "...", "|")  # examples and what they print stay as they are
            wide += [x for x in lines if len(x.removesuffix('"""')) > 100 and not x.strip().startswith(code)]
    assert not wide, wide
