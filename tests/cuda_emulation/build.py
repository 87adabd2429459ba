"""Builds the emulated CUDA handlers: `python tests/cuda_emulation/build.py`."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def folder() -> pathlib.Path:
    return ROOT / "build" / f"emulation-{sys.implementation.cache_tag}"


def build() -> pathlib.Path:
    """Compiles what has changed and returns the module's folder."""
    command = ["make", "-s", "-j2", "-C", str(ROOT / "tests" / "cuda_emulation")]
    run = subprocess.run(
        [*command, f"PYTHON={sys.executable}", f"OUT={folder()}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    return folder()


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
