"""Every update rule against the oracle, over three steps with repeated rows."""

import inspect

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from cases import DTYPES, POOLINGS, Case, cases, every_pooling, feature, to_bags, train_step
from compare import assert_same_bits, assert_updated
from oracle_optim import RULES, Optimizer

import jaxtbe

STEPS = 3
BATCH_SIZE = 8
CAPACITY = 256
LEARNING_RATE = 0.1
WEIGHT_DECAY = 0.05
ADAM = {"b1": 0.9, "b2": 0.999, "eps": 1e-8}
HYPERPARAMETERS = {
    "sgd": {},
    "adagrad": {"eps": 1e-6},
    "rowwise_adagrad": {"eps": 1e-6},
    "adam": ADAM,
    "partial_rowwise_adam": ADAM,
    "lamb": ADAM,
    "partial_rowwise_lamb": ADAM,
    "lars_sgd": {"momentum": 0.9, "eta": 0.3},
}


def a_table_of_each_dtype(duplicates="sum", dtypes=DTYPES) -> Case:
    """Batches repeat some rows of each table and leave others untouched."""
    tables = tuple(
        jaxtbe.Table(jnp.dtype(dtype).name, rows=17, dim=67, dtype=dtype, duplicates=duplicates) for dtype in dtypes
    )
    return Case(tables, tuple(feature(p, t.name, p) for t, p in zip(tables, POOLINGS, strict=False)))


def transformation(rule: str, learning_rate=LEARNING_RATE, **options) -> optax.GradientTransformation:
    return getattr(jaxtbe.optim, rule)(learning_rate, **HYPERPARAMETERS[rule], **options)


def assert_rule_matches(implementation, rule, case, steps=STEPS, mask=False, learning_rates=None, **options):
    """Trains the case and its oracle side by side; each oracle step starts from the table as it is stored."""
    rates = learning_rates or [LEARNING_RATE] * steps
    schedule = LEARNING_RATE if learning_rates is None else lambda count: jnp.take(jnp.array(rates), count)
    emb, tx = case.module(implementation), transformation(rule, schedule, **options)
    params = case.params()
    state = tx.init(params)
    oracles = {
        t.name: Optimizer(rule, LEARNING_RATE, hyperparameters=HYPERPARAMETERS[rule], **options) for t in case.tables
    }
    for step in range(steps):
        batch = case.batch(step, batch_size=BATCH_SIZE, faults=True, mask=mask)
        d_acts = case.d_acts(step, BATCH_SIZE)
        rows = oracle.row_gradients(case.tables, case.features, [(batch, d_acts)])
        before, before_state = {k: np.asarray(v) for k, v in params.tables.items()}, state
        params, state = train_step(emb, tx, params, state, to_bags(emb, batch, CAPACITY), d_acts)
        for table in case.tables:
            what = f"{rule}: table {table.name!r} after step {step + 1}"
            oracles[table.name].learning_rate = rates[step]
            want = oracles[table.name].step(before[table.name], rows[table.name])
            got = np.asarray(params.tables[table.name])
            assert got.dtype == table.dtype, f"{what}: dtype {got.dtype}"
            assert_updated(got, want, before[table.name], what)
            untouched = [row for row in range(table.rows) if row not in rows[table.name]]
            assert_same_bits(got[untouched], before[table.name][untouched], f"{what}, untouched rows")
            assert_state_untouched(state, before_state, table, untouched, what)


def assert_state_untouched(state, before, table, untouched, what):
    """Every state array of the table keeps its untouched rows, bit for bit."""
    for name, then in before.tables[table.name].items():
        now = np.asarray(state.tables[table.name][name])
        assert_same_bits(now[untouched], np.asarray(then)[untouched], f"{what}, untouched rows of {name!r}")


def test_the_batches_repeat_rows_and_leave_others():
    case = a_table_of_each_dtype()
    for step in range(STEPS):
        batch = case.batch(step, batch_size=BATCH_SIZE, faults=True)
        for table, of_table in zip(case.tables, case.features, strict=True):
            rows = [o.row for o in oracle.occurrences(case.tables, [of_table], batch)]
            assert len(set(rows)) < min(len(rows), table.rows), f"step {step}, {of_table.name}: {sorted(rows)}"


@pytest.mark.parametrize("options", [{}, {"decay": "l2"}, {"decay": "decoupled"}], ids=["none", "l2", "decoupled"])
@pytest.mark.parametrize("rule", RULES)
def test_rule_decay_and_dtype(implementation, rule, options):
    options = {**options, "weight_decay": WEIGHT_DECAY} if options else {}
    assert_rule_matches(implementation, rule, a_table_of_each_dtype(), **options)


@pytest.mark.parametrize("rule", RULES)
def test_clip_then_l2_then_rule_then_max_norm(implementation, rule):
    options = {"clip": 0.4, "weight_decay": 0.5, "decay": "l2", "max_norm": 7.0}
    assert_rule_matches(implementation, rule, a_table_of_each_dtype(), **options)


@pytest.mark.parametrize("duplicates", ["first", "last"])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_duplicates(implementation, rule, duplicates):
    assert_rule_matches(implementation, rule, a_table_of_each_dtype(duplicates), steps=2)


def test_update_mask(implementation):
    assert_rule_matches(implementation, "rowwise_adagrad", a_table_of_each_dtype(), mask=True)


@pytest.mark.parametrize("rule", ["sgd", "adam", "lars_sgd"])
def test_learning_rate_schedule(implementation, rule):
    case = a_table_of_each_dtype(dtypes=[jnp.float32])
    assert_rule_matches(implementation, rule, case, learning_rates=[0.1, 0.2, 0.05])


@hypothesis.settings(max_examples=8)
@hypothesis.given(case=cases(accesses=("read_write", "read_only"), duplicates=("sum", "first", "last")))
def test_random_specs_with_masks(implementation, case):
    assert_rule_matches(implementation, "adagrad", case, steps=2, mask=True)


@pytest.mark.parametrize("rule", ["lamb", "partial_rowwise_lamb", "lars_sgd"])
def test_rows_of_zeros_and_zero_gradients(implementation, rule):
    """Where a norm is zero the trust ratio is one: no division by zero, and zero rows can leave zero."""
    case = a_table_of_each_dtype(dtypes=[jnp.float32])
    emb, tx = case.module(implementation), transformation(rule)
    zeros = {t.name: np.zeros((t.rows, t.dim), np.float32) for t in case.tables}
    batch, d_acts = case.batch(), case.d_acts()
    no_gradient = {name: np.zeros_like(d) for name, d in d_acts.items()}
    for start, gradient in ((zeros, d_acts), (zeros, no_gradient), (case.values(), no_gradient)):
        params = case.params(start)
        got, _ = train_step(emb, tx, params, tx.init(params), to_bags(emb, batch), gradient)
        rows = oracle.row_gradients(case.tables, case.features, [(batch, gradient)])
        for name in start:
            want = Optimizer(rule, LEARNING_RATE, hyperparameters=HYPERPARAMETERS[rule]).step(start[name], rows[name])
            assert_updated(got.tables[name], want, np.ones_like(start[name]), f"{rule}: table {name!r}")


def test_a_touched_row_with_zero_gradient_still_moves_by_its_momentum(implementation):
    case = every_pooling()
    emb, tx = case.module(implementation), transformation("adam")
    params = case.params()
    state, adam = tx.init(params), Optimizer("adam", LEARNING_RATE, hyperparameters=ADAM)
    batch = case.batch(negatives=False)
    for d_acts in (case.d_acts(), {name: np.zeros_like(d) for name, d in case.d_acts().items()}):
        before = np.asarray(params.tables["t"])
        params, state = train_step(emb, tx, params, state, to_bags(emb, batch), d_acts)
        want = adam.step(before, oracle.row_gradients(case.tables, case.features, [(batch, d_acts)])["t"])
        assert_updated(params.tables["t"], want, before, "table")
        assert not np.array_equal(want, before)


def test_an_empty_batch_changes_nothing(implementation):
    case = every_pooling()
    emb, tx = case.module(implementation), transformation("adagrad", weight_decay=0.1, decay="decoupled")
    params = case.params()
    nothing = oracle.Batch({f.name: [[], [-1]] for f in case.features})
    got, _ = train_step(emb, tx, params, tx.init(params), to_bags(emb, nothing), case.d_acts(batch_size=2))
    assert_same_bits(got.tables["t"], params.tables["t"], "table after an empty batch")


@pytest.mark.parametrize("rule", ["sgd", "adagrad", "lamb"])
def test_a_step_twice_gives_the_same_bits(implementation, rule):
    case = a_table_of_each_dtype(dtypes=[jnp.bfloat16])
    emb, tx = case.module(implementation), transformation(rule)
    params, bags, d_acts = case.params(), to_bags(emb, case.batch()), case.d_acts()
    first, second = (train_step(emb, tx, params, tx.init(params), bags, d_acts) for _ in "12")
    for one, two in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert_same_bits(two, one, f"{rule}: a table or state after the same step")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_the_common_options(rule):
    options = set(inspect.signature(getattr(jaxtbe.optim, rule)).parameters)
    common = {"learning_rate", "weight_decay", "decay", "clip", "max_norm", "rounding", "seed"}
    assert common <= options, f"{rule} lacks {common - options}"
