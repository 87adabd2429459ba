"""Names that a package imports when they are first used, so that `import jaxtbe` stays fast."""

import importlib
import sys
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str], shown: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562).

    Args:
      package: its `__name__`.
      modules: each name to the full name of the module that has it. An entry named like its module
        resolves to the module itself.
      shown: modules within the package that are public: `dir` hides the others.
    """

    def getattr_(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(modules[name])
        value = module if modules[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        tools = {"lazy_names", "TYPE_CHECKING"}
        own = {n for n, v in vars(sys.modules[package]).items() if n in shown or not _is_inner(package, v)}
        return sorted(n for n in {*own, *modules} - tools if n.startswith("__") or not n.startswith("_"))

    return getattr_, dir_


def _is_inner(package: str, value: Any) -> bool:
    return isinstance(value, types.ModuleType) and value.__name__.startswith(f"{package}.")
