"""What the compiled CUDA kernels must look like: the list that test_cuda_build.py goes through."""

from typing import NamedTuple

ARCHITECTURE = "sm_90"
"""The one of those built for whose machine code is read."""

LARGEST_BYTES = 30 << 20
"""Of the library, all architectures together."""


class Kernel(NamedTuple):
    """A kernel that carries a training step."""

    name: tuple[str, ...]
    """Parts of the mangled name, all of which it has, and no other kernel."""
    loads: int
    """Least number of 128-bit loads in its machine code: rows in flight together hide each other's latency."""

    def matches(self, mangled: str) -> bool:
        return all(part in mangled for part in self.name)

    def __str__(self) -> str:
        return "-".join(self.name)


def update(dtype: str, rule: str) -> tuple[str, ...]:
    """The chunk kernel of rows of up to 128 columns."""
    return ("VisitChunksKernel", "RegisterColumnsILi1E", f"{len(rule)}{rule}E", dtype)


KERNELS = (
    Kernel(("LookupKernel", "IfLi4ELi32ELb0E"), 8),
    Kernel(("LookupKernel", "IfLi4ELi16ELb0E"), 8),
    Kernel(("LookupKernel", "IfLi4ELi32ELb1E"), 8),
    Kernel(("LookupKernel", "BFloat16ELi8ELi16ELb0E"), 8),
    Kernel(("LookupKernel", "7Float16ELi8ELi16ELb0E"), 8),
    Kernel(update("E", "Sgd"), 4),
)
