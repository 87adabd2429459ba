"""`check_in_place` finds nothing in good steps, and in bad ones what costs a table's memory, and why."""

import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS, DIM, BATCH = 40_000, 16, 32
TABLE = "params['emb'].tables['item']"
EMB = jaxtbe.EmbeddingBags(
    tables=[jaxtbe.Table("item", rows=ROWS, dim=DIM)],
    features=[jaxtbe.Feature("history", table="item", pooling="mean"), jaxtbe.Feature("item_id", table="item")],
    implementation="native",
)
RNG = np.random.default_rng(0)
BAGS = EMB.bags({"history": RNG.integers(0, ROWS, (BATCH, 5)), "item_id": RNG.integers(0, ROWS, BATCH)})
TX = optax.partition({"emb": jaxtbe.optim.adam(0.1), "w": optax.adam(1e-3)}, {"emb": "emb", "w": "w"})


def params_and_state():
    params = {"emb": EMB.init(jax.random.key(0)), "w": jnp.full((2 * DIM,), 0.1, jnp.float32)}
    return params, TX.init(params)


def loss_fn(params, bags):
    return jnp.mean((EMB.concat(params["emb"], bags) @ params["w"] - 1) ** 2)


def good(params, state, bags):
    loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags)
    updates, state = TX.update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss


def update(params, state, bags):
    """A step of which nothing is read afterwards."""
    _, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(EMB.concat(p["emb"], bags)))(params)
    updates, state = TX.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def metric_after(params, state, bags):
    new, state = update(params, state, bags)
    return new, state, jnp.sum(params["emb"].tables["item"][:4])


def waited_for(params, state, bags):
    _, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(EMB.concat(p["emb"], bags)))(params)
    metric = jnp.sum(params["emb"].tables["item"][:4])
    grads["emb"] = grads["emb"].after(metric)
    updates, state = TX.update(grads, state, params)
    return optax.apply_updates(params, updates), state, metric


def returned_twice(params, state, bags):
    new, state, _ = good(params, state, bags)
    return new, state, new["emb"]


def old_returned(params, state, bags):
    new, state, _ = good(params, state, bags)
    return new, state, params["emb"]


def two_updates(params, state, bags):
    new, state_1 = update(params, state, bags)
    other, _ = update(params, state_1, bags.replace(id_weights=jnp.full(bags.capacity, 0.5)))
    return new, state_1, other["emb"].tables["item"][0]


def skipped_by_where(params, state, bags):
    new, state, loss = good(params, state, bags)
    return jax.tree.map(lambda a, b: jnp.where(jnp.isfinite(loss), a, b), new, params), state, loss


def skipped_by_cond(params, state, bags):
    new, state = jax.lax.cond(bags.ids[0] >= 0, update, lambda p, s, b: (p, s), params, state, bags)
    return new, state, ()


def dense_gradient(params, state, bags):
    grads = jax.grad(loss_fn)(params, bags)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), state, ()


def decayed(params, state, bags):
    new, state, loss = good(params, state, bags)
    return jax.tree.map(lambda p: 0.99 * p, new), state, loss


def other_dtype(params, state, bags):
    new, state, loss = good(params, state, bags)
    new["emb"] = jax.tree.map(lambda x: x.astype(jnp.bfloat16), new["emb"])
    return new, state, loss


def table_lost(params, state, bags):
    new, state, loss = good(params, state, bags)
    return new["w"], state, loss


def scan_of(body):
    def steps(params, state, bags):
        def step(carry, _):
            new, state, out = body(*carry, bags)
            return (new, state), out

        (params, state), out = jax.lax.scan(step, (params, state), length=3)
        return params, state, out

    return steps


def check(step, donate=(0, 1)):
    return jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=donate), *params_and_state(), BAGS)


@pytest.mark.parametrize("step", [good, waited_for, skipped_by_cond, scan_of(good)])
def test_good_steps_are_in_place(step):
    report = check(step)
    assert report.in_place and not report.findings, report
    assert report.temp_bytes < ROWS * DIM
    assert [leaf.kind for leaf in report.leaves] == ["table", "optimizer state", "optimizer state"]
    assert report.leaves[0].name == TABLE
    assert "in place" in str(report) and TABLE in repr(report)


@pytest.mark.parametrize(
    ("step", "kind", "why"),
    [
        (metric_after, "copy", "reduce_sum reads the table, and the update does not wait for it"),
        (returned_twice, "copy", "returned more than once"),
        (old_returned, "copy", "as it was before the update is returned"),
        (two_updates, "copy", "two updates start from the same table"),
        (skipped_by_where, "dense", "select_n chooses over the whole table"),
        (dense_gradient, "dense", "makes a dense gradient"),
        (decayed, "dense", "mul goes over the whole table"),
        (other_dtype, "not returned", r"donated as f32\[40000,16\] and returned as bf16\[40000,16\]"),
        (table_lost, "not returned", "returns no array of its shape and dtype"),
        (scan_of(metric_after), "copy", "does not wait for it, inside a loop"),
    ],
)
def test_bad_steps_are_explained(step, kind, why):
    report = check(step)
    assert not report.in_place
    found = [f for f in report.findings if f.kind == kind and TABLE in f.names]
    assert found and re.search(why, found[0].why), report
    assert found[0].nbytes == ROWS * DIM * 4
    assert str(found[0]) in str(report)


@pytest.mark.parametrize("step", [metric_after, dense_gradient, skipped_by_where])
def test_a_finding_names_the_line(step):
    lines = pathlib.Path(__file__).read_text().splitlines()
    sources = [f.source for f in check(step).findings if f.source]
    assert sources
    for source in sources:
        file, number = source.rsplit(":", 1)
        assert file == __file__
        assert re.search(r"sum\(params|EMB.concat|jnp.where", lines[int(number) - 1])


@pytest.mark.parametrize(("donate", "lost"), [((), 3), ((0,), 2), ((1,), 1)])
def test_what_is_not_donated_is_named(donate, lost):
    report = check(good, donate)
    assert [f.kind for f in report.findings] == ["not donated"] * lost, report
    argument = "state" if donate == (0,) else "params"
    assert f"donate_argnames=('{argument}',)" in report.findings[0].remedy
    watched = {leaf.name for leaf in report.leaves}
    assert {name for f in report.findings for name in f.names} <= watched


def test_a_lookup_changes_nothing_and_needs_no_donation():
    params, _ = params_and_state()
    report = jaxtbe.debug.check_in_place(jax.jit(EMB.__call__), params["emb"], BAGS)
    assert report.in_place, report


def test_a_table_that_the_step_closes_over():
    params, state = params_and_state()

    def step(state, bags):
        new, state, loss = good(params, state, bags)
        return new["w"], state, loss

    report = jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=0), state, BAGS)
    assert "constant" in {f.kind for f in report.findings}, report


def test_shapes_stand_for_arrays_and_nothing_is_donated():
    params, state = params_and_state()
    step = jax.jit(good, donate_argnums=(0, 1))
    shapes = jax.eval_shape(lambda: params_and_state())
    assert jaxtbe.debug.check_in_place(step, *shapes, BAGS).in_place
    assert jaxtbe.debug.check_in_place(step, params, state, bags=BAGS).in_place
    assert not params["emb"].tables["item"].is_deleted()


def test_unused_arguments_do_not_shift_the_names():
    def step(target, params, scale, state, bags):
        return update(params, state, bags)

    params, state = params_and_state()
    step = jax.jit(step, donate_argnums=(3,), static_argnums=2)
    report = jaxtbe.debug.check_in_place(step, {"emb": params["emb"]}, params, 2, state, BAGS)
    assert [f.names for f in report.findings] == [(TABLE,)], report


def test_plain_arrays_are_watched_where_there_is_no_container():
    def step(table, ids):
        return table.at[ids].add(1.0), jnp.sum(table[:3])

    args = jnp.zeros((ROWS, DIM)), jnp.arange(5)
    jitted = jax.jit(lambda t, ids: t.at[ids].add(1.0), donate_argnums=0)
    assert jaxtbe.debug.check_in_place(jitted, *args).in_place
    report = jaxtbe.debug.check_in_place(jax.jit(step), *args)
    assert [f.kind for f in report.findings] == ["not donated"]


def test_other_stores_are_followed():
    def added_twice(table, ids):
        table = table.at[ids].add(1.0)
        return table, table

    def assigned_twice(params, values):
        params = EMB.assign(params, BAGS, {"item_id": values})
        return params, params

    args = jnp.zeros((ROWS, DIM)), jnp.arange(5)
    for step, step_args in (
        (added_twice, args),
        (assigned_twice, (params_and_state()[0]["emb"], jnp.ones((BATCH, DIM)))),
    ):
        report = jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=0), *step_args)
        assert [(f.kind, f.why) for f in report.findings] == [("copy", "one table is returned more than once")], report


def test_zch_states_are_watched():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=4096, dim=8, zch=jaxtbe.Zch())], [jaxtbe.Feature("user_id", table="user")]
    )
    bags = emb.bags({"user_id": np.arange(5) * 2**40})

    def step(zch_state, bags):
        return emb.remap(zch_state, bags)[:2]

    report = jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=0), emb.init_zch(), bags)
    assert report.in_place and {leaf.kind for leaf in report.leaves} == {"ZCH state"}, report
    report = jaxtbe.debug.check_in_place(jax.jit(step), emb.init_zch(), bags)
    assert {f.kind for f in report.findings} == {"not donated"}


@pytest.mark.parametrize("package", ["equinox", "flax.nnx"])
def test_the_jit_of_model_libraries(package):
    library = pytest.importorskip(package)
    donating, plain = {
        "equinox": lambda f: (library.filter_jit(f, donate="all"), library.filter_jit(f)),
        "flax.nnx": lambda f: (library.jit(f, donate_argnums=(0, 1)), library.jit(f)),
    }[package](good)
    assert jaxtbe.debug.check_in_place(donating, *params_and_state(), BAGS).in_place
    report = jaxtbe.debug.check_in_place(plain, *params_and_state(), BAGS)
    assert {f.kind for f in report.findings} == {"not donated"}, report


def test_messages():
    with pytest.raises(
        TypeError, match=r"check_in_place: step: expected a jitted function, got a function. Pass jax.jit"
    ):
        jaxtbe.debug.check_in_place(good, *params_and_state(), BAGS)
    with pytest.raises(ValueError, match=r"arguments: expected an EmbeddingParams.* Pass tables as arguments"):
        jaxtbe.debug.check_in_place(jax.jit(lambda x: x + 1), jnp.zeros(3))


OVER_FOUR_DEVICES = """
import jax; jax.config.update("jax_num_cpu_devices", 4)
import jax.numpy as jnp, optax, jaxtbe

emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=40_000, dim=16)], [jaxtbe.Feature("f", table="t")])
emb = emb.shard(jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)))
tx, params = jaxtbe.optim.rowwise_adagrad(0.1), emb.init(jax.random.key(0))
state, bags = tx.init(params), emb.bags({"f": [[1, 2], [3], [4], [5]]})

def step(params, state, bags):
    loss, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(emb(p, bags)["f"] ** 2))(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss

report = jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=(0, 1)), params, state, bags)
assert report.in_place, report
report = jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=1), params, state, bags)
assert [(f.kind, f.nbytes) for f in report.findings] == [("not donated", 40_000 * 16)], report  # a quarter of the table
"""


@pytest.mark.slow
def test_a_step_over_four_devices():
    run = subprocess.run([sys.executable, "-c", OVER_FOUR_DEVICES], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.fixture
def unreadable(monkeypatch):
    """A program whose text has a form that nobody has seen."""

    def parse(text):
        raise KeyError("a new opcode")

    monkeypatch.setattr("jaxtbe.debug.in_place.check.Program", parse)


@pytest.mark.parametrize(("step", "donate", "in_place"), [
    (good, (0, 1), True),
    (scan_of(good), (0, 1), True),
    (good, (), False),
    (good, (1,), False),
    (other_dtype, (0, 1), True),  # its table does not come back in its own dtype: nothing could take the memory
    (returned_twice, (0, 1), True),
])  # fmt: skip
def test_a_text_that_is_not_understood_leaves_the_verdict_to_the_memory(unreadable, step, donate, in_place):
    report = check(step, donate)
    assert report.in_place == in_place, report
    assert "judged by its memory alone, as its text was not understood (KeyError: 'a new opcode')" in str(report)
    assert [finding.kind for finding in report.findings] == ([] if in_place else ["memory"])
    assert "table" in {leaf.kind for leaf in report.leaves}


def test_a_reason_that_is_not_understood_leaves_the_verdict_to_the_memory(monkeypatch):
    def find(*_):
        raise IndexError("no operand")

    monkeypatch.setattr("jaxtbe.debug.in_place.check.find_copies", find)
    report = check(good, ())
    assert [finding.kind for finding in report.findings] == ["memory"] and "IndexError" in report.unread
    assert check(good).in_place
