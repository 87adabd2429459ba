"""Types that vary over the devices of a `jax.shard_map` with `check_vma=True`, which results of FFI
calls lack.
"""

from typing import Any

import jax


def varying_axes(tree: Any) -> frozenset[str]:
    """The mesh axes over which any array of a tree varies; none where JAX does not keep track of
    it.
    """
    axes: frozenset[str] = frozenset()
    for leaf in jax.tree.leaves(tree):
        kind = jax.typeof(leaf)
        of_type = getattr(kind, "manual_axis_type", None)
        axes |= getattr(kind, "vma", frozenset()) if of_type is None else of_type.varying
    return axes


def vary(tree: Any, axes: frozenset[str]) -> Any:
    """The arrays of a tree, all of a type that varies over `axes`. The transpose sums the gradient
    of those that did not.
    """

    def cast(x):
        missing = tuple(sorted(axes - varying_axes(x)))
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(cast, tree)
