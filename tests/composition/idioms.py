"""What people write with JAX around a training step: each equal to the dense computation, or refused with a cure that is."""

import copy
import dataclasses
import functools
import pickle
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state

import jaxtbe
from composition.model import BATCHES, EMB, IDS, RATE, loss, sparse_partition, start, twin_loss

optim = jaxtbe.optim


@dataclasses.dataclass(frozen=True)
class Side:
    """The sparse program, or its dense twin."""

    loss: Callable
    batches: list
    value_and_grad: Callable
    tx: Any

    def grad(self, fun: Callable, **options: Any) -> Callable:
        of_fun = self.value_and_grad(fun, **options)
        return lambda *args: of_fun(*args)[1]

    def apply(self, params, grads):
        updates, _ = self.tx.update(grads, self.tx.init(params), params)
        return optax.apply_updates(params, updates)


SPARSE = Side(loss, BATCHES, jaxtbe.value_and_grad, sparse_partition())
DENSE = Side(twin_loss, IDS, jax.value_and_grad, optax.sgd(RATE))
STACKED = {
    id(SPARSE): jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *BATCHES),
    id(DENSE): jnp.stack([jnp.asarray(i) for i in IDS]),
}


@dataclasses.dataclass(frozen=True)
class Idiom:
    """A way to write something.

    Args:
      words: what the page calls it.
      program: from a `Side` to parameters.
      refused: what the error of the sparse program says, or None: it is equal to the dense one.
      cure: the words for what to write instead.
      instead: that program.
    """

    words: str
    program: Callable
    refused: str | None = None
    cure: str = ""
    instead: Callable | None = None


def step(side, change_grads=lambda g: g, change_params=lambda p: p, of_loss=None, wrap=lambda f: f, **options):
    params, batch = start(), side.batches[0]

    def run(params):
        own = of_loss or (lambda p: side.loss(change_params(p), batch))
        return side.apply(params, change_grads(side.grad(own, **options)(params)))

    return wrap(run)(params)


def of_table(p, change):
    return {**p, "emb": jax.tree.map(change, p["emb"])}


def table(p):
    return p["emb"].tables["t"]


def second(side, f):
    return lambda p: f(side.loss(p, side.batches[0]), p)


def scan_steps(side):
    def one(params, batch):
        return side.apply(params, side.grad(side.loss)(params, batch)), None

    return jax.lax.scan(one, start(), STACKED[id(side)])[0]


def accumulate_in_scan(side, total):
    params = start()
    grads = jax.lax.scan(lambda c, b: (c, side.grad(side.loss)(params, b)), 0, STACKED[id(side)])[1]
    return side.apply(params, total(grads))


def dense_sum(grads):
    return jax.tree.map(lambda g: jnp.sum(g, axis=0), grads)


def accumulate_by(side, add):
    params = start()
    first, other = (side.grad(side.loss)(params, b) for b in side.batches)
    return side.apply(params, add(first, other))


def cond_step(side, update_in_cond):
    params = start()
    grads = side.grad(side.loss)(params, side.batches[0])
    state = side.tx.init(params)
    if update_in_cond:
        take = lambda: side.tx.update(grads, state, params)[0]  # noqa: E731
        updates = jax.lax.cond(True, take, lambda: jax.tree.map(jnp.zeros_like, params))
        return optax.apply_updates(params, updates)
    return jax.lax.cond(True, lambda: side.apply(params, grads), lambda: params)


def while_steps(side):
    def body(carry):
        i, params = carry
        return i + 1, side.apply(params, side.grad(side.loss)(params, side.batches[0]))

    return jax.lax.while_loop(lambda c: c[0] < 2, body, (0, start()))[1]


def equinox_step(side, filtered):
    params, batch = start(), side.batches[0]
    if filtered:
        trained, static = eqx.partition(params, eqx.is_inexact_array)
        grads = side.grad(lambda p: side.loss(eqx.combine(p, static), batch))(trained)
    else:
        grads = side.grad(lambda p: side.loss(p, batch))(params)
    updates, _ = side.tx.update(grads, side.tx.init(params), params)
    return eqx.apply_updates(params, updates)


def flax_step(side):
    state = train_state.TrainState.create(apply_fn=None, params=start(), tx=side.tx)
    return state.apply_gradients(grads=side.grad(side.loss)(state.params, side.batches[0])).params


def numpy_step(side):
    params = jax.tree.map(np.asarray, start())
    return side.apply(params, side.grad(side.loss)(params, side.batches[0]))


def updates_by(side, apply):
    params = start()
    updates, _ = side.tx.update(side.grad(side.loss)(params, side.batches[0]), side.tx.init(params), params)
    return apply(params, updates)


def updates_out_of_jit(side):
    params = start()
    grads = side.grad(side.loss)(params, side.batches[0])
    updates, _ = jax.jit(side.tx.update)(grads, side.tx.init(params), params)
    return optax.apply_updates(params, updates)


def grads_out_of_jit(side):
    params = start()
    grads = jax.jit(side.grad(side.loss))(params, side.batches[0])
    return side.apply(params, grads)


def by_hand(side, change):
    params = start()
    return change(params, side.grad(side.loss)(params, side.batches[0]))


def closed_over(side):
    """Only the dense parameter is differentiated; the table is closed over."""
    params = start()
    d_w = side.grad(lambda w: side.loss({**params, "w": w}, side.batches[0]))(params["w"])
    return {**params, "w": params["w"] - RATE * d_w}


def leaks(side):
    with jax.checking_leaks():
        return jax.jit(lambda p: side.apply(p, side.grad(side.loss)(p, side.batches[0])))(start())


def strict(side):
    with jax.debug_nans(True), jax.numpy_rank_promotion("warn"):
        return step(side)


def without_jit(side):
    with jax.disable_jit():
        return step(side, wrap=jax.jit)


def wide(side):
    with jax.enable_x64(True):
        return step(side, wrap=jax.jit)


def donated_in_donated(side):
    def one(params):
        return side.apply(params, side.grad(side.loss)(params, side.batches[0]))

    inner = jax.jit(one, donate_argnums=0)
    return jax.jit(lambda p: inner(inner(p)), donate_argnums=0)(jax.tree.map(jnp.copy, start()))


def twice(side, grads):
    return side.apply(side.apply(start(), grads), grads)


def scaled_backwards(side):
    @jax.custom_gradient
    def half_gradient(x):
        return x, lambda cotangent: (0.5 * cotangent,)

    return step(side, of_loss=lambda p: half_gradient(side.loss(p, side.batches[0])))


def penalised_by_jax(side):
    """The penalty of `nested_grad`, with plain JAX at the outside: a dense gradient."""
    d_w = lambda p: side.grad(lambda w: side.loss({**p, "w": w}, side.batches[0]))(p["w"])  # noqa: E731
    grads = jax.grad(lambda p: jnp.sum(d_w(p) ** 2))(start())
    return jax.tree.map(lambda p, g: p - RATE * g, start(), grads)


def average(side):
    """An exponential average of the parameters beside them."""
    params = start()
    mean = jax.tree.map(jnp.copy, params)
    for batch in side.batches:
        params = side.apply(params, side.grad(side.loss)(params, batch))
        mean = optax.incremental_update(params, mean, 0.3)
    return mean


def vmapped_losses(side):
    params = start()

    def mean(p):
        return jnp.mean(jax.vmap(lambda b: side.loss(p, b))(STACKED[id(side)]))

    return side.apply(params, side.grad(mean)(params))


def sum_of_losses(side):
    params = start()
    return side.apply(params, side.grad(lambda p: sum(side.loss(p, b) for b in side.batches) / 2)(params))


def nested_grad(side):
    def penalised(p):
        value, grads = side.value_and_grad(side.loss)(p, side.batches[0])
        return value + jnp.sum(grads["w"] ** 2)

    return step(side, of_loss=penalised)


def activations_first(side):
    """The penalty of `nested_grad` on activations, looked up before."""
    batch = side.batches[0]

    def of_acts(acts, w):
        return jnp.mean(jnp.square(jnp.sin(acts @ w) - 0.5))

    def penalised(p):
        acts = EMB(p["emb"], batch)["x"] if side is SPARSE else jnp.sum(jnp.take(table(p), batch, axis=0), axis=1)
        value, d_w = jax.value_and_grad(of_acts, argnums=1)(acts, p["w"])
        return value + jnp.sum(d_w**2)

    return step(side, of_loss=penalised)


def pmapped(side, reduce):
    params, batch = (
        jax.tree.map(lambda x: x[None], start()),
        jax.tree.map(lambda x: jnp.asarray(x)[None], side.batches[0]),
    )

    def run(params, batch):
        return side.apply(params, reduce(side.grad(side.loss)(params, batch)))

    return jax.tree.map(lambda x: x[0], jax.pmap(run, "d", devices=jax.devices()[:1])(params, batch))


def privately(side, grad, tx, over=jax.vmap):
    """A step of differential privacy: the gradients of each batch alone, clipped and blurred."""
    params = start()
    grads = over(lambda batch: grad(side.loss)(params, batch))(STACKED[id(side)])
    private = optax.chain(optax.contrib.differentially_private_aggregate(0.05, 0.1, 0), tx)
    updates, _ = private.update(grads, private.init(params), params)
    return optax.apply_updates(params, updates)


def tree_norm(side, norm):
    params = start()
    grads = side.grad(side.loss)(params, side.batches[0])
    return {**params, "w": params["w"] * norm(grads)}


KEY = r"jaxtbe row ids"
UPDATE = r"jaxtbe\.Overwrite|Overwrite"
GUARD = r"jaxtbe\.value_and_grad: table 't': expected gradients through lookups"
LEAF = "`jaxtbe.optim.scale_gradients`, or `2 * g` of the `EmbeddingGrad` itself"
DENSE_USE = '`value_and_grad(loss, dense_tables=["t"])`'

IDIOMS = {
    # The step
    "a step": Idiom("a step, eager", step),
    "jit": Idiom("`jax.jit` of a step", lambda s: step(s, wrap=jax.jit)),
    "jit in jit": Idiom(
        "a jitted step within a jitted step", lambda s: step(s, wrap=lambda f: jax.jit(lambda p: jax.jit(f)(p)))
    ),
    "donated": Idiom(
        "a step with donated arguments",
        lambda s: step(s, wrap=lambda f: lambda p: jax.jit(f, donate_argnums=0)(jax.tree.map(jnp.copy, p))),
    ),
    "scan of steps": Idiom("`jax.lax.scan` of steps", scan_steps),
    "while of steps": Idiom("`jax.lax.while_loop` of steps", while_steps),
    "step in cond": Idiom("a step inside `jax.lax.cond`", lambda s: cond_step(s, False)),
    "update in cond": Idiom(
        "`tx.update` inside `jax.lax.cond`, applied outside",
        lambda s: cond_step(s, True),
        UPDATE,
        "apply the update inside the branch, or `jaxtbe.optim.skip_nonfinite`",
        lambda s: cond_step(s, False),
    ),
    "gradients out of jit": Idiom("gradients that leave a jitted function", grads_out_of_jit),
    "updates out of jit": Idiom(
        "updates that leave a jitted function",
        updates_out_of_jit,
        UPDATE,
        "apply the updates in the function that makes them",
        lambda s: step(s, wrap=jax.jit),
    ),
    "leaks": Idiom("`jax.checking_leaks()`", leaks),
    "debug": Idiom("`jax_debug_nans`", strict),
    "NumPy": Idiom("NumPy tables", numpy_step),
    "closed over": Idiom("a table that is closed over, not differentiated", closed_over),
    "averaged parameters": Idiom("an average of the parameters, `optax.incremental_update`", average),
    "pickled": Idiom(
        "gradients pickled and copied", lambda s: step(s, lambda g: copy.deepcopy(pickle.loads(pickle.dumps(g))))
    ),
    "disable_jit": Idiom("`jax.disable_jit()`", without_jit),
    "x64": Idiom("`jax.enable_x64()`", wide),
    "ahead of time": Idiom(
        "`jax.jit(step).lower(...).compile()`", lambda s: step(s, wrap=lambda f: jax.jit(f).lower(start()).compile())
    ),
    "donated twice": Idiom("donated steps within a donated step", donated_in_donated),
    "rollback": Idiom(
        "`jnp.where(ok, new, old)` of parameters",
        lambda s: jax.tree.map(lambda new, old: jnp.where(False, new, old), step(s), start()),
    ),
    "updates twice": Idiom(
        "updates applied to parameters that changed",
        lambda s: updates_by(s, lambda p, u: optax.apply_updates(optax.apply_updates(p, u), u)),
        UPDATE,
        "the gradient again: `tx.update(grads, state, params)`",
        lambda s: twice(s, s.grad(s.loss)(start(), s.batches[0])),
    ),
    # Several batches
    "sum of losses": Idiom("several lookups in one loss", sum_of_losses),
    "vmap of losses": Idiom(
        "`jax.vmap` over batches inside the loss",
        vmapped_losses,
        r"jaxtbe\.value_and_grad: lookup",
        "several lookups, or one batch",
        sum_of_losses,
    ),
    "g1 + g2": Idiom(
        "`g1 + g2` of gradients",
        lambda s: accumulate_by(
            s,
            lambda a, b: jax.tree.map(lambda x, y: x + y, a, b, is_leaf=lambda x: isinstance(x, jaxtbe.EmbeddingGrad)),
        ),
    ),
    "tree.map(add)": Idiom(
        "`jax.tree.map(jnp.add, g1, g2)`",
        lambda s: accumulate_by(s, lambda a, b: jax.tree.map(jnp.add, a, b)),
        f"{KEY}|EmbeddingGrad",
        "`jaxtbe.optim.add_gradients`",
        lambda s: accumulate_by(s, optim.add_gradients),
    ),
    "stacked gradients": Idiom(
        "gradients stacked by `jax.lax.scan`, `jaxtbe.optim.sum_stacked`",
        lambda s: accumulate_in_scan(s, optim.sum_stacked if s is SPARSE else dense_sum),
    ),
    "sum of stacked leaves": Idiom(
        "`tree.map(sum)` of stacked gradients",
        lambda s: accumulate_in_scan(s, dense_sum),
        KEY,
        "`jaxtbe.optim.sum_stacked`",
        lambda s: accumulate_in_scan(s, optim.sum_stacked),
    ),
    "per sample": Idiom(
        "`optax.contrib.differentially_private_aggregate`, and `dpsgd`, of gradients stacked by `jax.vmap`",
        lambda s: privately(s, s.grad, s.tx),
        KEY,
        "`jax.lax.map` of `jax.grad`, with the whole of optax",
        lambda s: privately(s, jax.grad, optax.sgd(RATE), lambda f: functools.partial(jax.lax.map, f)),
    ),
    "average of gradients": Idiom(
        "`tree.map(lambda e, g: 0.9 * e + 0.1 * g, ...)` of gradients",
        lambda s: accumulate_by(s, lambda e, g: jax.tree.map(lambda x, y: 0.9 * x + 0.1 * y, e, g)),
        KEY,
        "`0.9 * e + 0.1 * g` of the `EmbeddingGrad`, or the tools of `jaxtbe.optim`",
        lambda s: accumulate_by(
            s, lambda e, g: optim.add_gradients(optim.scale_gradients(e, 0.9), optim.scale_gradients(g, 0.1))
        ),
    ),
    # Arithmetic
    "2 * g": Idiom(
        "`2 * g` of an `EmbeddingGrad`",
        lambda s: step(
            s, lambda g: {"emb": 2 * g["emb"], "w": 2 * g["w"]} if s is SPARSE else jax.tree.map(lambda x: 2 * x, g)
        ),
    ),
    "scaled leaves": Idiom(
        "`tree.map(lambda x: 2 * x, grads)`",
        lambda s: step(s, lambda g: jax.tree.map(lambda x: 2 * x, g)),
        KEY,
        LEAF,
        lambda s: step(s, lambda g: optim.scale_gradients(g, 2.0)),
    ),
    "negated leaves": Idiom(
        "`tree.map(jnp.negative, grads)`",
        lambda s: step(s, lambda g: jax.tree.map(jnp.negative, g)),
        KEY,
        "`-g`",
        lambda s: step(s, lambda g: optim.scale_gradients(g, -1.0)),
    ),
    "clipped leaves": Idiom(
        "`tree.map(jnp.clip)` of gradients",
        lambda s: step(s, lambda g: jax.tree.map(lambda x: jnp.clip(x, -1e-2, 1e-2), g)),
        KEY,
        "`clip=` of the table optimizer",
        lambda s: dataclasses.replace(
            s, tx=sparse_partition(optim.sgd(RATE, clip=1e-2), optax.chain(optax.clip(1e-2), optax.sgd(RATE)))
        ).apply(start(), s.grad(s.loss)(start(), s.batches[0])),
    ),
    "cast leaves": Idiom(
        "`tree.map(lambda x: x.astype(...))` of gradients",
        lambda s: step(s, lambda g: jax.tree.map(lambda x: x.astype(jnp.float32), g)),
        r"astype|" + KEY,
        "leave the gradient as it is: it is float32",
        step,
    ),
    "zeros": Idiom(
        "`tree.map(jnp.zeros_like, grads)`: no step", lambda s: step(s, lambda g: jax.tree.map(jnp.zeros_like, g))
    ),
    "where of gradients": Idiom(
        "`jnp.where(ok, g, 0)`",
        lambda s: step(s, lambda g: jax.tree.map(lambda x: jnp.where(True, x, 0 * x), g)),
        KEY,
        "`jax.lax.cond` around the step, or `jaxtbe.optim.skip_nonfinite`",
        lambda s: cond_step(s, False),
    ),
    "norm": Idiom(
        "`jaxtbe.optim.global_norm`", lambda s: tree_norm(s, optim.global_norm if s is SPARSE else optax.tree.norm)
    ),
    "optax norm": Idiom(
        "`optax.global_norm` of gradients",
        lambda s: tree_norm(s, jax.jit(optax.tree.norm)),
        KEY,
        "`jaxtbe.optim.global_norm`",
        lambda s: tree_norm(s, optim.global_norm),
    ),
    "p - lr * g": Idiom(
        "`p - lr * g` by hand",
        lambda s: by_hand(s, lambda p, g: jax.tree.map(lambda a, b: a - RATE * b, p, g)),
        "EmbeddingGrad|EmbeddingParams",
        "`jaxtbe.optim.sgd` for the tables",
        step,
    ),
    # Updates
    "p + u": Idiom(
        "`tree.map(lambda p, u: p + u, params, updates)`",
        lambda s: updates_by(s, lambda p, u: jax.tree.map(lambda a, b: a + b, p, u)),
    ),
    "u + p": Idiom(
        "`tree.map(lambda p, u: u + p, ...)`",
        lambda s: updates_by(s, lambda p, u: jax.tree.map(lambda a, b: b + a, p, u)),
        UPDATE,
        "`p + u`, or `optax.apply_updates`",
        step,
    ),
    "scaled updates": Idiom(
        "`tree.map(lambda u: 0.5 * u, updates)`",
        lambda s: updates_by(s, lambda p, u: optax.apply_updates(p, jax.tree.map(lambda x: 0.5 * x, u))),
        UPDATE,
        "scale the gradient",
        lambda s: step(s, lambda g: optim.scale_gradients(g, 0.5)),
    ),
    "equinox": Idiom("`eqx.apply_updates`", lambda s: equinox_step(s, False)),
    "equinox partition": Idiom("`eqx.partition` and `eqx.combine` in the loss", lambda s: equinox_step(s, True)),
    "TrainState": Idiom("Flax's `TrainState`", flax_step),
    # Reads of tables in a loss
    "metric": Idiom(
        "a metric of a table under `stop_gradient`",
        lambda s: step(s, of_loss=second(s, lambda l, p: l + 0 * jax.lax.stop_gradient(table(p)).sum())),
    ),
    "tied output": Idiom(
        "a tied output layer, `acts @ table.T`",
        lambda s: step(s, of_loss=second(s, lambda l, p: l + jnp.sum(jnp.tanh(p["w"] @ table(p).T)))),
        GUARD,
        DENSE_USE,
        lambda s: step(s, of_loss=second(s, lambda l, p: l + jnp.sum(jnp.tanh(p["w"] @ table(p).T))), dense_tables="t"),
    ),
    "L2 term": Idiom(
        "an L2 term on a table",
        lambda s: step(s, of_loss=second(s, lambda l, p: l + 0.1 * jnp.sum(table(p) ** 2))),
        GUARD,
        DENSE_USE,
        lambda s: step(s, of_loss=second(s, lambda l, p: l + 0.1 * jnp.sum(table(p) ** 2)), dense_tables="t"),
    ),
    "take": Idiom(
        "`jnp.take` of a table",
        lambda s: step(s, of_loss=second(s, lambda l, p: l + jnp.take(table(p), jnp.array([1, 4]), axis=0).sum())),
        GUARD,
        DENSE_USE,
        lambda s: step(
            s, of_loss=second(s, lambda l, p: l + jnp.take(table(p), jnp.array([1, 4]), axis=0).sum()), dense_tables="t"
        ),
    ),
    "scaled tables": Idiom(
        "a lookup of scaled tables",
        lambda s: step(s, change_params=lambda p: of_table(p, lambda x: 2 * x)),
        GUARD,
        DENSE_USE,
        lambda s: step(s, change_params=lambda p: of_table(p, lambda x: 2 * x), dense_tables="t"),
    ),
    "masked tables": Idiom(
        "a lookup of masked tables",
        lambda s: step(s, change_params=lambda p: of_table(p, lambda x: x * (jnp.arange(len(x)) > 2)[:, None])),
        GUARD,
        DENSE_USE,
        lambda s: step(
            s, change_params=lambda p: of_table(p, lambda x: x * (jnp.arange(len(x)) > 2)[:, None]), dense_tables="t"
        ),
    ),
    "stopped tables": Idiom(
        "a lookup of stopped tables", lambda s: step(s, change_params=lambda p: of_table(p, jax.lax.stop_gradient))
    ),
    "rebuilt parameters": Idiom(
        "rebuilt `EmbeddingParams` of the same tables",
        lambda s: step(s, change_params=lambda p: {**p, "emb": jaxtbe.EmbeddingParams(dict(p["emb"].tables))}),
    ),
    "flattened parameters": Idiom(
        "parameters flattened and unflattened in the loss",
        lambda s: step(s, change_params=lambda p: jax.tree.unflatten(jax.tree.structure(p), jax.tree.leaves(p))),
    ),
    # Transformations of the loss
    "custom_gradient": Idiom("`jax.custom_gradient` of the loss's value", scaled_backwards),
    "second derivative": Idiom(
        "`jax.hessian` with respect to dense parameters",
        lambda s: jax.hessian(lambda w: s.loss({**start(), "w": w}, s.batches[0]))(start()["w"]),
    ),
    "jax.grad of value_and_grad": Idiom("`jax.grad` of a penalty on dense gradients", penalised_by_jax),
    "nested value_and_grad": Idiom(
        "a `value_and_grad` within the loss",
        nested_grad,
        r"jaxtbe\.value_and_grad: arguments",
        "look up first, and differentiate with respect to activations",
        activations_first,
    ),
    "checkpoint after the lookup": Idiom("`jax.checkpoint` after the lookup", activations_first),
    # Devices
    "pmap": Idiom(
        "`jax.pmap`, `jaxtbe.optim.pmean`",
        lambda s: pmapped(
            s,
            functools.partial(optim.pmean, axis_name="d")
            if s is SPARSE
            else functools.partial(jax.lax.pmean, axis_name="d"),
        ),
    ),
    "lax.pmean": Idiom(
        "`jax.lax.pmean` of gradients",
        lambda s: pmapped(s, lambda g: jax.lax.pmean(g, "d")),
        KEY,
        "`jaxtbe.optim.pmean`",
        lambda s: pmapped(s, functools.partial(optim.pmean, axis_name="d")),
    ),
}
