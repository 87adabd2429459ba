"""The oracle itself, against hand-worked numbers and against the identity that ties a lookup to its gradients."""

import hypothesis
import numpy as np
import oracle
from cases import Case, cases, feature
from oracle import Batch
from oracle_optim import Optimizer

import jaxtbe

CASE = Case(
    (jaxtbe.Table("t", rows=3, dim=1),),
    (feature("s", "t"), feature("m", "t", "mean"), feature("n", "t", "none")),
)
VALUES = {"t": np.array([[1.0], [10.0], [100.0]])}
BATCH = Batch(
    {"s": [[0, 2, 2], []], "m": [[1, -1, 0, 7], []], "n": [[2, -1, 0, 1], [1]]},
    {"s": [[1, 2, 3], []], "m": [[1, 1, 4, 1], []], "n": [[1, 1, 2, 1], [5]]},
)


def test_lookup_by_hand():
    acts = oracle.lookup(CASE.tables, CASE.features, VALUES, BATCH)
    np.testing.assert_array_equal(acts["s"], [[501], [0]])
    np.testing.assert_array_equal(acts["m"], [[7], [0]])  # (10 + 4) / 2: two valid ids
    np.testing.assert_array_equal(acts["n"], [[[100], [0], [2]], [[50], [0], [0]]])
    assert oracle.faults(CASE.tables, CASE.features, BATCH) == {"m": (1, 7)}


def test_row_gradients_by_hand():
    d_acts = {name: np.ones_like(a) for name, a in oracle.zeros_like_acts(CASE.tables, CASE.features, 2).items()}
    gradients = oracle.row_gradients(CASE.tables, CASE.features, [(BATCH, d_acts)])
    assert {row: g.item() for row, g in gradients["t"].items()} == {0: 1 + 2 + 2, 1: 0.5 + 5, 2: 5 + 1}


@hypothesis.given(case=cases())
def test_gradients_are_the_adjoint_of_the_lookup(case):
    batch = case.batch(faults=True)
    d_acts = case.d_acts()
    values = case.values()
    acts = oracle.lookup(case.tables, case.features, values, batch)
    loss = sum(np.vdot(acts[name], d_acts[name]) for name in acts)

    dense = oracle.dense_gradients(case.tables, case.features, [(batch, d_acts)])
    rows = oracle.row_gradients(case.tables, case.features, [(batch, d_acts)])
    weights = oracle.id_weight_gradients(case.tables, case.features, values, batch, d_acts)
    by_tables = sum(np.vdot(dense[name], values[name].astype(float)) for name in dense)
    by_rows = sum(g @ values[name][row].astype(float) for name in rows for row, g in rows[name].items())
    by_weights = sum(
        np.dot(bag, weight)
        for name in weights
        for bag, weight in zip(weights[name], batch.id_weights[name], strict=True)
    )
    np.testing.assert_allclose([by_tables, by_rows, by_weights], loss, rtol=1e-9, atol=1e-9)


def test_adam_first_step_moves_by_the_learning_rate():
    adam = Optimizer("adam", 0.5, hyperparameters={"b1": 0.9, "b2": 0.999, "eps": 0.0})
    updated = adam.step(np.zeros((2, 3)), {1: np.array([3.0, -4.0, 5.0])})
    np.testing.assert_allclose(updated, [[0, 0, 0], [-0.5, 0.5, -0.5]])
