"""The CUDA kernels as they were built: no spills, no local memory, 128-bit loads of rows. Needs no GPU.

Reads the machine code of the installed `jaxtbe._cuda`; nothing is compiled again.
"""

import importlib.util
import pathlib
import re
import shutil
import subprocess

import pytest
from cuda_kernels import ARCHITECTURES, KERNELS, LARGEST_BYTES, READ

from jaxtbe import _native

CUDA_BIN = "/usr/local/cuda/bin"


def tool(name: str) -> str | None:
    """A program of the CUDA toolkit, or of the nvidia-cuda-* wheels."""
    path = shutil.which(name) or shutil.which(name, path=CUDA_BIN)
    spec = importlib.util.find_spec("nvidia")
    roots = list(spec.submodule_search_locations or ()) if spec and path is None else []
    found = [str(p) for root in roots for p in sorted(pathlib.Path(root).glob(f"*/bin/{name}"))]
    return path or (found[0] if found else None)


def why_not() -> str | None:
    if _native.cuda_architectures() is None:
        return "jaxtbe was built without CUDA kernels" + ("" if tool("nvcc") else ": there is no nvcc")
    if tool("cuobjdump") is None:
        return "needs cuobjdump: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm"
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture(scope="module")
def library() -> pathlib.Path:
    return pathlib.Path(importlib.util.find_spec("jaxtbe._cuda").origin)


def dump(library: pathlib.Path, architecture: str, *options: str) -> dict[str, str]:
    """Function name to what cuobjdump says about it."""
    command = [tool("cuobjdump"), "-arch", architecture, *options, str(library)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(re.split(r"[:\s]", part, maxsplit=1) for part in re.split(r"Function\s*:? ", text)[1:])


def resources(library: pathlib.Path, architecture: str) -> dict[str, dict[str, int]]:
    """Kernel name to its registers and bytes of memory."""
    found = {
        name: {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL|SHARED):(\d+)", text)}
        for name, text in dump(library, architecture, "-res-usage").items()
    }
    assert len(found) > 100
    return found


@pytest.fixture(scope="module")
def names(library) -> list[str]:
    return [name for name in resources(library, READ) if "jaxtbe" in name]


def test_the_library_is_small(library):
    assert library.stat().st_size < LARGEST_BYTES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_kernel_spills_or_keeps_arrays_in_memory(library, architecture):
    # Spilled registers lie in the stack frame.
    used = resources(library, architecture)
    assert not {name: r for name, r in used.items() if "jaxtbe" in name and (r["STACK"] or r["LOCAL"])}


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_rows_are_read_in_words_of_16_bytes(library, names, kernel):
    (name,) = [name for name in names if kernel.matches(name)]
    (code,) = dump(library, READ, "-sass", "-fun", name).values()
    loads = re.findall(r"LDG\.E\S*\.128", code)
    assert len(loads) >= kernel.loads, f"{len(code.splitlines())} lines, {len(loads)} loads of 128 bits"
