"""What each access mode, the update mask and an assignment leave in a table, bit for bit."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from cases import DTYPES, Case, cases, feature, quick_jit, to_bags, train_step
from compare import assert_same_bits, assert_updated, assert_within
from oracle import Batch

import jaxtbe

DIM = 6
ROWS = 8


def poisoned(dtype) -> np.ndarray:
    """A table whose rows hold what arithmetic would not survive."""
    info = jnp.finfo(dtype)
    rows = [np.nan, 1e8, np.inf, -np.inf, info.smallest_subnormal, info.max, 0.0, -0.0]
    with np.errstate(over="ignore"):
        return np.repeat(np.array(rows)[:, None], DIM, axis=1).astype(dtype)


def exact_targets(dtype, count: int) -> np.ndarray:
    """float32 values that `dtype` holds exactly: both zeros, tiny, large, and random ones."""
    info = jnp.finfo(dtype)
    special = np.array([0.0, -0.0, info.tiny, -info.tiny, 1.0, info.max], np.float64)
    random = np.random.default_rng(0).normal(size=(count - 1, DIM))
    return np.vstack([special, random]).astype(dtype).astype(np.float32)


@functools.partial(quick_jit, static_argnums=(0, 1, 2))
def writeback_step(emb, tx, name, params, bags, target):
    grads = jaxtbe.grad(lambda p: jaxtbe.writeback_loss(emb(p, bags)[name], target))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    return optax.apply_updates(params, updates)


@functools.partial(quick_jit, static_argnums=(0, 1))
def gradient_step(emb, tx, params, bags, d_acts):
    updates, _ = tx.update(emb.gradient(bags, d_acts), tx.init(params), params)
    return optax.apply_updates(params, updates)


@pytest.mark.parametrize("duplicates", ["sum", "first", "last"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_write_only_stores_targets_over_anything(implementation, dtype, duplicates):
    table = jaxtbe.Table("t", rows=ROWS, dim=DIM, dtype=dtype, duplicates=duplicates)
    case = Case((table,), (feature("w", "t", access="write_only"),))
    emb = case.module(implementation)
    before, written = poisoned(dtype), [4, 0, 2, 1, 5]
    target = exact_targets(dtype, len(written))
    bags = emb.bags({"w": np.array(written)})
    got = writeback_step(emb, jaxtbe.optim.sgd(1.0), "w", case.params({"t": before}), bags, target)
    want = oracle.replace_rows(before, dict(zip(written, target, strict=True)))
    assert_same_bits(got.tables["t"], want, "table after a write-only step")


def test_writeback_loss_is_exact_for_huge_targets_outside_jit():
    target = np.array([np.finfo(np.float32).max, 1.0], np.float32)
    gradient = jax.grad(lambda acts: jaxtbe.writeback_loss(acts, target))(jnp.zeros(2))
    assert_same_bits(gradient, -target, "gradient of writeback_loss")


@pytest.mark.parametrize("dtype", DTYPES)
def test_assign_stores_values_over_anything(implementation, dtype):
    table = jaxtbe.Table("t", rows=ROWS, dim=DIM, dtype=dtype)
    case = Case((table,), (feature("f", "t"),))
    emb = case.module(implementation)
    before, written = poisoned(dtype), [4, 0, 2, 1, 5]
    target = exact_targets(dtype, len(written))
    target[2] = [np.nan, np.inf, -np.inf, jnp.finfo(dtype).smallest_subnormal, 0.0, -0.0]
    got = emb.assign(case.params({"t": before}), emb.bags({"f": np.array(written)}), {"f": target})
    want = oracle.replace_rows(before, dict(zip(written, target, strict=True)))
    assert_same_bits(got.tables["t"], want, "table after assign")


@hypothesis.given(case=cases(duplicates=("first", "last")))
def test_assign_random_specs_and_batches(implementation, case):
    emb = case.module(implementation)
    batch, targets = case.batch(faults=True, mask=True), case.d_acts()
    got = quick_jit(emb.assign)(case.params(), to_bags(emb, batch), targets)
    want = oracle.assign(case.tables, case.features, case.values(), batch, targets)
    for name in want:
        assert_same_bits(got.tables[name], want[name], f"table {name!r} after assign")


def test_assign_adds_duplicates_of_a_sum_table(implementation):
    table = jaxtbe.Table("t", rows=4, dim=3)
    case = Case((table,), (feature("f", "t"), feature("m", "t", "mean"), feature("n", "t", "none")))
    emb = case.module(implementation)
    batch, targets = case.batch(), case.d_acts()
    got = emb.assign(case.params(), to_bags(emb, batch), targets)
    want = oracle.assign(case.tables, case.features, case.values(), batch, targets)
    assert_within(got.tables["t"], want["t"], 1e-5, "table after assign")


def test_assign_takes_values_for_some_features(implementation):
    table = jaxtbe.Table("t", rows=6, dim=3, duplicates="last")
    case = Case((table,), (feature("f", "t"), feature("g", "t"), feature("r", "t", access="read_only")))
    emb = case.module(implementation)
    batch, targets = case.batch(), {"f": case.d_acts()["f"]}
    got = quick_jit(emb.assign)(case.params(), to_bags(emb, batch), targets)
    want = oracle.assign(case.tables, case.features, case.values(), batch, targets)
    assert_same_bits(got.tables["t"], want["t"], "table after assigning one feature")


@pytest.mark.parametrize("rule", ["adam", "partial_rowwise_adam"])
def test_assign_resets_the_state_of_assigned_rows_on_demand(implementation, rule):
    tables = (jaxtbe.Table("a", rows=6, dim=3, duplicates="first"), jaxtbe.Table("b", rows=5, dim=2))
    case = Case(tables, (feature("f", "a"), feature("g", "b")))
    emb, tx = case.module(implementation), getattr(jaxtbe.optim, rule)(0.1)
    every_row = emb.bags({"f": np.arange(6), "g": np.arange(6) % 5})
    params = case.params()
    params, state = train_step(emb, tx, params, tx.init(params), every_row, case.d_acts(batch_size=6))
    bags = emb.bags({"f": np.array([4, 1, 4]), "g": np.array([0, 1, 2])})
    target = np.ones((3, 3), np.float32)

    kept = emb.assign(params, bags, {"f": target})
    got, reset = emb.assign(params, bags, {"f": target}, state, reset_state=True)
    for name in kept.tables:
        assert_same_bits(got.tables[name], kept.tables[name], f"table {name!r} with and without reset")
    for name, then in state.tables["a"].items():
        want = np.array(then)
        assert (want != 0).all(), f"{name!r} was not trained"
        want[[1, 4]] = 0
        assert_same_bits(reset.tables["a"][name], want, f"state {name!r} of the assigned table")
        assert_same_bits(reset.tables["b"][name], state.tables["b"][name], f"state {name!r} of the other table")


@pytest.mark.parametrize("duplicates", ["sum", "first", "last"])
def test_assigned_rows_begin_again_in_lazy_states(implementation, duplicates):
    case = Case((jaxtbe.Table("t", rows=6, dim=3, duplicates=duplicates),), (feature("f", "t"),))
    emb, params = case.module(implementation), case.params()
    made = optax.chain(optax.scale_by_rss(initial_accumulator_value=0.25), optax.contrib.schedule_free_sgd(0.1))
    tx = jaxtbe.optim.lazy(made)
    every_row = emb.bags({"f": np.arange(6)})
    trained, state = train_step(emb, tx, params, tx.init(params), every_row, case.d_acts(batch_size=6))
    target = np.arange(9, dtype=np.float32).reshape(3, 3)
    bags = emb.bags({"f": np.array([4, 1, 4])})
    new, reset = jax.jit(lambda p, s: emb.assign(p, bags, {"f": target}, s, reset_state=True))(trained, state)
    (squares, free), (was_squares, was_free) = (s.tables["t"]["inner"] for s in (reset, state))
    want, weights = np.array(was_squares.sum_of_squares), np.array(was_free.z)
    assert not np.any(want == 0.25) and not np.any(weights == params.tables["t"])
    want[[1, 4]], weights[[1, 4]] = 0.25, np.asarray(new.tables["t"])[[1, 4]]
    assert_same_bits(squares.sum_of_squares, want, "accumulator")
    assert_same_bits(free.z, weights, "a state that begins with the row")
    assert int(free.step_count) == int(was_free.step_count) == 2


@pytest.mark.parametrize("duplicates", ["sum", "first", "last"])
@pytest.mark.parametrize("learning_rate", [1.0, 0.5])
def test_write_only_overwrites_with_the_gradient(implementation, duplicates, learning_rate):
    tables = tuple(jaxtbe.Table(n, rows=5, dim=d, duplicates=duplicates) for n, d in (("a", 3), ("b", 65)))
    features = [("f", "a", "sum"), ("g", "b", "none"), ("h", "a", "mean"), ("i", "b", "sum")]
    case = Case(tables, tuple(feature(*f, access="write_only") for f in features))
    emb = case.module(implementation)
    batch, d_acts = case.batch(faults=True, mask=True), case.d_acts()
    before = {t.name: np.full((t.rows, t.dim), np.nan, np.float32) for t in tables}
    got = gradient_step(emb, jaxtbe.optim.sgd(learning_rate), case.params(before), to_bags(emb, batch), d_acts)
    rows = oracle.row_gradients(case.tables, case.features, [(batch, d_acts)])
    for name in before:
        want = oracle.overwrite(before[name], rows[name], learning_rate)
        assert_within(got.tables[name], want, 1e-5 * np.maximum(np.abs(want), 1), f"table {name!r}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_write_writeback_moves_the_row_to_the_target(implementation, dtype):
    """`row -= lr * (row - target)`, the first occurrence of a row wins."""
    table = jaxtbe.Table("t", rows=ROWS, dim=DIM, dtype=dtype, duplicates="first")
    case = Case((table,), (feature("f", "t"),))
    emb = case.module(implementation)
    ids = [3, 1, 3, 7, 1]
    target = exact_targets(dtype, len(ids) + 1)[1:]
    before = case.values()["t"]
    for learning_rate in (1.0, 0.25):
        tx = jaxtbe.optim.sgd(learning_rate)
        got = writeback_step(emb, tx, "f", case.params(), emb.bags({"f": np.array(ids)}), target)
        want = before.astype(np.float64)
        for row in set(ids):
            want[row] -= learning_rate * (want[row] - target[ids.index(row)])
        assert_updated(got.tables["t"], want, before, f"table after writeback at rate {learning_rate}")
        untouched = [row for row in range(ROWS) if row not in ids]
        assert_same_bits(got.tables["t"][np.array(untouched)], before[untouched], "rows outside the batch")


@pytest.mark.parametrize("dtype", DTYPES)
def test_read_only_rows_keep_their_bits(implementation, dtype):
    """A step that writes some rows leaves the rows that are only read, whatever they hold."""
    table = jaxtbe.Table("t", rows=ROWS, dim=DIM, dtype=dtype)
    case = Case(
        (table,), (feature("ro", "t", access="read_only"), feature("rw", "t"), feature("ro2", "t", "mean", "read_only"))
    )
    emb = case.module(implementation)
    before = poisoned(dtype)
    bags = emb.bags({"ro": np.array([0, 1, 7]), "rw": np.array([6, 6, 6]), "ro2": np.array([2, 3, 4])})
    d_acts = {name: np.ones((3, DIM), np.float32) for name in ("ro", "rw", "ro2")}
    got = np.asarray(
        gradient_step(emb, jaxtbe.optim.adagrad(1.0), case.params({"t": before}), bags, d_acts).tables["t"]
    )
    kept = [row for row in range(ROWS) if row != 6]
    assert_same_bits(got[kept], before[kept], "rows that were only read")
    assert (got[6] != before[6]).all()


def test_a_table_of_read_only_features_is_not_touched(implementation):
    tables = (jaxtbe.Table("frozen", rows=5, dim=3), jaxtbe.Table("live", rows=5, dim=3))
    case = Case(tables, (feature("f", "frozen", access="read_only"), feature("g", "live")))
    emb = case.module(implementation)
    params, bags = case.params(), to_bags(emb, case.batch())
    got = gradient_step(emb, jaxtbe.optim.adam(0.1, weight_decay=0.1, decay="decoupled"), params, bags, case.d_acts())
    assert_same_bits(got.tables["frozen"], params.tables["frozen"], "frozen table")


def test_a_masked_row_keeps_its_bits_and_is_read(implementation):
    table = jaxtbe.Table("t", rows=ROWS, dim=DIM)
    case = Case((table,), (feature("f", "t", "mean"),))
    emb = case.module(implementation)
    batch = Batch({"f": [[1, 2], [2, 3]]}, update_mask={"f": [[True, False], [False, True]]})
    params, bags = case.params(), to_bags(emb, batch)
    before = np.asarray(params.tables["t"])
    assert_within(
        emb(params, bags)["f"][0], (before[1].astype(float) + before[2]) / 2, 1e-6, "activation of a masked id"
    )
    d_acts = np.ones((2, DIM), np.float32)
    got = np.asarray(gradient_step(emb, jaxtbe.optim.sgd(1.0), params, bags, {"f": d_acts}).tables["t"])
    assert_same_bits(got[[0, 2]], before[[0, 2]], "masked row")
    assert_updated(got[[1, 3]], before[[1, 3]].astype(float) - 0.5, before[[1, 3]], "rows that the mask lets through")


def test_first_and_last_skip_masked_occurrences(implementation):
    for duplicates, want in (("first", 20.0), ("last", 30.0)):
        table = jaxtbe.Table("t", rows=3, dim=1, duplicates=duplicates)
        case = Case((table,), (feature("f", "t", access="write_only"),))
        emb = case.module(implementation)
        mask = {"f": [[False], [True], [True], [False]]}
        bags = to_bags(emb, Batch({"f": [[1], [1], [1], [1]]}, update_mask=mask))
        target = np.array([[10.0], [20.0], [30.0], [40.0]], np.float32)
        got = writeback_step(
            emb, jaxtbe.optim.sgd(1.0), "f", case.params({"t": np.zeros((3, 1), np.float32)}), bags, target
        )
        assert_within(got.tables["t"], [[0.0], [want], [0.0]], 0, f"{duplicates} occurrence that is not masked")


def test_reading_before_and_writing_in_one_step(implementation):
    """A read-only feature sees the rows as they were, in both of two lookups before the update."""
    table = jaxtbe.Table("t", rows=4, dim=2)
    case = Case((table,), (feature("r", "t", access="read_only"), feature("w", "t", access="write_only")))
    emb, tx = case.module(implementation), jaxtbe.optim.sgd(1.0)
    params, before = case.params(), case.values()["t"]
    first, second = emb.bags({"r": [0, 1], "w": [0, 1]}), emb.bags({"r": [1, 2], "w": [2, 3]})
    targets = np.arange(8, dtype=np.float32).reshape(4, 2)

    @quick_jit
    def step(params):
        def loss(params):
            one, two = emb(params, first), emb(params, second)
            total = jaxtbe.writeback_loss(one["w"], targets[:2]) + jaxtbe.writeback_loss(two["w"], targets[2:])
            return total, (one["r"], two["r"])

        grads, reads = jaxtbe.grad(loss, has_aux=True)(params)
        updates, _ = tx.update(grads, tx.init(params), params)
        return optax.apply_updates(params, updates), reads

    after, reads = step(params)
    assert_same_bits(reads[0], before[[0, 1]], "first read")
    assert_same_bits(reads[1], before[[1, 2]], "second read")
    assert_same_bits(after.tables["t"], targets, "table after the step")


def test_a_table_cannot_be_updated_and_overwritten(implementation):
    table = jaxtbe.Table("t", rows=4, dim=2)
    with pytest.raises(ValueError, match=r"table 't': expected .*read_write.*write_only"):
        Case((table,), (feature("a", "t"), feature("b", "t", access="write_only"))).module(implementation)


@pytest.mark.parametrize("rule", ["adagrad", "adam", "lars_sgd"])
def test_an_overwritten_table_takes_sgd_only(implementation, rule):
    case = Case((jaxtbe.Table("t", rows=4, dim=2),), (feature("w", "t", access="write_only"),))
    emb, tx = case.module(implementation), getattr(jaxtbe.optim, rule)(0.1)
    with pytest.raises(ValueError, match=r"'t'.*sgd"):
        gradient_step(emb, tx, case.params(), to_bags(emb, case.batch()), case.d_acts())
