"""What the compiled CUDA kernels must look like: the list that test_cuda_build.py goes through.

The kernels that carry a training step, by parts of their mangled names. `rows`: they read rows of 16-byte words, and the
machine code must do so by 128-bit loads, this many at least: rows in flight together hide each other's latency.
"""

from typing import NamedTuple


class Kernel(NamedTuple):
    source: str
    name: tuple[str, ...]
    """Parts of the mangled name, all of which it has."""
    rows: int
    """Least number of 128-bit loads."""


KERNELS = (
    Kernel("lookup.cu", ("LookupKernel", "IfLi4ELi32ELb0E"), 8),
    Kernel("lookup.cu", ("LookupKernel", "IfLi4ELi16ELb0E"), 8),
    Kernel("lookup.cu", ("LookupKernel", "IfLi4ELi32ELb1E"), 8),
    Kernel("lookup.cu", ("LookupKernel", "BFloat16ELi8ELi16ELb0E"), 8),
    Kernel("lookup.cu", ("LookupKernel", "Float16ELi8ELi16ELb0E"), 8),
    Kernel("update_float32.cu", ("VisitChunksKernel", "RegisterColumnsILi1E", "3SgdE"), 4),
    Kernel("update_float32.cu", ("VisitChunksKernel", "RegisterColumnsILi1E", "14RowwiseAdagradE"), 4),
    Kernel("update_float32.cu", ("VisitChunksKernel", "RegisterColumnsILi1E", "4AdamE"), 6),
)
