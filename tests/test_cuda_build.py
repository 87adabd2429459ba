"""The CUDA kernels as nvcc compiles them: no spills, no local memory, 128-bit loads of rows. Needs nvcc, and no GPU."""

import pathlib
import re
import shutil
import subprocess

import pytest
from cuda_kernels import KERNELS

ROOT = pathlib.Path(__file__).resolve().parent.parent
NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
ARCH = "sm_90"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NVCC is None, reason="needs nvcc (on the PATH or in /usr/local/cuda)"),
]


def disassembler() -> list[str] | None:
    """A command that prints the machine code of an object file: of the toolkit, or of the nvidia-cuda-* wheels."""
    path = shutil.which("cuobjdump") or shutil.which("cuobjdump", path="/usr/local/cuda/bin")
    if path is None:
        try:
            import nvidia
        except ImportError:
            return None
        found = [p for root in nvidia.__path__ for p in sorted(pathlib.Path(root).rglob("bin/cuobjdump"))]
        if not found:
            return None
        path = str(found[0])
    return [path, "-sass"]


@pytest.fixture(scope="module", params=sorted({kernel.source for kernel in KERNELS}))
def compiled(request, tmp_path_factory):
    """(source, what ptxas says, the object file)"""
    out = tmp_path_factory.mktemp("cuda") / "kernels.o"
    source = ROOT / "csrc" / "cuda" / request.param
    command = [
        NVCC,
        "-std=c++17",
        "-O3",
        f"-I{ROOT}",
        f"-arch={ARCH}",
        "-Xptxas",
        "-v",
        "-c",
        str(source),
        "-o",
        str(out),
    ]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout
    return request.param, run.stdout, out


def test_no_kernel_spills(compiled):
    source, report, _ = compiled
    kernels = re.findall(
        r"Compiling entry function '(\S+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores", report, re.DOTALL
    )
    assert kernels, report
    spilling = [(name, stores) for name, _, stores in kernels if int(stores)]
    assert not spilling, f"{source}: {spilling}"


def test_rows_are_read_in_words_of_16_bytes(compiled):
    source, _, path = compiled
    command = disassembler()
    if command is None:
        pytest.skip("needs cuobjdump: pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")
    code = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True).stdout
    functions = dict(part.split("\n", 1) for part in code.split("Function : ")[1:])
    for kernel in KERNELS:
        if kernel.source != source:
            continue
        bodies = [body for name, body in functions.items() if all(part in name for part in kernel.name)]
        assert len(bodies) == 1, f"{kernel}: {len(bodies)} functions"
        loads = len(re.findall(r"LDG\.E\.128", bodies[0]))
        assert loads >= kernel.rows, f"{kernel}: {loads} loads of 128 bits"
