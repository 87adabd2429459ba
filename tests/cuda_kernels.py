"""What the compiled CUDA kernels must look like: the list that test_cuda_build.py goes through."""

from typing import NamedTuple

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
"""Those built for."""

READ = "sm_90"
"""The one whose machine code is read."""

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


def lookup(dtype: str, words: int, lanes: int, weighted: bool) -> tuple[str, ...]:
    """The forward kernel of rows that `lanes` lanes read, `words` elements a load."""
    return ("LookupKernel", f"{dtype}Li{words}ELi{lanes}ELb{int(weighted)}E")


def update(dtype: str, rule: str) -> tuple[str, ...]:
    """The backward kernel of rows of up to 128 columns."""
    return ("VisitChunksKernel", "RegisterColumnsILi1E", f"UpdateVisitorINS_{len(rule)}{rule}E{dtype}E")


FLOAT32, BFLOAT16, FLOAT16 = "f", "NS_8BFloat16E", "NS_7Float16E"  # as they are mangled

KERNELS = (
    *(Kernel(lookup(FLOAT32, 4, lanes, weighted), 8) for lanes in (16, 32) for weighted in (False, True)),
    *(Kernel(lookup(dtype, 8, lanes, False), 8) for dtype in (BFLOAT16, FLOAT16) for lanes in (16, 32)),
    # Four rows of gradients in flight, one alone, the weights, and the states of the elements.
    *(Kernel(update(FLOAT32, rule), 6) for rule in ("Sgd", "RowwiseAdagrad", "Assign", "Overwrite")),
    *(Kernel(update(FLOAT32, rule), 7) for rule in ("Adagrad", "PartialRowwiseAdam", "LarsSgd")),
    *(Kernel(update(FLOAT32, rule), 8) for rule in ("Adam", "Lamb")),
    # Rows of 16-bit numbers: 64 bits a lane are all of a row of 128 columns.
    *(Kernel(update(dtype, "RowwiseAdagrad"), 5) for dtype in (BFLOAT16, FLOAT16)),
)
