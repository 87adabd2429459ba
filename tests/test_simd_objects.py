"""The objects of each instruction set keep to themselves: a function that the linker may merge could run anywhere."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "csrc/cpu/simd").glob("*.cc"))
# Data that every level has alike may be merged; code may not.
CODE = re.compile(r"^[0-9a-f]+ [WwVu] (.*)$", re.MULTILINE)


def weak_code(listing: str) -> list[str]:
    """Mergeable symbols outside a level's own namespace, in what `nm -C` prints."""
    return [s for s in CODE.findall(listing) if not re.search(r"\bjaxtbe::avx2::", s)]


def test_the_reader_of_listings_finds_weak_code():
    listing = "00 W int const& std::min<int>(int const&, int const&)\n00 W void jaxtbe::avx2::f<float>()\n00 T main\n"
    assert weak_code(listing) == ["int const& std::min<int>(int const&, int const&)"]


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_no_weak_code_outside_the_namespace_of_its_level(source, tmp_path):
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None or shutil.which("nm") is None:
        pytest.skip("needs a C++ compiler and nm")
    flags = ["-std=c++17", "-O3", "-DJAXTBE_SIMD=avx2", "-DNDEBUG", f"-I{ROOT}", "-fPIC", "-fvisibility=hidden"]
    if subprocess.run(["uname", "-m"], capture_output=True, text=True).stdout.strip() == "x86_64":
        flags += ["-mavx2", "-mfma", "-mf16c"]
    compiled = tmp_path / "kernel.o"
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(compiled)], check=True)
    listing = subprocess.run(["nm", "-C", str(compiled)], capture_output=True, text=True, check=True).stdout
    assert not weak_code(listing), f"{source.name}: mark it JAXTBE_HD, which is always inlined"
