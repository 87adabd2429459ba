"""`EmbeddingBags`: tables and features bound together."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import raw_ids as remapping
from jaxtbe.autodiff.embedding_grad import EmbeddingGrad, LookupGrad
from jaxtbe.autodiff.faults import count_faults
from jaxtbe.autodiff.lookup import lookup, make_taps
from jaxtbe.autodiff.recording import recorded_lookup
from jaxtbe.batch.bags import Bags
from jaxtbe.batch.build import build_bags
from jaxtbe.batch.check import check_batch
from jaxtbe.model.feature import Feature
from jaxtbe.model.params import EmbeddingParams
from jaxtbe.model.placement import Placing
from jaxtbe.model.spec import Implementation, Spec
from jaxtbe.model.table import Table
from jaxtbe.support.errors import type_error
from jaxtbe.support.names import stable_id
from jaxtbe.writes.assign import assign, check_values
from jaxtbe.writes.reset import reset_rows
from jaxtbe.zch import ZchReport, ZchState


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class EmbeddingBags:
    """Embedding tables and the features that look them up: static, hashable, without arrays.

    Args:
      tables: `Table`s with unique names.
      features: `Feature`s with unique names, each naming one of the tables. Their order is that of
        the outputs, and the one in which contributions to a shared row are added.
      implementation: "native" (the kernels), "xla" (plain jax.numpy), or None: native where the
        backend has kernels.

    Example:
      >>> import jax, numpy as np, jaxtbe
      >>> emb = jaxtbe.EmbeddingBags(
      ...     tables=[jaxtbe.Table("item", rows=1000, dim=8)],
      ...     features=[jaxtbe.Feature("history", table="item", pooling="mean")])
      >>> params = emb.init(jax.random.key(0))
      >>> bags = emb.bags({"history": [[1, 5, 7], [], [3]]})
      >>> emb(params, bags)["history"].shape
      (3, 8)
    """

    spec: Spec

    def __init__(
        self, tables: Iterable[Table], features: Iterable[Feature], implementation: Implementation | None = None
    ):
        object.__setattr__(self, "spec", Spec(tuple(tables), tuple(features), implementation))

    def shard(
        self,
        mesh: jax.sharding.Mesh,
        placements: Mapping[str, Placing] | None = None,
        axis: Any = None,
        peer_capacity: Mapping[str, int] | None = None,
    ) -> "EmbeddingBags":
        """The same tables and features over a mesh of devices. Training steps stay as they are.

        Rows are split into equal consecutive blocks, one a device, and so are the buckets of hashed
        tables. Each device reads and updates its own rows: ids are all-gathered, pooled sums are
        reduce-scattered, and activation gradients are all-gathered once. Activations are split over
        samples. See docs/sharding.md for what is bit for bit the same.

        Args:
          mesh: of explicit or automatic axes.
          placements: table name to "rows" (the default) or "replicated": the whole table on every
            device.
          axis: name or names of the mesh axes to split over, or None: all.
          peer_capacity: for tables whose rows travel in place of sums, by an all-to-all: how many a
            device can get from one other in a step. Saves bytes below a device's samples times the
            table's features. Ids past it are faults.

        Returns:
          An `EmbeddingBags` whose `init` and `init_zch` make arrays in their places, and that has
          `shardings` and `place`.

        Raises:
          ValueError: rows or buckets that the devices do not share evenly, or unknown names.
        """
        from jaxtbe.sharding.over_mesh import OverMesh  # a program of one device needs nothing of it
        from jaxtbe.sharding.placement import make_sharding

        sharded = object.__new__(EmbeddingBags)
        placement = make_sharding(OverMesh, self.spec, mesh, placements, axis, peer_capacity)
        object.__setattr__(sharded, "spec", dataclasses.replace(self.spec, placement=placement))
        return sharded

    def shardings(self, tree: Any) -> Any:
        """Where each array of a tree is placed: parameters, optimizer states, hashed tables,
        batches, and what is beside them.

        Args:
          tree: a pytree of arrays, or of their shapes as `jax.eval_shape` gives them.

        Returns:
          A `jax.sharding.NamedSharding` for each array: split where it has the rows of a split
          table and is stored under its name.
        """
        return self.spec.placement.shardings(self.spec, tree)

    def place(self, tree: Any) -> Any:
        """The tree with its arrays where `shardings` says."""
        return jax.device_put(tree, self.shardings(tree))

    def global_bags(self, bags: Bags, capacity: int | None = None) -> Bags:
        """A batch with samples on all devices of all processes, from the samples of this process.

        The step gathers the ids. Without it, a batch is taken to be the same in every process, and
        is whole on every device.

        Args:
          bags: a batch of this process's samples, as `EmbeddingBags.bags` built it; of equal sizes
            in all processes.
          capacity: positions of each device's part, the same in all processes; None: as many as the
            whole of `bags` has.

        Returns:
          `Bags` of global arrays, of the samples of all processes, in the order of the devices.
        """
        return self.spec.placement.global_bags(bags, capacity)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables, in the order in which they were given."""
        return self.spec.tables

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in the order in which they were given."""
        return self.spec.features

    def __repr__(self) -> str:
        from jaxtbe.summary import spec_text

        return f"EmbeddingBags({spec_text(self.spec)})"

    def summary(self, params: Any = None, opt_state: Any = None) -> str:
        """Tables and features as text, with what they take in memory. Reads no array's values.

        Args:
          params: an `EmbeddingParams` with the tables, or any tree that holds it (arrays or their
            shapes): checked, and where they are split over devices, the bytes per device are
            reported. Or None.
          opt_state: an optimizer state that holds that of the tables: adds its bytes. Or None.

        Returns:
          Lines of text, to be printed.
        """
        from jaxtbe.summary import summarize

        return summarize(self.spec, params, opt_state)

    def init(self, key: jax.Array) -> EmbeddingParams:
        """Initial tables. Each depends on the key and the table's name alone, not on what other
        tables there are.
        """
        init = self.spec.placement.init_table
        self.tables[0].check_key(key)
        return EmbeddingParams({t.name: init(t, jax.random.fold_in(key, stable_id(t.name))) for t in self.tables})

    def bags(
        self,
        ids: Mapping[str, Any],
        id_weights: Mapping[str, Any] | None = None,
        update_mask: Mapping[str, Any] | None = None,
        capacity: int | None = None,
    ) -> Bags:
        """Builds a batch in NumPy.

        Args:
          ids: for each feature one of: a 1-D array (one id a sample), a 2-D array (negative, or -1
            for raw ids: no id), a list of lists, or a pair `(ids, lengths)`; or None: it has no ids
            in this batch, every bag is empty. Integers of any width that are row numbers; for
            tables with `zch`, any int64.
          id_weights: for some features, weights in the same form; other features get 1.
          update_mask: for some features, booleans in the same form; other features get True.
          capacity: positions to pad to, so that shapes repeat and nothing recompiles. None picks
            one of a small set of sizes.

        Returns:
          `Bags` of NumPy arrays.

        Raises:
          TypeError, ValueError: names the feature and what is wrong with it.
        """
        raw = any(t.zch is not None for t in self.tables)
        return build_bags(self.spec, ids, id_weights, update_mask, capacity, raw)

    def __call__(self, params: EmbeddingParams, bags: Bags) -> dict[str, jax.Array]:
        """Looks up a batch.

        Args:
          params: holds an array for each table (others are ignored).
          bags: a batch of this `EmbeddingBags`.

        Returns:
          Feature name to f32[B, dim], or f32[B, max_length, dim] with pooling "none".
          Differentiable once in reverse mode: in `params` (sparse with `jaxtbe.value_and_grad`,
          dense with `jax.grad`) and in `bags.id_weights`.
        """
        api = "jaxtbe.EmbeddingBags"
        if not isinstance(params, EmbeddingParams):
            held = isinstance(getattr(params, "get_value", None), Callable)  # an nnx.Variable
            raise type_error(
                api,
                "parameters",
                "jaxtbe.EmbeddingParams",
                type(params).__name__,
                "Pass what it holds, .get_value()" if held else "Pass what EmbeddingBags.init returned",
            )
        bags = self._whole(bags)
        tables = {t.name: params.table(t, api) for t in self.tables}
        self.spec.placement.check_tables(tables)
        acts = recorded_lookup(self.spec, tables, bags)
        if acts is not None:
            return acts
        return lookup(self.spec, tables, bags, make_taps(self.spec, bags.batch_size))[0]

    def _whole(self, bags: Bags) -> Bags:
        """The batch, checked, and whole on every device."""
        check_batch(self.spec, bags)
        if bags.shards > 1:
            bags = self.spec.placement.whole(self.spec, jax.tree.map(jnp.asarray, bags))[0]
        return self.spec.placement.limit(self.spec, bags)

    def concat(self, params: EmbeddingParams, bags: Bags) -> jax.Array:
        """f32[B, columns]: the outputs of all features side by side, in their order. XLA makes no
        copy for it.
        """
        acts = self(params, bags)
        return jnp.concatenate([acts[f.name].reshape(bags.batch_size, -1) for f in self.features], axis=1)

    def gradient(self, bags: Bags, d_acts: Mapping[str, jax.Array], after: Any = ()) -> EmbeddingGrad:
        """The sparse gradient in its explicit form: from the gradient of the activations.

        Args:
          bags: the batch that was looked up.
          d_acts: writing feature to the gradient of its activations; others are ignored.
          after: anything computed from the old tables, `(loss, aux)` for instance. The update runs
            after it.

        Returns:
          An `EmbeddingGrad`.
        """
        bags = self._whole(bags)
        checked = {}
        for feature in self.spec.writing_features:
            checked[feature.name] = check_values("jaxtbe.EmbeddingBags.gradient", self.spec, bags, feature, d_acts)
        share = LookupGrad.of(checked, bags, count_faults(self.spec, bags), self.spec)
        return EmbeddingGrad((share,)).after(after)

    def assign(
        self,
        params: EmbeddingParams,
        bags: Bags,
        values: Mapping[str, jax.Array],
        opt_state: Any = None,
        *,
        reset_state: bool = False,
        after: Any = (),
    ) -> Any:
        """Stores rows: the value of a bag goes to each of its ids, regardless of the pooling and of
        what the rows held.

        Exact in float32 tables, rounded to nearest in 16-bit ones. Rows are not read, id weights do
        not apply, ids that `bags.update_mask` excludes keep their rows. A row with several
        occurrences gets what `Table.duplicates` says. In place where `params` is donated.

        Args:
          params: the tables.
          bags: the batch that says which rows.
          values: for some of the writing features, f32[B, dim], or f32[B, max_length, dim] with
            pooling "none".
          opt_state: an optimizer state that holds that of the tables. Needed only with
            `reset_state`.
          reset_state: also let the optimizer state of the assigned rows begin again. Otherwise it
            is not touched.
          after: anything computed from the old tables in this step. The tables change after it.

        Returns:
          The new params; with `reset_state`, `(params, opt_state)`.
        """
        return assign(self.spec, params, self._whole(bags), values, opt_state, reset_state, after)

    def init_zch(self) -> dict[str, ZchState]:
        """Empty ZCH states of the tables that have one: a pytree of integer arrays, to be donated
        like the parameters.
        """
        return self.spec.placement.place(self.spec, remapping.init_zch(self.spec))

    def remap(
        self, zch_state: Mapping[str, ZchState], bags: Bags, now: Any = 0, ttl: Any = None, scores: Any = None
    ) -> tuple[dict[str, ZchState], Bags, dict[str, ZchReport]]:
        """Turns raw 64-bit ids into rows, inserting those that are new and evicting what has
        expired.

        First in a training step: `remap`, `reset_rows`, then the lookup and the update. Read-only
        features and masked ids are looked up but never inserted, and see the state after the batch.
        Ids of tables without a ZCH are row numbers. In place where the state is donated;
        deterministic for any number of threads.

        Args:
          zch_state: table name to state.
          bags: a batch with raw ids.
          now: i32[], the time in any unit; it must not fall. Never the wall clock.
          ttl: i32[] in the unit of `now`, or None: that of each table's `Zch`.
          scores: i32[N], eviction scores for each position in place of `now + ttl`, or None.

        Returns:
          The new state; the batch with i32[N] rows in place of ids; and a `jaxtbe.zch.ZchReport`
          for each table.
        """
        return remapping.remap(self.spec, zch_state, bags, now, ttl, scores)

    def find(self, zch_state: Mapping[str, ZchState], bags: Bags) -> Bags:
        """Turns raw 64-bit ids into rows and changes nothing: for serving. Unknown ids read as
        `Zch.on_full` says.
        """
        return remapping.find(self.spec, zch_state, bags)[0]

    def find_with_reports(self, zch_state: Mapping[str, ZchState], bags: Bags) -> tuple[Bags, dict[str, ZchReport]]:
        """`find`, and for each table with a ZCH how many of the batch's ids it has: a `ZchReport`,
        as `ZchMetrics` adds up.
        """
        found, reports = remapping.find(self.spec, zch_state, bags)
        return found, {name: report() for name, report in reports.items()}

    def reset_rows(
        self, params: EmbeddingParams, opt_state: Any, reports: Mapping[str, ZchReport], seed: Any = 0
    ) -> tuple[EmbeddingParams, Any]:
        """Gives the rows of evicted ids a fresh initial value, and their optimizer state zeros,
        before they are looked up.

        A value is a pure function of (seed, table, id), so it does not depend on what the row held
        or where it is stored. In place where the arguments are donated.

        Args:
          params: the tables.
          opt_state: an optimizer state that holds that of the tables, or None.
          reports: what `remap` returned.
          seed: u32[].

        Returns:
          The new params and optimizer state.
        """
        return reset_rows(self.spec, params, opt_state, reports, seed)
