"""Fused updates from the gradient of the activations, each checked before it is timed."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe
from benchmarks.gpu import torch_peer
from benchmarks.gpu.forward import batches, module, parameters
from benchmarks.gpu.rows import Row
from benchmarks.gpu.timing import Plan, seconds_a_call
from benchmarks.gpu.workloads import SETS, Workload

LEARNING_RATE, EPS = 0.01, 1e-8
RULES = {
    "sgd": lambda: jaxtbe.optim.sgd(LEARNING_RATE),
    "rowwise_adagrad": lambda: jaxtbe.optim.rowwise_adagrad(LEARNING_RATE, eps=EPS),
    "adam": lambda: jaxtbe.optim.adam(LEARNING_RATE, eps=EPS),
}
_CHECKED = 64  # rows


class InPlace:
    """A donated step and what it carries from call to call."""

    def __init__(self, step: Callable, carry):
        self.step, self.carry = step, carry

    def __call__(self, call: int):
        self.carry = self.step(self.carry, call)
        return self.carry


def checked_rows(workload: Workload) -> np.ndarray:
    """Some rows of table 0 that the first batch touches, the hottest among them."""
    rows, counts = np.unique(workload.ids[0][0], return_counts=True)
    return np.unique(np.append(rows[:: max(1, len(rows) // _CHECKED)][:_CHECKED], rows[counts.argmax()]))


def expected(workload: Workload, before: np.ndarray, rows: np.ndarray, rule: str) -> np.ndarray:
    """The rows of table 0 after the first step, in float64."""
    samples, _ = np.nonzero(np.isin(workload.ids[0][0], rows))
    ids = workload.ids[0][0][np.isin(workload.ids[0][0], rows)]
    g = np.zeros(before.shape)
    np.add.at(g, np.searchsorted(rows, ids), workload.d_acts[samples, : workload.dim].astype(np.float64))
    if rule == "sgd":
        return before - LEARNING_RATE * g
    if rule == "rowwise_adagrad":
        return before - LEARNING_RATE * g / (np.sqrt((g * g).mean(1, keepdims=True)) + EPS)
    if rule == "adagrad":
        return before - LEARNING_RATE * g / (np.abs(g) + EPS)
    return before - LEARNING_RATE * g / (np.abs(g) + EPS)  # Adam's first step, its moments corrected


def check(workload: Workload, rule: str, who: str, before: np.ndarray, after: np.ndarray) -> None:
    want = expected(workload, before, checked_rows(workload), rule)
    error = np.abs(after - want) / (np.abs(want - before).max() + 0.1)
    # The first step of Adam is the sign of a sum, which no float32 sum gets right where its terms cancel.
    allowed = error.size // 1000 if rule in ("adam", "adagrad") else 0
    wrong = int((error > (2e-4 if workload.dtype == "float32" else 1e-2)).sum())
    assert wrong <= allowed, f"{who}: {workload.name}: {wrong} wrong numbers, largest error {error.max():.2e}"


def measure(workload: Workload, rules: tuple[str, ...], plan: Plan, dense: bool) -> list[Row]:
    """`dense`: also the dense gradient with optax, for which a step costs what the table costs."""
    rows = []

    def timed(who, rule, run, rows_after):
        picked = checked_rows(workload)
        before = np.asarray(workload.table(0)[jnp.asarray(picked)].astype(jnp.float32), np.float64)
        jax.block_until_ready(run(0))
        check(workload, rule, who, before, np.asarray(rows_after(picked), np.float64))
        rows.append(Row(workload.name, who, seconds_a_call(run, plan)))

    for rule in rules:
        run = ours(workload, RULES[rule]())
        timed(f"jaxtbe {rule}", rule, run, lambda picked, run=run: _rows(run.carry[0].tables["t0"], picked))
        del run
    for who, rule, step, state in _plain_steps(workload) if dense else _plain_steps(workload)[:1]:
        run = plain(workload, step, state)
        timed(who, rule, run, lambda picked, run=run: _rows(run.carry[0][0], picked))
        del run
    if torch_peer.AVAILABLE and workload.dtype == "float32":
        peer = torch_peer.Bags(workload, [workload.table(t) for t in range(workload.tables)])
        timed("torch sparse SGD, forward included", "sgd", peer.waiting(peer.step), functools.partial(peer.rows, 0))
    return rows


def _rows(table: jax.Array, picked: np.ndarray) -> jax.Array:
    return table[jnp.asarray(picked)].astype(jnp.float32)


def ours(workload: Workload, tx: jaxtbe.optim.TableOptimizer) -> Callable[[int], object]:
    emb = module(workload)
    bags = batches(workload, emb)
    width = workload.dim
    d_acts = {f"of_t{t}": jnp.asarray(workload.d_acts[:, t * width : (t + 1) * width]) for t in range(workload.tables)}

    @functools.partial(jax.jit, donate_argnums=0)
    def step(carry, batch, d_acts):
        params, state = carry
        updates, state = tx.update(emb.gradient(batch, d_acts), state, params)
        return optax.apply_updates(params, updates), state

    params = parameters([workload.table(t) for t in range(workload.tables)])
    return InPlace(lambda carry, i: step(carry, bags[i % SETS], d_acts), (params, tx.init(params)))


def plain(workload: Workload, step: Callable, make_state: Callable) -> Callable[[int], object]:
    ids = [jnp.asarray(i) for i in workload.ids]
    d_acts = jnp.asarray(workload.d_acts)
    jitted = jax.jit(step, donate_argnums=0)
    tables = [workload.table(t) for t in range(workload.tables)]
    return InPlace(lambda carry, i: jitted(carry, ids[i % SETS], d_acts), (tables, make_state(tables)))


def _plain_steps(workload: Workload) -> list[tuple[str, str, Callable, Callable]]:
    """(name, rule, step, initial state): by hand, and with a dense gradient."""
    tx = optax.adagrad(LEARNING_RATE, initial_accumulator_value=0.0, eps=1e-16)

    def scatter(carry, ids, d_acts):
        tables = [t.at[i].add(rows) for t, i, rows in _by_table(carry[0], ids, -LEARNING_RATE * d_acts)]
        return tables, carry[1]

    def dense(carry, ids, d_acts):
        tables, state = carry
        grads = [jnp.zeros_like(t).at[i].add(rows) for t, i, rows in _by_table(tables, ids, d_acts)]
        updates, state = tx.update(grads, state, tables)
        return optax.apply_updates(tables, updates), state

    def _by_table(tables, ids, d_acts):
        for t, table in enumerate(tables):
            d = d_acts[:, t * workload.dim : (t + 1) * workload.dim].astype(table.dtype)
            yield table, ids[t], jnp.broadcast_to(d[:, None], (*ids[t].shape, workload.dim))

    return [
        ("gather + .at[].add SGD, not deterministic", "sgd", scatter, lambda tables: ()),
        ("dense gradient, optax adagrad", "adagrad", dense, tx.init),
    ]
