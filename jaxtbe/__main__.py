"""`python -m jaxtbe`: what is installed, and what it runs on."""

import platform
import sys

import jax
import jaxlib

import jaxtbe
from jaxtbe import _native


def report() -> str:
    """Versions, SIMD level, registered targets and devices, a line each."""
    version = ".".join(str(n) for n in _native.runtime_ffi_api_version())
    lines = [
        f"jaxtbe {jaxtbe.__version__}, python {platform.python_version()} on {platform.machine()}",
        f"jax {jax.__version__}, jaxlib {jaxlib.__version__}, XLA FFI {version}",
        f"CPU kernels: {_native.simd_level()}",
        f"CUDA kernels: {_native.cuda_architectures() or 'not built in'}",
        "FFI targets:",
        *(f"  {name}: {', '.join(platforms)}" for name, platforms in sorted(_native.TARGETS.items())),
        f"devices: {', '.join(str(d) for d in jax.devices())}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(report() + "\n")
