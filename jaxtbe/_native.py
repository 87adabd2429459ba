"""Loads the native library and registers its FFI targets. Nothing else touches the extension."""

import importlib
import importlib.util
import os
import re
from types import ModuleType

import jax

from jaxtbe.support.errors import import_error


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise import_error(
            "jaxtbe", f"native library {name}", "a built extension", str(e), "Install jaxtbe with 'pip install .'"
        ) from e


def runtime_ffi_api_version() -> tuple[int, int]:
    """(major, minor) of the running jaxlib's XLA FFI, read from the headers that it ships."""
    header = os.path.join(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    with open(header, encoding="utf-8") as f:
        text = f.read()
    major, minor = (re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR"))
    return (int(major.group(1)) if major else 0, int(minor.group(1)) if minor else 0)


def check_runtime(built: tuple[int, int], running: tuple[int, int]) -> None:
    """Refuses a jaxlib older than the one this library was built for: it would stop the whole CPU
    backend from starting.
    """
    if built[0] != running[0] or built[1] > running[1]:
        raise import_error(
            "jaxtbe",
            "installed jaxlib",
            f"XLA FFI {built[0]}.{built[1]} or a newer minor version, which this library was built with",
            f"XLA FFI {running[0]}.{running[1]}",
            "Install a newer jaxlib, or rebuild jaxtbe against this one with 'pip install --no-build-isolation .'",
        )


INTERFACE_VERSION = 7
"""The twin of kInterfaceVersion in xla_ffi/module_common.h: it changes with the operands or attributes of a target."""


def check_interface(built: int, name: str = "jaxtbe._cpu") -> None:
    """Refuses an extension of another build: its handlers would fail at run time, and donated
    tables would be lost.
    """
    if built != INTERFACE_VERSION:
        raise import_error(
            "jaxtbe",
            f"native library {name}",
            f"interface version {INTERFACE_VERSION}, that of the Python package",
            str(built),
            "Build and install jaxtbe again with 'pip install .'",
        )


_cpu = _load("jaxtbe._cpu")

# Built where nvcc was found. On a machine without a GPU it loads and registers all the same.
_cuda = _load("jaxtbe._cuda") if importlib.util.find_spec("jaxtbe._cuda") else None

_LIBRARIES: dict[str, ModuleType] = {"cpu": _cpu} if _cuda is None else {"cpu": _cpu, "CUDA": _cuda}


def _register() -> dict[str, tuple[str, ...]]:
    registered: dict[str, tuple[str, ...]] = {}
    for platform, library in _LIBRARIES.items():
        check_interface(library.interface_version() if hasattr(library, "interface_version") else 0, library.__name__)
        check_runtime(library.ffi_api_version(), runtime_ffi_api_version())
        for name, capsule in library.registrations().items():
            jax.ffi.register_ffi_target(name, capsule, platform=platform)
            registered[name] = (*registered.get(name, ()), platform)
    return registered


TARGETS: dict[str, tuple[str, ...]] = _register()
"""FFI target name to the platforms that it is registered for."""

RULES: dict[str, tuple[int, int, int]] = _cpu.rules()
"""Update rule to how many states [rows, dim], states [rows] and numbers of its own it has in the library."""

PLATFORMS: frozenset[str] = frozenset({"cpu"} if _cuda is None else {"cpu", "gpu"})
"""Backends (as `jax.default_backend()` names them) that the native kernels serve."""


def simd_level() -> str:
    """The instruction set that the CPU kernels use on this machine."""
    return _cpu.simd_level()


def cuda_architectures() -> str | None:
    """What the CUDA kernels were compiled for, or None: they are not built in."""
    return None if _cuda is None else _cuda.architectures()


# Which platform a program runs on is not known while it is traced: scratch memory is enough for any.


def offsets_scratch_bytes(*counts: int) -> int:
    """Bytes of scratch memory of a call for its offsets, the first part of all: `counts` of them
    for each batch that it reads.
    """
    return sum(max(library.offsets_scratch_bytes(count) for library in _LIBRARIES.values()) for count in counts)


def update_scratch_bytes(capacity: int, max_dim: int, num_tables: int) -> int:
    """Bytes of scratch memory of one update over `capacity` ids and tables of at most `max_dim`
    columns.
    """
    return max(library.update_scratch_bytes(capacity, max_dim, num_tables) for library in _LIBRARIES.values())


def row_gradients_scratch_bytes(capacity: int, max_dim: int, num_tables: int) -> int:
    """Bytes of scratch memory of one `row_gradients` or `square_norms` over `capacity` ids."""
    return max(library.row_gradients_scratch_bytes(capacity, max_dim, num_tables) for library in _LIBRARIES.values())


def zch_insert_scratch_bytes(num_ids: int) -> int:
    """Bytes of scratch memory of one insert of at most `num_ids` raw ids."""
    return max(library.zch_insert_scratch_bytes(num_ids) for library in _LIBRARIES.values())
