"""`Placement`: where tables are, and how what is done with them is done there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import jax

from jaxtbe.batch.bags import Bags
from jaxtbe.model.table import Table

Placing = Literal["rows", "replicated"]
"""How a table is placed over a mesh."""


class Placement(Protocol):
    """Static and hashable, part of a `Spec`. `OneDevice` and `jaxtbe.sharding` have one each.

    `spec` is the `Spec` that holds it. Shapes and row numbers are those of whole tables throughout.
    """

    @property
    def devices(self) -> int:
        """How many parts rows and samples are split into."""
        ...

    @property
    def merges_batches(self) -> bool:
        """Whether many micro-batches may become one batch."""
        ...

    @property
    def nests_lookups(self) -> bool:
        """Whether lookups may be inside `jax.lax.scan` and other transformations within a loss."""
        ...

    def text(self) -> str:
        """What `EmbeddingBags.summary` says of it, or ""."""
        ...

    def is_split(self, table: str) -> bool:
        """Whether each device holds a block of the table's rows."""
        ...

    def is_exchanged(self, table: str) -> bool:
        """Whether the table's rows travel to the samples."""
        ...

    def init_table(self, table: Table, key: jax.Array) -> jax.Array:
        """The table's initial value, the same everywhere."""
        ...

    def place(self, spec: Any, tree: Any) -> Any:
        """The tree with its arrays where they belong."""
        ...

    def shardings(self, spec: Any, tree: Any) -> Any:
        """A `jax.sharding.NamedSharding` for each array of the tree."""
        ...

    def global_bags(self, bags: Bags, capacity: int | None) -> Bags:
        """A batch of all processes from that of one."""
        ...

    def whole(self, spec: Any, bags: Bags, scores: jax.Array | None = None) -> tuple[Bags, jax.Array | None]:
        """The batch as one array of each kind, with the scores of its positions."""
        ...

    def limit(self, spec: Any, bags: Bags) -> Bags:
        """The whole batch without the ids that find no room on their way."""
        ...

    def check_tables(self, tables: Mapping[str, jax.Array]) -> None:
        """Raises if arrays are known to be elsewhere."""
        ...

    def check_batch_size(self, batch_size: int) -> None:
        """Raises unless the devices share the samples evenly."""
        ...

    def zeros_of_samples(self, shape: tuple[int, ...]) -> jax.Array:
        """f32[B, ...], where the samples are."""
        ...

    def zeros_of_table(self, table: Table) -> jax.Array:
        """An array like the table, where the table is."""
        ...

    def lookup(
        self, spec: Any, tables: Mapping[str, jax.Array], ids: jax.Array, offsets: jax.Array, id_weights: Any
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        """Activations by feature, and faults i32[F, 2]."""
        ...

    def id_weights_gradient(self, spec: Any, tables: Mapping[str, jax.Array], bags: Bags, d_acts: Any) -> jax.Array:
        """f32[N]: the gradient of a batch's id weights."""
        ...

    def change_rows(
        self,
        change: Callable[..., Any],
        names: Sequence[str],
        shapes: Sequence[tuple[int, int]],
        lookups: Sequence[Any],
        arrays: Sequence[Any],
        tokens: Sequence[jax.Array] = (),
        more: Any = (),
    ) -> Any:
        """`change(lookups, arrays, tokens, more)`, which returns new arrays, with the rows that
        each device has.

        Args:
          change: the change.
          names, shapes: of the tables of the call, in its order.
          lookups: of the whole batch.
          arrays: for each table a pytree of arrays that belong to it: the table, its optimizer
            state.
          tokens: computed before the change.
          more: arrays that are whole on every device.
        """
        ...

    def local_shapes(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[Any, ...]]:
        """Within `change_rows`: the shapes of the tables' blocks, and the first row of each."""
        ...

    def square_norms(
        self,
        norms: Callable[..., jax.Array],
        names: Sequence[str],
        shapes: tuple[tuple[int, int], ...],
        lookups: Sequence[Any],
    ) -> jax.Array:
        """f32[tables]: `norms(lookups, shapes=shapes)` of the whole tables."""
        ...

    def on_evicted_rows(self, table: Table, reset: Callable[..., Any], arrays: Any, report: Any, more: Any) -> Any:
        """`reset(arrays, evicted, evicted_ids, more)`, which returns new arrays, with the rows that
        each device has.
        """
        ...

    def remap(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        """`jaxtbe.zch.remap` of one table."""
        ...

    def find(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        """`jaxtbe.zch.find` of one table."""
        ...
