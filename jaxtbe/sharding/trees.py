"""Where the arrays of a training state are placed: parameters, optimizer states, hashed tables and
batches.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxtbe.batch.bags import Bags
from jaxtbe.sharding.placement import Sharding


def shardings_of(sharding: Sharding, spec, tree: Any) -> Any:
    """A `NamedSharding` for each leaf: arrays stored under a table's name that have its rows are
    placed as the table is.
    """

    def of_leaf(path, leaf):
        names = {getattr(key, "key", getattr(key, "name", None)) for key in path}
        for table in spec.tables:
            if table.name in names and jnp.shape(leaf)[:1] == (table.rows,):
                return sharding.named(sharding.spec_of(table.name))
        return sharding.named(P())

    def of_node(path, node):
        if isinstance(node, Bags) and node.shards > 1:
            return jax.tree.map(lambda _: sharding.named(sharding.split), node)
        if isinstance(node, Bags):
            return jax.tree.map(lambda _: sharding.named(P()), node)
        return of_leaf(path, node)

    return jax.tree_util.tree_map_with_path(of_node, tree, is_leaf=lambda x: isinstance(x, Bags))
