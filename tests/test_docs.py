"""Every Python block of README and docs runs, in order, in one namespace a page; docstring examples as well.

Shell blocks name commands that exist. Blocks that are not run say so by their kind: `py` is Python of others, or a fragment.
"""

import doctest
import importlib
import pathlib
import pkgutil
import re
import shlex

import jax
import pytest

import jaxtbe

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "BUILD.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.fixture(autouse=True)
def as_jax_is():
    """Pages are written as JAX's users write: they promote ranks."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page):
    namespace: dict = {"__name__": page.stem}
    for match in re.finditer(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        line = page.read_text()[: match.start(1)].count("\n")
        exec(compile("\n" * line + match.group(1), str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_are_of_known_kinds(page):
    kinds = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
    assert set(kinds[::2]) <= {"python", "py", "sh", "cpp"} and set(kinds[1::2]) <= {""}


def commands(text: str) -> list[list[str]]:
    """The commands of shell blocks, and those in the text that begin with make or python."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`((?:make|python) [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [shlex.split(line, comments=True) for line in (*"".join(blocks).splitlines(), *inline)]


def is_there(command: list[str]) -> bool:
    """Whether what a command names exists: a target of the Makefile, a module, a file, or a known tool."""
    while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
        command = command[1:]
    match command:
        case []:
            return True
        case ["make", *targets]:
            known = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return all(target in known for target in targets if "=" not in target)
        case ["python", "-m", module, *_]:
            return (ROOT / module.replace(".", "/")).with_suffix(".py").exists() or (
                ROOT / module.replace(".", "/") / "__main__.py"
            ).exists()
        case ["python", "...", *_]:
            return True
        case ["python", script, *_]:
            return (ROOT / script).exists()
        case [tool, *_]:
            return tool in ("pip", "git") or (ROOT / tool).is_file()
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_are_there(page):
    missing = [" ".join(command) for command in commands(page.read_text()) if not is_there(command)]
    assert not missing, f"{page.name} names commands that are not there"


def test_missing_commands_are_seen():
    text = "```sh\nmake demo\nmake nothing  # comment\nX=1 python -m jaxtbe.nothing\nrm -r /\n```\n`python examples/nothing.py`"
    assert [is_there(c) for c in commands(text)] == [True, False, False, False, False]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "name", [m.name for m in pkgutil.walk_packages(jaxtbe.__path__, "jaxtbe.") if "__main__" not in m.name]
)
def test_docstring_examples(name):
    if name.startswith("jaxtbe._cpu") or name.startswith("jaxtbe._cuda"):
        return
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_page_is_in_the_index():
    linked = set(re.findall(r"\]\(([\w-]+\.md)", (ROOT / "docs" / "index.md").read_text()))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}


def test_every_example_has_its_row():
    listed = set(
        re.findall(r"^\| \[[^]]*\]\(\.\./examples/([\w.]+)\) \|", (ROOT / "docs" / "examples.md").read_text(), re.M)
    )
    files = (ROOT / "examples").iterdir()
    programs = {f.name for f in files if f.suffix == ".ipynb" or (f.suffix == ".py" and "__main__" in f.read_text())}
    assert listed == programs


def test_the_readme_example_is_short():
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    assert len([line for line in block.splitlines() if line.strip()]) <= 35
