"""The public names of the package, and reference.md made of them.

python docs/site/public_names.py
"""

import ast
import importlib
import inspect
import pathlib

import jaxtbe

PAGE = pathlib.Path(__file__).resolve().parent.parent / "reference.md"
HEAD = """# Reference

Every public name, with the first sentence of its docstring. `help(name)` prints the whole of it: arguments with dtypes and
shapes, what is static, errors, and often an example, which the tests run. The site that `make docs` builds shows it below these
tables.

This page is made by `python docs/site/public_names.py`.
"""


def modules() -> list[str]:
    """`jaxtbe`, then the packages and modules that it offers."""
    names = sorted(_reexports(jaxtbe))
    return ["jaxtbe", *(f"jaxtbe.{name}" for name in names if inspect.ismodule(getattr(jaxtbe, name)))]


def names_of(module_name: str) -> list[str]:
    """What a module offers: what it imports under its own name, or else the public things it defines."""
    module = importlib.import_module(module_name)
    offered = _reexports(module)
    if not offered:
        offered = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and inspect.isroutine(value) and value.__module__ == module_name
        }
    return sorted(name for name in offered if not inspect.ismodule(getattr(module, name)))


def summary_of(module_name: str, name: str) -> str:
    """The first sentence of a docstring, or an empty string."""
    value = getattr(importlib.import_module(module_name), name)
    text = inspect.getdoc(value) if inspect.isclass(value) or inspect.isroutine(value) else _below(module_name, name)
    first = " ".join((text or "").split("\n\n")[0].split())
    end = first.find(". ")
    return first if end < 0 else first[: end + 1]


def page() -> str:
    """The text of reference.md."""
    parts = [HEAD]
    for module_name in modules():
        about = inspect.getdoc(importlib.import_module(module_name)) or ""
        parts.append(f"## {module_name}\n\n{about.split(chr(10) * 2)[0]}\n\n| name | |\n|---|---|")
        rows = [f"| `{module_name}.{name}` | {summary_of(module_name, name)} |" for name in names_of(module_name)]
        parts[-1] += "\n" + "\n".join(rows) + "\n"
    return "\n".join(parts)


def _reexports(module) -> set[str]:
    """Names of `from a import b as b`, those for type checkers included."""
    tree = ast.parse(pathlib.Path(module.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname for node in imports for alias in node.names if alias.asname == alias.name}


def _below(module_name: str, name: str) -> str | None:
    """The string below the assignment of a constant, in the module that it comes from."""
    tree = ast.parse(pathlib.Path(importlib.import_module(module_name).__file__).read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return _below(node.module, name)
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(t, ast.Name) and t.id == name for t in targets) and isinstance(after, ast.Expr):
            return after.value.value if isinstance(after.value, ast.Constant) else None
    return None


if __name__ == "__main__":
    PAGE.write_text(page())
