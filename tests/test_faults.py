"""Ids outside the table: they contribute nothing, train nothing, and are counted and named."""

import hypothesis
import jax.numpy as jnp
import optax
import oracle
import pytest
from cases import Case, cases, feature, to_bags
from compare import assert_same_bits, assert_within
from oracle import Batch

import jaxtbe

CASE = Case((jaxtbe.Table("user", rows=5, dim=3),), (feature("id", "user"), feature("history", "user", "mean")))
BATCH = Batch({"id": [[0], [5]], "history": [[9, 1, 700], [-1, 5, 2]]})


def test_faulty_ids_contribute_zero_and_are_not_counted_by_mean(implementation):
    emb = CASE.module(implementation)
    acts = emb(CASE.params(), to_bags(emb, BATCH))
    table = CASE.values()["user"]
    assert_within(acts["id"], [table[0], [0, 0, 0]], 0, "acts['id']")
    assert_within(acts["history"], [table[1], table[2]], 0, "acts['history']")


def test_faulty_ids_train_nothing(implementation):
    emb = CASE.module(implementation)
    params = CASE.params()
    bags = to_bags(emb, Batch({"id": [[5], [2**31 - 1]], "history": [[5, -1], [6, 7]]}))
    grads = jaxtbe.grad(lambda p: sum(jnp.sum(a) for a in emb(p, bags).values()))(params)
    tx = jaxtbe.optim.sgd(1.0)
    updates, _ = tx.update(grads, tx.init(params), params)
    table = optax.apply_updates(params, updates).tables["user"]
    assert_same_bits(table, CASE.values()["user"], "table after a batch of faults")


def step_over_faults(implementation, batches):
    """The gradient of the last step and the optimizer state after all of them."""
    emb = CASE.module(implementation)
    params, tx = CASE.params(), jaxtbe.optim.adagrad(0.1)
    state, grads = tx.init(params), None
    for batch in batches:
        bags = to_bags(emb, batch)
        grads = jaxtbe.grad(lambda p, bags: sum(jnp.sum(a) for a in emb(p, bags).values()))(params, bags)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return grads, state


def message(count: int, first: int, feature: str) -> str:
    """Of an error that names the table, the feature, the count and the first id."""
    return rf"(?s)(?=.*'user')(?=.*'{feature}')(?=.*\b{count}\b)(?=.*\b{first}\b)"


def test_check_of_a_gradient_names_what_the_batch_held(implementation):
    grads, _ = step_over_faults(implementation, [BATCH])
    with pytest.raises(ValueError, match=message(1, 5, "id")):
        jaxtbe.check(grads)


def test_check_of_an_optimizer_state_counts_over_all_steps(implementation):
    good = Batch({"id": [[0], [4]], "history": [[1], []]})
    faulty = Batch({"id": [[0], [1]], "history": BATCH.ids["history"]})
    grads, state = step_over_faults(implementation, [good, faulty, BATCH, good])
    with pytest.raises(ValueError, match=message(3 + 4, 9, "history")):
        jaxtbe.check({"state": state})
    jaxtbe.check(grads)


def test_check_accepts_a_run_without_faults(implementation):
    jaxtbe.check(*step_over_faults(implementation, [Batch({"id": [[0], [-4]], "history": [[1, -1], []]})] * 2))


def test_validate_names_table_feature_count_and_first_id(implementation):
    emb = CASE.module(implementation)
    with pytest.raises(ValueError, match=message(3, 9, "history")):
        to_bags(emb, Batch({"id": [[0], [1]], "history": BATCH.ids["history"]})).validate(emb)


def test_validate_accepts_negative_ids_and_padding(implementation):
    emb = CASE.module(implementation)
    to_bags(emb, Batch({"id": [[-1], [4]], "history": [[], [-7]]})).validate(emb)


@hypothesis.given(case=cases(accesses=("read_write", "read_only")))
def test_validate_raises_just_where_the_oracle_finds_faults(implementation, case):
    emb = case.module(implementation)
    for seed, faults in enumerate((True, False)):
        batch = case.batch(seed, faults=faults)
        found = oracle.faults(case.tables, case.features, batch)
        bags = to_bags(emb, batch)
        if not found:
            bags.validate(emb)
            continue
        with pytest.raises(ValueError) as error:
            bags.validate(emb)
        name, fault = next(iter(found.items()))
        for part in (name, str(fault.count), str(fault.first)):
            assert part in str(error.value), f"{part!r} is missing in {str(error.value)!r}"
