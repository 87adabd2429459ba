"""The backward fused with the optimizer."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np

from jaxtbe import _native, reference
from jaxtbe.ops.batching import not_mapped
from jaxtbe.ops.check_backward import check_backward
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.layout import SourceLayout, encode_lookups, encode_shapes, encode_sources
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import Symbols, check_call, check_list, check_static
from jaxtbe.ops.rule import Rule, State
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import ELEMENT_STATE, OPS, ROW_STATE
from jaxtbe.support.errors import type_error, value_error


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UpdateLookup:
    """One lookup's share of an update.

    Args:
      ids: i32[N], row numbers; negative ones and those past the table's end train nothing.
      offsets: i32[F*B+1], feature-major.
      id_weights: f32[N] or None.
      update_mask: bool[N] or None; False: the id trains nothing.
      d_acts: f32[B, columns], the gradient of the outputs of `sources`.
      sources: the writing features of the lookup, in feature order.
    """

    ids: jax.Array
    offsets: jax.Array
    id_weights: jax.Array | None
    update_mask: jax.Array | None
    d_acts: jax.Array
    sources: tuple[SourceLayout, ...] = dataclasses.field(metadata={"static": True})

    def operands(self) -> list[jax.Array]:
        optional = [x for x in (self.id_weights, self.update_mask) if x is not None]
        return [self.ids, self.offsets, *optional, self.d_acts]


def update(
    tables: Sequence[jax.Array],
    states: Sequence[Sequence[jax.Array]],
    hyper: jax.Array,
    noise: jax.Array,
    lookups: Sequence[UpdateLookup],
    tokens: Sequence[jax.Array] = (),
    *,
    rule,
    duplicates: tuple[str, ...],
    table_ids: tuple[int, ...],
    implementation: Implementation | None = None,
) -> tuple[list[jax.Array], list[list[jax.Array]]]:
    """Sums the gradient of every touched row and applies one optimizer rule to it; other rows are
    not touched.

    In place where the tables and states are donated. Contributions are added in (lookup, feature,
    sample, position) order by one owner a row: the result is bit-identical from run to run and for
    any number of threads. Not differentiable.

    Args:
      tables: dtype[rows, dim] each, all of one dtype, fewer than 2**32 rows together.
      states: for each table the states of `rule`, in its order: [rows, dim] or [rows].
      hyper: f32[tables, K]: lr, decay, l2, clip, max_norm, stochastic, then the rule's own numbers.
      noise: u32[2 + tables], the source of stochastic rounding: a seed, the step, and for each
        table the number that its first row has in the whole table, of which a device may hold a
        part.
      lookups: what was looked up and the gradients of its outputs.
      tokens: ignored; the update runs after they are computed. Pass everything that was computed
        from the old tables.
      rule: static, the `jaxtbe.optim.Rule`.
      duplicates: static, for each table "sum", "first" or "last".
      table_ids: static, for each table the number that stochastic rounding knows it by.
      implementation: static, "native", "xla" or None.

    Returns:
      The new tables and states.
    """
    native = use_native(implementation)
    _check(tables, states, hyper, noise, lookups, rule, duplicates, table_ids, native)
    static = {"rule": rule, "duplicates": duplicates, "table_ids": table_ids}
    call = functools.partial(_native_update if native else _reference_update, **static)
    operands = list(tables), [list(s) for s in states], hyper, noise, list(lookups), list(tokens)
    return not_mapped("jaxtbe.ops.update", call, *operands)


def _check_rule(api: str, rule, native: bool) -> None:
    if not isinstance(rule, Rule) or not isinstance(rule.name, str) or not all(type(s) is State for s in rule.states):
        raise type_error(
            api, "rule", "a jaxtbe.optim.Rule", f"a {type(rule).__name__}", "Pass the rule of an optimizer"
        )
    elements, rows, _ = _native.RULES.get(rule.name, (-1, 0, 0))
    if native and (elements < 0 or [s.per_row for s in rule.states] != [False] * elements + [True] * rows):
        raise value_error(
            api,
            "rule",
            f"one of the library's, {sorted(_native.RULES)}, with its states",
            f"{rule.name!r} with {len(rule.states)} states",
            "Build the library with this rule, or use implementation='xla'",
        )


def _check(tables, states, hyper, noise, lookups, rule, duplicates, table_ids, native) -> None:
    api = OPS["update"].api
    _check_rule(api, rule, native)
    symbols = check_call(OPS["update"], tables=tables, hyper=hyper, noise=noise)
    if rule.numbers is not None and symbols["K"] != rule.numbers:
        raise value_error(
            api,
            "operand 'hyper'",
            f"{rule.numbers} columns for {rule.name}",
            str(symbols["K"]),
            "Pass the rule's numbers",
        )
    check_list(api, "states", states, len(tables))
    for t, (table, of_table) in enumerate(zip(tables, states, strict=True)):
        check_list(api, f"states[{t}]", of_table, len(rule.states))
        place = Symbols(api)
        place.check(f"tables[{t}]", OPS["update"].operands["tables"], table)
        for state, array in zip(rule.states, of_table, strict=True):
            place.check(f"states[{t}], {state.name}", ROW_STATE if state.per_row else ELEMENT_STATE, array)
    check_backward(api, lookups, [t.shape for t in tables], duplicates, UpdateLookup)
    check_list(api, "table_ids", table_ids, len(tables))
    for t, number in enumerate(table_ids):
        check_static(api, f"table_ids[{t}]", number, 0, 2**32)


def _reference_update(tables, states, hyper, noise, lookups, tokens, **static):
    del tokens
    return reference.update.update(tables, states, hyper, noise, lookups, **static)


def _native_update(tables, states, hyper, noise, lookups, tokens, *, rule, duplicates, table_ids):
    capacity = sum(l.ids.shape[0] for l in lookups)
    rest = _native.update_scratch_bytes(capacity, max(t.shape[1] for t in tables), len(tables))
    work = scratch(*(l.offsets for l in lookups), rest=rest)
    in_place = [*tables, *(s for of_table in states for s in of_table)]
    before = [hyper, noise, *(x for l in lookups for x in l.operands())]
    call = native_call(
        "jaxtbe_update",
        (work, *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in in_place)),
        input_output_aliases={len(before) + i: 1 + i for i in range(len(in_place))},
    )
    _, *results = call(
        *before,
        *in_place,
        *tokens,
        rule=rule.name,
        lookups=encode_lookups(lookups),
        layout=encode_sources(tuple(s for l in lookups for s in l.sources)),
        shapes=encode_shapes([t.shape for t in tables], duplicates),
        table_ids=np.asarray(table_ids, np.int64),
    )
    new_states = iter(results[len(tables) :])
    return results[: len(tables)], [[next(new_states) for _ in of_table] for of_table in states]
