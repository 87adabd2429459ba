"""What the benchmarks ran on, without its name."""

import os
import pathlib


def describe() -> str:
    """For instance "2 cores, AMD EPYC with AVX-512"."""
    info = pathlib.Path("/proc/cpuinfo")
    fields = dict(_pairs(info.read_text())) if info.exists() else {}
    model = fields.get("model name", "unknown CPU")
    flags = fields.get("flags", "").split()
    simd = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "")
    return f"{os.cpu_count()} cores, {model}" + (f" with {simd}" if simd else "")


def _pairs(text: str):
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        yield key.strip(), value.strip()
