"""An optimizer state that does not fit its table is an error while the step is traced, in every path that takes one."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS, DIM = 10, 4
OPTIMIZERS = {
    "adagrad": lambda: jaxtbe.optim.adagrad(0.1),
    "rowwise_adagrad": lambda: jaxtbe.optim.rowwise_adagrad(0.1),
    "adam": lambda: jaxtbe.optim.adam(0.1),
    "adam_bfloat16": lambda: jaxtbe.optim.adam(0.1, mu_dtype=jnp.bfloat16),
    "partial_rowwise_adam": lambda: jaxtbe.optim.partial_rowwise_adam(0.1),
    "lamb": lambda: jaxtbe.optim.lamb(0.1),
    "partial_rowwise_lamb": lambda: jaxtbe.optim.partial_rowwise_lamb(0.1),
    "lars_sgd": lambda: jaxtbe.optim.lars_sgd(0.1),
    "lazy": lambda: jaxtbe.optim.lazy(optax.adam(0.1)),
}


@functools.partial(jax.jit, static_argnums=0)
def step(tx, grad, state, params):
    updates, state = tx.update(grad, state, params)
    return optax.apply_updates(params, updates), state


class Setting:
    """A table of 10 rows, one batch, and the gradient of a sum."""

    def __init__(self, make, implementation="native", rows=ROWS):
        self.emb = jaxtbe.EmbeddingBags(
            [jaxtbe.Table("t", rows, DIM)], [jaxtbe.Feature("x", "t")], implementation=implementation
        )
        self.tx = make()
        self.params = jaxtbe.EmbeddingParams({"t": jnp.ones((rows, DIM))})
        self.state = self.tx.init(self.params)
        self.bags = self.emb.bags({"x": [[1, 2], [rows - 1]]})
        self.grad = jaxtbe.grad(lambda p: jnp.sum(self.emb(p, self.bags)["x"]))(self.params)

    def with_state(self, change):
        """The optimizer state with `change` done to every array of the table's state."""
        tables = jax.tree.map(lambda x: change(x) if jnp.ndim(x) else x, self.state.tables)
        return self.state._replace(tables=tables)

    def update(self, state):
        return step(self.tx, self.grad, state, self.params)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_other_rows(name, implementation):
    setting = Setting(OPTIMIZERS[name], implementation)
    setting.update(setting.state)
    with pytest.raises(ValueError, match=r"jaxtbe.optim: state '\w+.*' of table 't': expected shape \(10.*, got \(9"):
        setting.update(setting.with_state(lambda x: x[:9]))
    with pytest.raises(ValueError, match=r"expected shape \(10.*, got \(11.*Make the state with tx.init for these"):
        setting.update(setting.with_state(lambda x: jnp.pad(x, [(0, 1)] + [(0, 0)] * (x.ndim - 1))))


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if n != "rowwise_adagrad"])
def test_a_state_of_another_dim(name, implementation):
    setting = Setting(OPTIMIZERS[name], implementation)
    with pytest.raises(ValueError, match=r"of table 't': expected shape \(10, 4\), got \(10, 3\)"):
        setting.update(setting.with_state(lambda x: x[:, :3] if x.ndim == 2 else x))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_another_dtype(name, dtype, implementation):
    setting = Setting(OPTIMIZERS[name], implementation)
    state = setting.with_state(lambda x: x.astype(dtype))
    with pytest.raises(
        TypeError, match=r"jaxtbe.optim: state '.*' of table 't': expected b?float\d+, got \w+\. Cast it"
    ):
        setting.update(state)
    # The remedy works.
    like = setting.tx.init(setting.params)
    setting.update(jax.tree.map(lambda x, of: x.astype(of.dtype), state, like))


def test_a_table_that_grew_and_the_remedy():
    old, new = Setting(OPTIMIZERS["adagrad"], rows=9), Setting(OPTIMIZERS["adagrad"])
    with pytest.raises(ValueError, match=r"Make the state with tx\.init for these parameters"):
        new.update(old.state)
    params, _ = new.update(new.tx.init(new.params))
    assert params.tables["t"].shape == (ROWS, DIM)


def test_the_state_of_another_optimizer(implementation):
    setting = Setting(OPTIMIZERS["adam"], implementation)
    other = Setting(OPTIMIZERS["adagrad"])
    with pytest.raises(
        ValueError, match=re.escape("state of table 't': expected the states ['mu', 'nu'], got only ['sum_of_squares']")
    ):
        setting.update(other.state)
    lazy = Setting(OPTIMIZERS["lazy"])
    momentum = Setting(lambda: jaxtbe.optim.lazy(optax.sgd(0.1, momentum=0.9)))
    with pytest.raises(ValueError, match=r"state 'inner' of table 't': expected 3 arrays, got 1"):
        lazy.update(momentum.state)


def test_states_over_a_mesh():
    """An array of other rows would lie whole on each device and be read as a block."""
    emb = Setting(OPTIMIZERS["adagrad"]).emb.shard(jax.make_mesh((1,), ("d",)))
    tx, params = OPTIMIZERS["adagrad"](), emb.place(jaxtbe.EmbeddingParams({"t": jnp.ones((ROWS, DIM))}))
    bags = emb.bags({"x": [[1, 2], [3]]})
    grad = jax.jit(jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"])))(params)
    state = tx.init(params)
    step(tx, grad, state, params)
    short = state._replace(tables=jax.tree.map(lambda x: x[:9], state.tables))
    with pytest.raises(
        ValueError, match=r"state 'sum_of_squares' of table 't': expected shape \(10, 4\), got \(9, 4\)"
    ):
        step(tx, grad, short, params)


@pytest.mark.parametrize("name", ["adagrad", "lazy"])
def test_assign_and_reset(name, implementation):
    setting = Setting(OPTIMIZERS[name], implementation)
    values = {"x": jnp.zeros((2, DIM))}

    def assign(state):
        return setting.emb.assign(setting.params, setting.bags, values, opt_state=state, reset_state=True)

    assign(setting.state)
    with pytest.raises(
        ValueError, match=r"assign: state .* of table 't': expected shape \(10,\) or \(10, 4\), got \(9, 4\)"
    ):
        assign(setting.with_state(lambda x: x[:9]))
    with pytest.raises(
        TypeError, match=r"assign: state .* of table 't': expected float32, bfloat16 or float16, got int8"
    ):
        assign(setting.with_state(lambda x: x.astype(jnp.int8)))


@pytest.mark.parametrize("name", ["adagrad", "lazy"])
def test_reset_rows(name, implementation):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", ROWS, DIM, zch=jaxtbe.Zch())], [jaxtbe.Feature("x", "t")], implementation=implementation
    )
    tx = OPTIMIZERS[name]()
    params = jaxtbe.EmbeddingParams({"t": jnp.ones((ROWS, DIM))})
    state = tx.init(params)
    bags = emb.bags({"x": [[np.int64(1), np.int64(2)]]})
    _, _, reports = emb.remap(emb.init_zch(), bags, now=0)
    emb.reset_rows(params, state, reports)
    short = state._replace(tables=jax.tree.map(lambda x: x[:9] if jnp.ndim(x) else x, state.tables))
    with pytest.raises(ValueError, match=r"reset_rows: state .* of table 't': expected shape .*, got \(9, 4\)"):
        emb.reset_rows(params, short, reports)
