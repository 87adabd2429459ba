"""Programs lowered for CUDA: every native call is a target that CUDA has, and what changes in place is aliased.

Lowering needs neither a GPU nor the CUDA library: what is read here is what XLA would compile for one.
"""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest
from test_in_place import linear, make, make_step, optimizer, quadratic, two_lookups, with_metric
from test_zch_in_place import CONFIG, arrays, batch
from test_zch_in_place import step as zch_step

import jaxtbe
from jaxtbe import zch

pytestmark = pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")


class Call(NamedTuple):
    target: str
    aliases: int
    """Results that take the place of an operand."""
    results: tuple[str, ...]
    """Their types, "40000x16xf32"."""


def calls(step, *args, donate=()) -> list[Call]:
    """The native calls of a program for CUDA."""
    text = jax.jit(step, donate_argnums=donate).trace(*args).lower(lowering_platforms=("cuda",)).as_text()
    found = []
    for line in re.findall(r"stablehlo\.custom_call @jaxtbe_.*", text):
        assert "mhlo.backend_config = {" in line, line  # typed attributes: a call that handlers can decode
        found.append(
            Call(
                re.match(r"stablehlo\.custom_call @(\w+)", line).group(1),
                line.count("stablehlo.output_operand_alias<"),
                tuple(re.findall(r"tensor<([^>]*)>", line.rsplit("->", 1)[1])),
            )
        )
    return found


def named(found: list[Call], target: str) -> list[Call]:
    return [call for call in found if call.target == target]


@pytest.mark.parametrize(
    ("rule", "states"), [(jaxtbe.optim.sgd, 0), (jaxtbe.optim.rowwise_adagrad, 1), (jaxtbe.optim.adam, 2)]
)
@pytest.mark.parametrize("loss", [quadratic, linear, with_metric, two_lookups])
def test_a_training_step_updates_tables_and_states_in_place(loss, rule, states):
    emb, bags, params = make()
    tx = optimizer(rule(0.1))
    found = calls(make_step(emb, tx, loss), params, tx.init(params), bags, donate=(0, 1))
    (update,) = named(found, "jaxtbe_update")
    assert update.aliases == 1 + states
    # The scratch is a result: memory that a CUDA graph may keep between replays.
    assert re.fullmatch(r"\d+xui8", update.results[0])
    assert update.results[1] == "40000x16xf32"


def test_every_other_call_of_a_lazy_step():
    emb, bags, params = make()
    tx = jaxtbe.optim.lazy(optax.adam(0.1))

    def step(params, state, weights):
        loss = lambda p, w: jnp.sum(emb.concat(p, bags.replace(id_weights=w)) ** 2)  # noqa: E731
        grads, d_weights = jaxtbe.grad(loss, argnums=(0, 1))(params, weights)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, d_weights, jaxtbe.optim.global_norm(grads)

    args = params["emb"], tx.init(params["emb"]), jnp.ones(bags.capacity)
    found = calls(step, *args, donate=(0, 1))
    aliases = {
        "jaxtbe_lookup": 0,
        "jaxtbe_id_weights_grad": 0,
        "jaxtbe_square_norms": 0,
        "jaxtbe_row_gradients": 0,
        "jaxtbe_gather_rows": 0,
        "jaxtbe_store_rows": 1,
    }
    assert {call.target for call in found} == set(aliases)
    assert all(call.aliases == aliases[call.target] for call in found)


def test_an_explicit_gradient_counts_faults():
    emb, bags, params = make()
    tx = jaxtbe.optim.sgd(0.1)

    def step(params, state, d_acts):
        updates, state = tx.update(emb.gradient(bags, d_acts), state, params)
        return optax.apply_updates(params, updates), state

    d_acts = {name: jnp.ones((32, 16)) for name in ("history", "item_id")}
    found = calls(step, params["emb"], tx.init(params["emb"]), d_acts, donate=(0, 1))
    assert [call.target for call in found] == ["jaxtbe_count_faults", "jaxtbe_update"]


def test_raw_ids_and_rows_are_replaced_in_place():
    found = calls(zch_step, *arrays(), *batch(0), donate=(0, 1, 2))
    (insert,), (reset,) = named(found, "jaxtbe_zch_insert"), named(found, "jaxtbe_reset_rows")
    assert insert.aliases == 4  # identities, last_seen, occupancy, counts
    assert reset.aliases == 3  # the table and two states


def test_finding_raw_ids_changes_nothing():
    state = arrays()[0]
    found = calls(lambda s, ids: zch.find(s, ids, zch=CONFIG, implementation="native"), state, batch(0)[0])
    assert [(call.target, call.aliases) for call in found] == [("jaxtbe_zch_find", 0)]
