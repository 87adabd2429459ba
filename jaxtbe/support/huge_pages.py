"""Huge memory pages for large tables on Linux CPUs."""

import ctypes
import sys
from typing import Any

import jax

_HUGE_PAGE = 2**21
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25  # <linux/mman.h>; collapsing needs Linux 6.1


def use_huge_pages(tree: Any, at_least: int = 2**25) -> int:
    """Moves large CPU arrays onto huge pages, in place: random rows then cost fewer page-table
    walks.

    Call it once, after `init` or after restoring a checkpoint: donated tables keep their memory
    from step to step. Worth it from a gigabyte on; docs/performance.md has numbers. Values do not
    change, and where the system has no such pages nothing happens.

    Args:
      tree: a pytree of arrays, `(params, opt_state)` for instance.
      at_least: arrays of fewer bytes are left alone.

    Returns:
      How many bytes are now on huge pages.
    """
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    moved = 0
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and leaf.nbytes >= at_least and leaf.is_fully_addressable:
            moved += sum(_move(libc, shard.data) for shard in leaf.addressable_shards)
    return moved


def _move(libc: Any, array: jax.Array) -> int:
    """Moves the whole huge pages inside one buffer. Returns their bytes, or 0 where the system
    declines.
    """
    if next(iter(array.devices())).platform != "cpu":
        return 0
    jax.block_until_ready(array)
    begin = array.unsafe_buffer_pointer()
    first = -(-begin // _HUGE_PAGE) * _HUGE_PAGE
    size = (begin + array.nbytes) // _HUGE_PAGE * _HUGE_PAGE - first
    if size <= 0 or libc.madvise(first, size, _MADV_HUGEPAGE) != 0:
        return 0
    return size if libc.madvise(first, size, _MADV_COLLAPSE) == 0 else 0
