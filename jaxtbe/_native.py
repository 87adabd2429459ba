"""Loads the native library and registers its FFI targets. Nothing else touches the extension."""

import os
import re

import jax

from jaxtbe.errors import import_error

try:
    from jaxtbe import _cpu
except ImportError as e:
    raise import_error(
        "jaxtbe", "native library jaxtbe._cpu", "a built extension", str(e), "Install jaxtbe with 'pip install .'"
    ) from e


def runtime_ffi_api_version() -> tuple[int, int]:
    """(major, minor) of the running jaxlib's XLA FFI, read from the headers that it ships."""
    header = os.path.join(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    with open(header, encoding="utf-8") as f:
        text = f.read()
    major, minor = (re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR"))
    return (int(major.group(1)) if major else 0, int(minor.group(1)) if minor else 0)


def check_runtime(built: tuple[int, int], running: tuple[int, int]) -> None:
    """Refuses a jaxlib older than the one this library was built for: it would stop the whole CPU backend from starting."""
    if built[0] != running[0] or built[1] > running[1]:
        raise import_error(
            "jaxtbe",
            "installed jaxlib",
            f"XLA FFI {built[0]}.{built[1]} or a newer minor version, which this library was built with",
            f"XLA FFI {running[0]}.{running[1]}",
            "Install a newer jaxlib, or rebuild jaxtbe against this one with 'pip install --no-build-isolation .'",
        )


INTERFACE_VERSION = 3
"""The twin of kInterfaceVersion in xla_ffi/module.cc: it changes with the operands or attributes of a target."""


def check_interface(built: int) -> None:
    """Refuses an extension of another build: its handlers would fail at run time, and donated tables would be lost."""
    if built != INTERFACE_VERSION:
        raise import_error(
            "jaxtbe",
            "native library jaxtbe._cpu",
            f"interface version {INTERFACE_VERSION}, that of the Python package",
            str(built),
            "Build and install jaxtbe again with 'pip install .'",
        )


def _register() -> dict[str, tuple[str, ...]]:
    check_interface(_cpu.interface_version() if hasattr(_cpu, "interface_version") else 0)
    check_runtime(_cpu.ffi_api_version(), runtime_ffi_api_version())
    registered: dict[str, tuple[str, ...]] = {}
    for name, capsule in _cpu.registrations().items():
        jax.ffi.register_ffi_target(name, capsule, platform="cpu")
        registered[name] = ("cpu",)
    return registered


TARGETS: dict[str, tuple[str, ...]] = _register()
"""FFI target name to the platforms that it is registered for."""

PLATFORMS: frozenset[str] = frozenset({"cpu"})
"""Backends (as `jax.default_backend()` names them) that the native kernels serve."""


def simd_level() -> str:
    """The instruction set that the CPU kernels use on this machine."""
    return _cpu.simd_level()


def update_scratch_bytes(capacity: int, max_dim: int) -> int:
    """Bytes of scratch memory of one update over `capacity` ids and tables of at most `max_dim` columns."""
    return _cpu.update_scratch_bytes(capacity, max_dim)


def row_gradients_scratch_bytes(capacity: int, max_dim: int) -> int:
    """Bytes of scratch memory of one `row_gradients` or `square_norms` over `capacity` ids."""
    return _cpu.row_gradients_scratch_bytes(capacity, max_dim)


def zch_insert_scratch_bytes(num_ids: int) -> int:
    """Bytes of scratch memory of one insert of at most `num_ids` raw ids."""
    return _cpu.zch_insert_scratch_bytes(num_ids)
