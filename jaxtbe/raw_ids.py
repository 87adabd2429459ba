"""Raw ids of a batch to rows, over all tables of an `EmbeddingBags`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import zch
from jaxtbe.batch.bags import Bags
from jaxtbe.batch.check import check_is_of
from jaxtbe.model.spec import Spec
from jaxtbe.support.errors import type_error, value_error


def init_zch(spec: Spec) -> dict[str, zch.ZchState]:
    """See `EmbeddingBags.init_zch`."""
    return {t.name: zch.init_zch(t.zch, t.rows) for t in spec.tables if t.zch is not None}


def remap(
    spec: Spec, state: Mapping[str, zch.ZchState], bags: Bags, now: Any, ttl: Any, scores: Any
) -> tuple[dict[str, zch.ZchState], Bags, dict[str, zch.ZchReport]]:
    """See `EmbeddingBags.remap`."""
    api = "jaxtbe.EmbeddingBags.remap"
    _check(api, spec, state, bags)
    bags, scores = spec.placement.whole(spec, jax.tree.map(jnp.asarray, bags), scores)
    new_state, reports, rows = dict(state), {}, [_plain_rows(spec, bags)]
    for table in spec.tables:
        if table.zch is None:
            continue
        new_state[table.name], of_table, reports[table.name] = spec.placement.remap(
            table,
            state[table.name],
            bags.ids,
            bags.offsets,
            access=tuple(f.access if f.table == table.name else None for f in spec.features),
            now=now,
            ttl=ttl,
            update_mask=bags.update_mask,
            scores=scores,
            implementation=spec.implementation,
        )
        rows.append(of_table)
    return new_state, bags.replace(ids=zch.merge_rows(*rows)), reports


def find(
    spec: Spec, state: Mapping[str, zch.ZchState], bags: Bags
) -> tuple[Bags, Mapping[str, Callable[[], zch.ZchReport]]]:
    """See `EmbeddingBags.find`. The reports are functions: only who asks for one computes it."""
    _check("jaxtbe.EmbeddingBags.find", spec, state, bags)
    bags, _ = spec.placement.whole(spec, jax.tree.map(jnp.asarray, bags))
    rows, reports = [_plain_rows(spec, bags)], {}
    for table in spec.tables:
        if table.zch is not None:
            access = tuple("read_only" if f.table == table.name else None for f in spec.features)
            static: dict[str, Any] = {"access": access, "implementation": spec.implementation}
            of_table, status = spec.placement.find(table, state[table.name], bags.ids, bags.offsets, **static)
            rows.append(of_table)
            reports[table.name] = functools.partial(zch.find_report, state[table.name], status)
    return bags.replace(ids=zch.merge_rows(*rows)), reports


def _plain_rows(spec: Spec, bags: Bags) -> jax.Array:
    """Rows of the features whose tables have no ZCH."""
    return zch.row_numbers(bags.ids, bags.offsets, tuple(spec.table_of(f).zch is None for f in spec.features))


def _check(api: str, spec: Spec, state, bags) -> None:
    tables = [t.name for t in spec.tables if t.zch is not None]
    if not tables:
        raise value_error(
            api, "tables", "a table with zch", "none", "Give a Table zch=jaxtbe.Zch(...), or skip this call"
        )
    check_is_of(api, spec, bags)
    if bags.ids.dtype != jnp.uint32 or bags.ids.ndim != 2:
        got = f"{bags.ids.dtype.name}{list(bags.ids.shape)}"
        raise type_error(
            api, "ids", "raw ids as uint32[N, 2]", got, "Remap a batch once, and as EmbeddingBags.bags built it"
        )
    if not isinstance(state, Mapping):
        raise type_error(
            api,
            "zch_state",
            "a dict from table name to state",
            type(state).__name__,
            "Pass what EmbeddingBags.init_zch made",
        )
    for table in spec.tables:
        rows = np.shape(getattr(state.get(table.name), "identities", np.empty((table.rows, 2))))[:1]
        if table.zch is not None and rows != (table.rows,):
            raise value_error(
                api,
                f"zch_state of table {table.name!r}",
                f"a state of {table.rows} slots, one for each row",
                f"one of {rows[0] if rows else 'no'} slots",
                "Make the state with the table's present rows, or move the old one with jaxtbe.zch.reshard",
            )
    missing = [name for name in tables if name not in state]
    if missing:
        raise value_error(
            api,
            "zch_state",
            f"a state for each of {tables}",
            f"none for {missing}",
            "Pass what EmbeddingBags.init_zch made",
        )
