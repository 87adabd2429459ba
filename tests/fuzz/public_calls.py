"""A call that fits, for each public function above jaxtbe.ops: what the damages of `damages.py` are done to.

A new public function needs an entry here, or a reason in `EXEMPT`. An entry's name is that of its function; words in brackets
tell it from others of the same function.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from damages import Fixed, Small

import jaxtbe
from jaxtbe import debug, migrate, optim, sharding, zch

Arguments = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One function.

    Args:
      arguments: from an implementation, what it is called with. `Fixed` ones are not damaged.
      call: calls it, with these by name.
      jitted: whether it may be called within jit.
      eager: whether it may be called outside of it.
      two: whether it takes another way with implementation="xla".
      raises: what it may raise beside ValueError and TypeError, with a documented reason.
    """

    arguments: Callable[[str], Arguments]
    call: Callable[..., Any]
    jitted: bool = True
    eager: bool = True
    two: bool = True
    raises: tuple[type, ...] = ()


ENTRIES: dict[str, Entry] = {}
EXEMPT = {
    "jaxtbe.hold_interrupts": "it takes no arguments",
    "jaxtbe.EmbeddingBags.init_zch": "it takes no arguments",
    "jaxtbe.Bags.describe": "it takes no arguments, and damaged batches print with the same code as in EmbeddingBags.bags",
    "jaxtbe.Bags.tree_flatten_with_keys": "JAX calls it",
    "jaxtbe.Bags.tree_unflatten": "JAX calls it, with anything as leaves",
    "jaxtbe.EmbeddingParams": "a container: whoever takes it checks it",
    "jaxtbe.EmbeddingGrad": "a container: whoever takes it checks it",
    "jaxtbe.Overwrite": "a table optimizer makes it",
    "jaxtbe.optim.TableOptimizer": "a table optimizer's factory makes it",
    "jaxtbe.optim.TableOptimizerState": "a container: whoever takes it checks it",
    "jaxtbe.zch.ZchState": "a container: whoever takes it checks it",
    "jaxtbe.zch.ZchState.slots": "it takes no arguments",
    "jaxtbe.zch.ZchState.from_slots": "the other way round of slots, of the very arrays",
    "jaxtbe.zch.ZchReport": "a container: whoever takes it checks it",
    "jaxtbe.zch.ZchStatus": "an enumeration",
    "jaxtbe.zch.TableLayout": "a container: whoever takes it checks it",
    "jaxtbe.zch.ZchMetrics.reset": "it takes no arguments",
    "jaxtbe.zch.ZchMetrics.scalars": "it takes no arguments; an entry of update calls it",
    "jaxtbe.optim.Options.hypers": "the optimizers call it",
    "jaxtbe.sharding.Sharding": "EmbeddingBags.shard makes it",
    **dict.fromkeys(
        (
            f"jaxtbe.sharding.Sharding.{method}"
            for method in ("capacity_of", "index", "is_split", "named", "on_each_device", "spec_of", "zeros")
        ),
        "EmbeddingBags calls it, with what it has checked",
    ),
    "jaxtbe.sharding.StepBytes": "step_bytes makes it",
    "jaxtbe.sharding.StepBytes.received": "of a number that step_bytes made",
    "jaxtbe.debug.Finding": "check_in_place makes it",
    "jaxtbe.debug.InPlaceReport": "check_in_place makes it",
}
SAME = {"jaxtbe.zch.Zch": "jaxtbe.Zch", "jaxtbe.zch.Zch.check": "jaxtbe.Zch.check"}


def entry(name: str, arguments: Callable[[str], Arguments], **options: Any) -> Callable:
    """Makes an entry of the function below it."""

    def register(call: Callable) -> Callable:
        ENTRIES[name] = Entry(arguments, call, **options)
        return call

    return register


# The model and its batches. One implementation's are made once: what damages change is a copy.


@functools.cache
def model(implementation: str) -> jaxtbe.EmbeddingBags:
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=11, dim=5), jaxtbe.Table("item", rows=7, dim=4, dtype=jnp.bfloat16)],
        [
            jaxtbe.Feature("clicks", table="user"),
            jaxtbe.Feature("seen", table="item", pooling="mean"),
            jaxtbe.Feature("last", table="user", pooling="none", max_length=2),
            jaxtbe.Feature("shown", table="user", access="read_only"),
        ],
        implementation,
    )


@functools.cache
def hashed(implementation: str) -> jaxtbe.EmbeddingBags:
    config = jaxtbe.Zch(policy="lru", ttl=1, buckets=2, track_counts=True)
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table("raw", rows=16, dim=4, zch=config), jaxtbe.Table("plain", rows=7, dim=4)],
        [jaxtbe.Feature("a", table="raw"), jaxtbe.Feature("b", table="plain"), jaxtbe.Feature("c", table="raw")],
        implementation,
    )


IDS = {
    "clicks": [[1, 2], [], [3], [10, 10, 0]],
    "seen": np.asarray([[0, 6], [1, -1], [-1, -1], [2, 2]]),
    "last": (np.asarray([5, 4, 3, 2]), np.asarray([3, 0, 1, 0])),
    "shown": np.asarray([1, 2, 3, 4]),
}
WEIGHTS = {"seen": np.asarray([[0.5, 1.5], [2.0, 0.0], [0.0, 0.0], [1.0, -1.0]], np.float32)}
MASK = {"clicks": [[True, False], [], [True], [True, True, False]]}
RAW = {"a": [[1, -7], [2**40], [], [3]], "b": np.asarray([0, 1, 6, 2]), "c": np.asarray([1, 5, 2**40, 9])}


@functools.cache
def bags(implementation: str) -> jaxtbe.Bags:
    return jax.tree.map(jnp.asarray, model(implementation).bags(IDS, WEIGHTS, MASK))


@functools.cache
def raw_bags(implementation: str) -> jaxtbe.Bags:
    mask = {"a": [[True, True], [False], [], [True]]}
    return jax.tree.map(jnp.asarray, hashed(implementation).bags(RAW, update_mask=mask))


@functools.cache
def params(implementation: str) -> jaxtbe.EmbeddingParams:
    return model(implementation).init(jax.random.key(0))


def values(implementation: str) -> dict[str, jax.Array]:
    """For each writing feature an array of its activations' shape."""
    emb = model(implementation)
    return {f.name: jnp.full(emb.spec.acts_shape(f, 4), 0.25) for f in emb.spec.writing_features}


@functools.cache
def grads(implementation: str) -> jaxtbe.EmbeddingGrad:
    return model(implementation).gradient(bags(implementation), values(implementation), after=jnp.zeros(()))


@functools.cache
def remapped(implementation: str) -> tuple[Any, jaxtbe.Bags, dict[str, zch.ZchReport]]:
    """States that hold ids, a batch in rows, and a report with evicted rows."""
    emb = hashed(implementation)
    state, first = emb.init_zch(), raw_bags(implementation)
    for step in range(6):
        ids = np.arange(100 * step, 100 * step + 4)
        batch = emb.bags({"a": ids, "b": ids % 7, "c": ids + 50}, capacity=16)
        state, _, _ = emb.remap(state, batch, now=5 * step)
    return emb.remap(state, first, now=100)


def applied(old: Any, updates: Any) -> Any:
    return optax.apply_updates(old, updates)


# Descriptions. What they make is used, abstractly where it may be huge.


def _table_options(implementation: str) -> Arguments:
    zch_options = {
        "max_probe": 4,
        "buckets": 2,
        "policy": "ttl",
        "ttl": 3,
        "on_full": "reserved",
        "reserved": 1,
        "admit_after": 1,
        "track_counts": True,
        "priority": "first",
    }
    feature = {"name": "f", "table": "t", "pooling": "none", "access": "read_write", "max_length": 3, "keep": "last"}
    table = {
        "name": "t",
        "rows": 8,
        "dim": 3,
        "dtype": jnp.bfloat16,
        "initializer": Fixed(jaxtbe.initializer("normal", 0.1)),
        "duplicates": "first",
    }
    return {"table": table, "feature": feature, "zch": zch_options, "implementation": implementation}


def _use(emb: jaxtbe.EmbeddingBags) -> Any:
    """A remap, a lookup and a gradient of a model, abstractly; and what it prints."""
    batch = emb.bags({f.name: [[1, 2], [3]] for f in emb.features})
    params = jax.eval_shape(emb.init, jax.random.key(0))
    is_hashed = any(t.zch is not None for t in emb.tables)
    state = jax.eval_shape(emb.init_zch)
    tx = optim.sgd(0.1)

    def step(params, batch, state):
        if is_hashed:
            state, batch, reports = emb.remap(state, batch, now=3)
            params, _ = emb.reset_rows(params, None, reports)
        loss, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(emb.concat(p, batch)))(params)
        return loss, tx.update(grads, tx.init(params), params)[1]

    jax.eval_shape(step, params, batch, state)
    assert repr(emb) and emb.summary() and isinstance(hash(emb), int)


@entry("jaxtbe.EmbeddingBags", _table_options, jitted=False)
@entry("jaxtbe.Table", _table_options, jitted=False)
@entry("jaxtbe.Feature", _table_options, jitted=False)
@entry("jaxtbe.Zch", _table_options, jitted=False)
def _describe(table, feature, zch, implementation):
    config = jaxtbe.Zch(**zch) if zch is not None else None
    if not isinstance(table, dict):
        raise TypeError("not options")
    table = {k: x.value if isinstance(x, Fixed) else x for k, x in table.items()}
    _use(
        jaxtbe.EmbeddingBags(
            [jaxtbe.Table(**table, zch=config), jaxtbe.Table("other", 5, 4)],
            [jaxtbe.Feature(**feature), jaxtbe.Feature("g", "other", access="write_only")],
            implementation,
        )
    )


def _lists(implementation: str) -> Arguments:
    emb = model(implementation)
    return {"tables": list(emb.tables), "features": emb.features, "implementation": implementation}


@entry("jaxtbe.EmbeddingBags (lists)", lambda i: {k: _opaque(v) for k, v in _lists(i).items()}, jitted=False)
def _of_lists(tables, features, implementation):
    unwrap = lambda x: [o() if callable(o) else o for o in x] if isinstance(x, list | tuple) else x  # noqa: E731
    _use(jaxtbe.EmbeddingBags(unwrap(tables), unwrap(features), implementation))


def _opaque(x: Any) -> Any:
    """Objects that are damaged as a whole: functions that return them."""
    return type(x)(lambda o=o: o for o in x) if isinstance(x, list | tuple) else x


@entry("jaxtbe.Table.init", lambda i: {"key": jax.random.key(0)}, two=False)
def _table_init(key):
    return [jaxtbe.Table("t", 5, 3).init(key), jaxtbe.Table("u", 5, 3, initializer=jax.nn.initializers.ones).init(key)]


@entry("jaxtbe.Table.check_key", lambda i: {"key": jax.random.key(0)}, two=False)
def _check_key(key):
    jaxtbe.Table("t", 5, 3).check_key(key)


@entry("jaxtbe.Zch.check", lambda i: {"name": "t", "rows": 8}, jitted=False, two=False)
def _zch_check(name, rows):
    jaxtbe.Zch(buckets=2).check(name, rows)


@entry(
    "jaxtbe.initializer",
    lambda i: {"name": "variance_scaling", "args": (1.0, "fan_in", "normal"), "options": {"in_axis": -2}},
    jitted=False,
    two=False,
    raises=(IndexError, ZeroDivisionError),  # JAX's, of the arguments of its own initializers
)
def _initializer(name, args, options):
    return jaxtbe.Table("t", 5, 3, initializer=jaxtbe.initializer(name, *args, **options)).init(jax.random.key(0))


# Batches and lookups.


@entry("jaxtbe.EmbeddingBags.init", lambda i: {"key": jax.random.key(0)}, two=False)
def _init(key):
    return model("native").init(key)


def _bags_arguments(implementation: str) -> Arguments:
    return {"ids": IDS, "id_weights": WEIGHTS, "update_mask": MASK}


@entry("jaxtbe.EmbeddingBags.bags", _bags_arguments, jitted=False, two=False)
def _bags(ids, id_weights, update_mask):
    made = model("native").bags(ids, id_weights, update_mask)
    assert made.describe()
    return made, model("native")(params("native"), made)


@entry("jaxtbe.EmbeddingBags.bags (raw)", lambda i: {"ids": RAW}, jitted=False, two=False)
def _bags_of_raw(ids):
    return hashed("native").bags(ids)


@entry("jaxtbe.EmbeddingBags.bags (capacity)", lambda i: {"capacity": Small(32)}, jitted=False, two=False)
def _bags_of_capacity(capacity):
    return model("native").bags(IDS, capacity=capacity)


@entry("jaxtbe.EmbeddingBags.__call__", lambda i: {"emb": Fixed(model(i)), "params": params(i), "bags": bags(i)})
def _call(emb, params, bags):
    return emb(params, bags)


@entry("jaxtbe.EmbeddingBags.concat", lambda i: {"emb": Fixed(model(i)), "params": params(i), "bags": bags(i)})
def _concat(emb, params, bags):
    return emb.concat(params, bags)


@entry(
    "jaxtbe.EmbeddingBags.gradient",
    lambda i: {
        "emb": Fixed(model(i)),
        "params": Fixed(params(i)),
        "bags": bags(i),
        "d_acts": values(i),
        "after": (jnp.ones(()), {"aux": jnp.ones(3)}),
    },
)
def _gradient(emb, params, bags, d_acts, after):
    tx = optim.sgd(0.5)
    return applied(params, tx.update(emb.gradient(bags, d_acts, after), tx.init(params), params)[0])


def _assign_arguments(implementation: str) -> Arguments:
    return {
        "emb": Fixed(model(implementation)),
        "params": params(implementation),
        "bags": bags(implementation),
        "values": values(implementation),
        "after": jnp.ones(()),
    }


@entry("jaxtbe.EmbeddingBags.assign", _assign_arguments)
def _assign(emb, params, bags, values, after):
    return emb.assign(params, bags, values, after=after)


@entry(
    "jaxtbe.EmbeddingBags.assign (reset_state)",
    lambda i: {**_assign_arguments(i), "opt_state": optim.adam(0.1).init(params(i)), "reset_state": True},
)
def _assign_and_reset(emb, params, bags, values, after, opt_state, reset_state):
    return emb.assign(params, bags, values, opt_state, reset_state=reset_state, after=after)


@entry(
    "jaxtbe.EmbeddingParams.table",
    lambda i: {"params": params(i), "table": _opaque([model(i).tables[0]])[0]},
    two=False,
)
def _params_table(params, table):
    tables = getattr(params, "tables", params)
    return jaxtbe.EmbeddingParams(tables).table(table() if callable(table) else table, "jaxtbe.EmbeddingBags")


@entry(
    "jaxtbe.Bags",
    lambda i: {
        "emb": Fixed(model(i)),
        "params": Fixed(params(i)),
        **{n: getattr(bags(i), n) for n in ("ids", "offsets", "id_weights", "update_mask", "features", "batch_size")},
        "shards": 1,
    },
    jitted=False,
)
def _make_bags(emb, params, **fields):
    made = jaxtbe.Bags(**fields)
    assert repr(made)
    return emb(params, made), made.describe(), made.capacity, made.cut


@entry(
    "jaxtbe.Bags.replace",
    lambda i: {
        "emb": Fixed(model(i)),
        "params": Fixed(params(i)),
        "changes": {n: getattr(bags(i), n) for n in ("ids", "offsets", "id_weights", "batch_size")},
    },
    jitted=False,
)
def _replace_bags(emb, params, changes):
    return emb(params, bags("native").replace(**changes))


@entry("jaxtbe.Bags.validate", lambda i: {"bags": bags(i), "emb": _opaque([model(i)])[0]}, jitted=False, two=False)
def _validate(bags, emb):
    jaxtbe.Bags(**{f.name: getattr(bags, f.name) for f in dataclasses.fields(jaxtbe.Bags)}).validate(
        emb() if callable(emb) else emb
    )


@entry("jaxtbe.pack_ids", lambda i: {"ids": np.arange(5)}, jitted=False, two=False)
def _pack(ids):
    return jaxtbe.pack_ids(ids)


@entry("jaxtbe.unpack_ids", lambda i: {"ids": jaxtbe.pack_ids(np.arange(5))}, jitted=False, two=False)
def _unpack(ids):
    return jaxtbe.unpack_ids(ids)


@entry(
    "jaxtbe.EmbeddingBags.summary",
    lambda i: {"params": {"emb": params(i)}, "opt_state": optim.adam(0.1).init(params(i))},
    jitted=False,
    two=False,
)
def _summary(params, opt_state):
    return model("native").summary(params, opt_state)


# Gradients.


def _loss(emb):
    return lambda params, bags, scale: scale * jnp.sum(emb.concat(params, bags) ** 2)


def _differentiated(implementation: str) -> Arguments:
    return {
        "emb": Fixed(model(implementation)),
        "params": params(implementation),
        "bags": bags(implementation),
        "scale": Fixed(2.0),
        "argnums": 0,
        "has_aux": False,
        "dense_tables": ("item",),
    }


def _stepped(gradients, params):
    tx = optim.sgd(0.5)
    gradients = gradients[0] if isinstance(gradients, tuple) else gradients
    return applied(params, tx.update(gradients, tx.init(params), params)[0])


@entry("jaxtbe.value_and_grad", _differentiated)
def _value_and_grad(emb, params, bags, scale, argnums, has_aux, dense_tables):
    differentiated = jaxtbe.value_and_grad(_loss(emb), argnums, has_aux, dense_tables=dense_tables)
    value, gradients = differentiated(params, bags, scale)
    return value, _stepped(gradients, params)


@entry("jaxtbe.grad", _differentiated)
def _grad(emb, params, bags, scale, argnums, has_aux, dense_tables):
    return _stepped(jaxtbe.grad(_loss(emb), argnums, has_aux, dense_tables=dense_tables)(params, bags, scale), params)


@entry(
    "jaxtbe.value_and_grad (fun)",
    lambda i: {"fun": _loss(model(i)), "params": Fixed(params(i)), "bags": Fixed(bags(i))},
)
def _value_and_grad_of(fun, params, bags):
    value, gradients = jaxtbe.value_and_grad(fun)(params, bags, 1.0)
    return value, _stepped(gradients, params)


@entry(
    "jaxtbe.filter_value_and_grad",
    lambda i: {
        "emb": Fixed(model(i)),
        "net": {"emb": params(i), "w": jnp.ones(()), "name": "m"},
        "bags": bags(i),
        "has_aux": False,
        "dense_tables": (),
    },
    jitted=False,
)
def _filtered(emb, net, bags, has_aux, dense_tables):
    def loss(net, bags):
        return net["w"] * jnp.sum(emb.concat(net["emb"], bags) ** 2)

    value, gradients = jaxtbe.filter_value_and_grad(loss, has_aux, dense_tables=dense_tables)(net, bags)
    return value, gradients["w"], _stepped(gradients["emb"], net["emb"])


@entry("jaxtbe.EmbeddingGrad.after", lambda i: {"grads": grads(i), "values": (jnp.ones(()), {"a": np.ones(2)})})
def _after(grads, values):
    return grads.after(*values).tokens if isinstance(grads, jaxtbe.EmbeddingGrad) else None


@entry(
    "jaxtbe.EmbeddingGrad.after (arithmetic)",
    lambda i: {"params": Fixed(params(i)), "grads": grads(i), "other": grads(i), "scale": jnp.asarray(2.0)},
)
def _arithmetic(params, grads, other, scale):
    assert repr(grads)
    return _stepped(-(grads + other) * scale / scale - grads, params)


@entry(
    "jaxtbe.check",
    lambda i: {
        "opt_state": optim.adam(0.1).update(grads(i), optim.adam(0.1).init(params(i)), params(i))[1],
        "grads": grads(i),
    },
    jitted=False,
    two=False,
)
def _check(opt_state, grads):
    jaxtbe.check(opt_state, grads)


@entry("jaxtbe.use_huge_pages", lambda i: {"tree": {"a": jnp.ones(3), "p": params(i)}, "at_least": 2**25}, jitted=False)
def _huge_pages(tree, at_least):
    return jaxtbe.use_huge_pages(tree, at_least)


@entry("jaxtbe.writeback_loss", lambda i: {"acts": values(i), "target": values(i)}, two=False)
def _writeback_loss(acts, target):
    return jax.value_and_grad(jaxtbe.writeback_loss)(acts, target)


# Optimizers.

OPTIONS = {
    "weight_decay": 0.1,
    "decay": "l2",
    "clip": 1.0,
    "max_norm": 2.0,
    "rounding": "nearest",
    "seed": 3,
}
MOMENTS = {"b1": 0.9, "b2": 0.99, "eps": 1e-3, "mu_dtype": "bfloat16"}
FACTORIES: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adagrad": {"eps": 1e-3},
    "rowwise_adagrad": {"eps": 1e-3},
    "adam": MOMENTS,
    "partial_rowwise_adam": MOMENTS,
    "lamb": MOMENTS,
    "partial_rowwise_lamb": MOMENTS,
    "lars_sgd": {"momentum": 0.9, "eta": 0.01},
}


def _train(tx, params, grads, state):
    """One update of a model, and what it leaves."""
    updates, state = tx.update(grads, state, params)
    return applied(params, updates), state


def _training(tx: Callable[[], Any]) -> Callable[[str], Arguments]:
    return lambda i: {"params": params(i), "grads": grads(i), "state": tx().init(params(i))}


def _optimizer_entries(name: str, own: dict[str, Any]) -> None:
    make = getattr(optim, name)

    def options(implementation: str) -> Arguments:
        given = {"learning_rate": 0.1, **own, **OPTIONS}
        return {"options": given, "params": Fixed(params(implementation)), "grads": Fixed(grads(implementation))}

    @entry(f"jaxtbe.optim.{name}", options)
    def with_options(options, params, grads):
        tx = make(**options)
        return _train(tx, params, grads, tx.init(params))

    tx = make(0.1, **{k: v for k, v in own.items() if k != "mu_dtype"})
    ENTRIES[f"jaxtbe.optim.{name} (update)"] = Entry(_training(lambda: tx), functools.partial(_train, tx))
    ENTRIES[f"jaxtbe.optim.{name} (init)"] = Entry(
        lambda i: {"params": {"emb": params(i)}}, lambda params: tx.init(params), two=False
    )


for _name, _own in FACTORIES.items():
    _optimizer_entries(_name, _own)


def _two_models(implementation: str) -> Arguments:
    """Two tables' parameters beside each other, as one optimizer may have them."""
    both = {"a": params(implementation), "b": params(implementation)}
    gradients = {"a": grads(implementation), "b": grads(implementation)}
    return {"params": both, "grads": gradients, "state": optim.adam(0.1).init(both)}


ENTRIES["jaxtbe.optim.adam (two models)"] = Entry(_two_models, functools.partial(_train, optim.adam(0.1)))


def _stacked(implementation: str) -> Arguments:
    gradients = jax.tree.map(lambda x: jnp.stack([x, x]), grads(implementation))
    return {**_training(lambda: optim.adagrad(0.1))(implementation), "grads": gradients}


ENTRIES["jaxtbe.optim.adagrad (stacked)"] = Entry(_stacked, functools.partial(_train, optim.adagrad(0.1)))


@entry(
    "jaxtbe.optim.table_optimizer",
    lambda i: {
        "rule": {"name": "adagrad", "states": [{"name": "sum_of_squares", "per_row": False}]},
        "learning_rate": 0.1,
        "own": {"eps": 1e-3},
        "options": OPTIONS,
        "mu_dtype": None,
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
    },
)
@entry(
    "jaxtbe.optim.Rule",
    lambda i: {
        "rule": {"name": "adagrad", "states": [{"name": "sum_of_squares", "per_row": False}]},
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
    },
)
@entry(
    "jaxtbe.optim.State",
    lambda i: {
        "rule": {"name": "rowwise_adagrad", "states": [{"name": "sum_of_squares", "per_row": True}]},
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
    },
)
@entry("jaxtbe.optim.Options", lambda i: {"options": OPTIONS, "params": Fixed(params(i)), "grads": Fixed(grads(i))})
def _rule_optimizer(params, grads, rule=None, learning_rate=0.1, own=None, options=None, mu_dtype=None):
    from jaxtbe.optim.rules.adagrad import ADAGRAD
    from jaxtbe.optim.rules.rowwise_adagrad import ROWWISE_ADAGRAD

    rule = {"name": "adagrad", "states": [{"name": "sum_of_squares", "per_row": False}]} if rule is None else rule
    references = {"adagrad": ADAGRAD.reference, "rowwise_adagrad": ROWWISE_ADAGRAD.reference}
    if not isinstance(rule, dict) or not {"name", "states"} <= set(rule):
        raise TypeError("not a rule")
    states = tuple(optim.State(**s) for s in rule["states"])
    name = rule["name"] if isinstance(rule["name"], str) else ""
    made = optim.Rule(rule["name"], states, references.get(name))
    own = {"eps": 1e-3} if own is None else own
    tx = optim.table_optimizer(
        made, learning_rate, own, optim.Options(**(OPTIONS if options is None else options)), mu_dtype
    )
    return _train(tx, params, grads, tx.init(params))


ENTRIES["jaxtbe.optim.freeze"] = Entry(_training(optim.freeze), functools.partial(_train, optim.freeze()))


@entry(
    "jaxtbe.optim.per_table",
    lambda i: {
        "optimizers": {"user": optim.adam(0.1)},
        "default": optim.sgd(0.1),
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
    },
    jitted=False,
)
def _per_table(optimizers, default, params, grads):
    tx = optim.per_table(optimizers, default)
    return _train(tx, params, grads, tx.init(params))


_PER_TABLE = optim.per_table({"user": optim.rowwise_adagrad(0.1)}, optim.lamb(0.1))
ENTRIES["jaxtbe.optim.per_table (update)"] = Entry(_training(lambda: _PER_TABLE), functools.partial(_train, _PER_TABLE))


@entry("jaxtbe.optim.lazy", lambda i: {"tx": optax.adam(0.1), "params": Fixed(params(i)), "grads": Fixed(grads(i))})
def _lazy(tx, params, grads):
    tx = optim.lazy(tx)
    return _train(tx, params, grads, tx.init(params))


_LAZY = optim.lazy(optax.adam(0.1))
ENTRIES["jaxtbe.optim.lazy (update)"] = Entry(_training(lambda: _LAZY), functools.partial(_train, _LAZY))


@entry(
    "jaxtbe.optim.multi_steps",
    lambda i: {"every_k": Small(2), "like": grads(i), "mean": True, "params": Fixed(params(i)), "grads": grads(i)},
)
def _multi_steps(every_k, like, mean, params, grads):
    tx = optim.multi_steps(optim.sgd(0.1), every_k, like, mean)
    return _train(tx, params, grads, tx.init(params))


@entry(
    "jaxtbe.optim.multi_steps (update)",
    lambda i: {
        "like": Fixed(grads(i)),
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
        "state": optim.multi_steps(optim.adam(0.1), 2, grads(i)).init(params(i)),
    },
)
def _multi_steps_update(like, params, grads, state):
    return _train(optim.multi_steps(optim.adam(0.1), 2, like), params, grads, state)


_SKIP, _APPLY = optim.skip_nonfinite(optim.adam(0.1)), optim.apply_if_finite(optim.adam(0.1), 3)
ENTRIES["jaxtbe.optim.skip_nonfinite"] = Entry(_training(lambda: _SKIP), functools.partial(_train, _SKIP))
ENTRIES["jaxtbe.optim.apply_if_finite"] = Entry(_training(lambda: _APPLY), functools.partial(_train, _APPLY))


@entry(
    "jaxtbe.optim.apply_if_finite (options)",
    lambda i: {"errors": 3, "inner": optim.sgd(0.1), "params": Fixed(params(i)), "grads": Fixed(grads(i))},
)
def _apply_if_finite(errors, inner, params, grads):
    tx = optim.apply_if_finite(inner, errors)
    return _train(tx, params, grads, tx.init(params))


def _in_front(implementation: str) -> Arguments:
    return {"number": 0.5, "params": Fixed(params(implementation)), "grads": grads(implementation)}


def _behind(tx, params, grads):
    chained = optax.chain(tx, optim.sgd(0.1))
    return _train(chained, params, grads, chained.init(params))


@entry("jaxtbe.optim.clip_by_global_norm", _in_front)
def _clip(number, params, grads):
    return _behind(optim.clip_by_global_norm(number), params, grads)


@entry("jaxtbe.optim.scale", _in_front)
def _scale(number, params, grads):
    return _behind(optim.scale(number), params, grads)


@entry("jaxtbe.optim.scale_by_schedule", lambda i: {**_in_front(i), "schedule": optax.constant_schedule(0.5)})
def _scale_by_schedule(number, params, grads, schedule):
    del number
    return _behind(optim.scale_by_schedule(schedule), params, grads)


@entry(
    "jaxtbe.optim.inject_hyperparams",
    lambda i: {
        "factory": optim.adam,
        "static": ("rounding", "decay"),
        "dtype": jnp.float32,
        "options": {"learning_rate": 0.1, "b1": 0.9},
        "params": Fixed(params(i)),
        "grads": Fixed(grads(i)),
    },
    raises=(OverflowError,),  # optax's, of a number past int32
)
def _inject(factory, static, dtype, options, params, grads):
    tx = optim.inject_hyperparams(factory, static, dtype)(**options)
    return _train(tx, params, grads, tx.init(params))


@entry(
    "jaxtbe.optim.labels",
    lambda i: {"tree": {"emb": params(i), "g": grads(i), "w": jnp.ones(2)}, "tables": "t", "dense": "d"},
    jitted=False,
    two=False,
)
def _labels(tree, tables, dense):
    return len(jax.tree.leaves(optim.labels(tree, tables, dense)))


def _mixed(implementation: str) -> dict[str, Any]:
    return {"emb": grads(implementation), "w": jnp.ones((2, 3)), "b": jnp.ones(())}


def _apply_mixed(gradients, params):
    if not isinstance(gradients, dict) or not isinstance(gradients.get("emb"), jaxtbe.EmbeddingGrad):
        return jax.tree.leaves(gradients, is_leaf=lambda x: isinstance(x, jaxtbe.EmbeddingGrad))[1:]
    return _stepped(gradients["emb"], params), gradients.get("w")


@entry("jaxtbe.optim.add_gradients", lambda i: {"p": Fixed(params(i)), "grads": (_mixed(i), _mixed(i))})
def _add_gradients(p, grads):
    return _apply_mixed(optim.add_gradients(*grads), p)


@entry("jaxtbe.optim.all_finite", lambda i: {"grads": _mixed(i)})
def _all_finite(grads):
    return optim.all_finite(grads)


@entry("jaxtbe.optim.global_norm", lambda i: {"grads": _mixed(i)})
def _global_norm(grads):
    return optim.global_norm(grads)


@entry("jaxtbe.optim.scale_gradients", lambda i: {"p": Fixed(params(i)), "grads": _mixed(i), "scale": 0.5})
def _scale_gradients(p, grads, scale):
    return _apply_mixed(optim.scale_gradients(grads, scale), p)


@entry(
    "jaxtbe.optim.sum_stacked",
    lambda i: {"p": Fixed(params(i)), "grads": jax.tree.map(lambda x: jnp.stack([x, x]), _mixed(i))},
)
def _sum_stacked(p, grads):
    return _apply_mixed(optim.sum_stacked(grads), p)


def _across(reduce: Callable, p, grads, axis):
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec()

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False)
    def summed(p, grads):
        return _apply_mixed(reduce(grads, axis), p)

    return summed(p, grads)


def _on_devices(implementation: str) -> Arguments:
    return {"p": Fixed(params(implementation)), "grads": _mixed(implementation), "axis": "data"}


# JAX says NameError of an axis that is not bound, as jax.lax.psum does.
ENTRIES["jaxtbe.optim.psum"] = Entry(_on_devices, functools.partial(_across, optim.psum), raises=(NameError,))
ENTRIES["jaxtbe.optim.pmean"] = Entry(_on_devices, functools.partial(_across, optim.pmean), raises=(NameError,))


# Hashed ZCH.


def _state(implementation: str) -> zch.ZchState:
    return remapped(implementation)[0]["raw"]


CONFIG = hashed("native").tables[0].zch
ACCESS = ("read_write", None, "read_only")


def _remap_arguments(implementation: str) -> Arguments:
    batch = raw_bags(implementation)
    return {
        "state": _state(implementation),
        "ids": batch.ids,
        "offsets": batch.offsets,
        "access": ACCESS,
        "now": 120,
        "ttl": jnp.int32(2),
        "update_mask": batch.update_mask,
        "scores": jnp.arange(batch.capacity, dtype=jnp.int32),
        "implementation": Fixed(implementation),
    }


@entry("jaxtbe.zch.remap", _remap_arguments)
def _remap(state, ids, offsets, **rest):
    return zch.remap(state, ids, offsets, zch=CONFIG, **rest)


@entry(
    "jaxtbe.zch.remap (zch)",
    lambda i: {
        "zch": _opaque([CONFIG])[0],
        "implementation": i,
        **{k: Fixed(_remap_arguments(i)[k]) for k in ("state", "ids", "offsets", "access")},
    },
    jitted=False,
)
def _remap_of(zch, implementation, state, ids, offsets, access):
    return jaxtbe.zch.remap(
        state, ids, offsets, zch=zch() if callable(zch) else zch, access=access, implementation=implementation
    )


@entry(
    "jaxtbe.zch.find",
    lambda i: {k: _remap_arguments(i)[k] for k in ("state", "ids", "offsets", "access", "implementation")},
)
def _find(state, ids, offsets, access, implementation):
    rows, status = zch.find(state, ids, offsets, zch=CONFIG, access=access, implementation=implementation)
    return rows, status, zch.find_report(state, status)


@entry(
    "jaxtbe.zch.find_report",
    lambda i: {"state": _state(i), "status": jnp.zeros(5, jnp.int8)},
    two=False,
)
def _find_report(state, status):
    return zch.find_report(state, status)


@entry("jaxtbe.zch.init_zch", lambda i: {"zch": _opaque([CONFIG])[0], "rows": 16}, jitted=False, two=False)
def _init_zch(zch, rows):
    return jax.eval_shape(lambda: jaxtbe.zch.init_zch(zch() if callable(zch) else zch, rows)).identities.shape


@entry("jaxtbe.zch.serving_state", lambda i: {"state": _state(i)}, two=False)
def _serving_state(state):
    return zch.find(zch.serving_state(state), raw_bags("native").ids, zch=CONFIG)


@entry("jaxtbe.zch.merge_rows", lambda i: {"rows": [jnp.arange(4), jnp.arange(4)]}, two=False)
def _merge_rows(rows):
    return zch.merge_rows(*rows)


@entry(
    "jaxtbe.zch.row_numbers",
    lambda i: {"ids": raw_bags(i).ids, "offsets": raw_bags(i).offsets, "plain": (False, True, False)},
    two=False,
)
def _row_numbers(ids, offsets, plain):
    return zch.row_numbers(ids, offsets, plain)


@entry(
    "jaxtbe.zch.reshard",
    lambda i: {
        "states": [_state(i)],
        "params": [{"table": jnp.ones((16, 4))}],
        "from_devices": 1,
        "to_devices": 2,
        "zch": _opaque([CONFIG])[0],
    },
    jitted=False,
    two=False,
)
def _reshard(states, params, from_devices, to_devices, zch):
    return jaxtbe.zch.reshard(states, params, from_devices, to_devices, zch=zch() if callable(zch) else zch)


@entry("jaxtbe.zch.shard_config", lambda i: {"zch": _opaque([CONFIG])[0], "devices": 2}, jitted=False, two=False)
def _shard_config(zch, devices):
    return jaxtbe.zch.shard_config(zch() if callable(zch) else zch, devices).buckets


@entry(
    "jaxtbe.zch.shard_of",
    lambda i: {"ids": np.arange(5), "zch": _opaque([CONFIG])[0], "devices": 2},
    jitted=False,
    two=False,
)
def _shard_of(ids, zch, devices):
    return jaxtbe.zch.shard_of(ids, zch() if callable(zch) else zch, devices)


@entry("jaxtbe.zch.to_fbgemm", lambda i: {"state": _state(i)}, jitted=False, two=False)
def _to_fbgemm(state):
    return zch.to_fbgemm(state)


@entry(
    "jaxtbe.zch.from_fbgemm",
    lambda i: {
        "zch": _opaque([CONFIG])[0],
        "identities": zch.to_fbgemm(_state(i))[0],
        "metadata": zch.to_fbgemm(_state(i))[1],
    },
    jitted=False,
    two=False,
)
def _from_fbgemm(zch, identities, metadata):
    return jaxtbe.zch.from_fbgemm(zch() if callable(zch) else zch, identities, metadata)


@entry(
    "jaxtbe.zch.to_json",
    lambda i: {"tables": {"raw": (16, CONFIG), "more": (8, jaxtbe.Zch())}},
    jitted=False,
    two=False,
)
def _to_json(tables):
    return zch.to_json(tables)


@entry(
    "jaxtbe.zch.from_json",
    lambda i: {"text": json.loads(zch.to_json({"raw": (16, CONFIG)})), "expected": {"raw": (16, CONFIG)}},
    jitted=False,
    two=False,
)
def _from_json(text, expected):
    return sorted(zch.from_json(json.dumps(text, default=str), expected))


@entry(
    "jaxtbe.zch.ZchMetrics",
    lambda i: {"rows": {"raw": 16}, "pending": 2, "reports": remapped(i)[2]},
    jitted=False,
    two=False,
)
@entry("jaxtbe.zch.ZchMetrics.update", lambda i: {"reports": remapped(i)[2]}, jitted=False, two=False)
def _metrics(reports, rows=None, pending=1):
    metrics = zch.ZchMetrics(rows, pending)
    for _ in range(3):
        metrics.update(reports)
    assert isinstance(str(metrics), str)
    return sorted(metrics.scalars().items())


def _remap_all(implementation: str) -> Arguments:
    emb = hashed(implementation)
    return {
        "emb": Fixed(emb),
        "state": remapped(implementation)[0],
        "bags": raw_bags(implementation),
        "now": jnp.int32(120),
        "ttl": 3,
        "scores": jnp.arange(raw_bags(implementation).capacity, dtype=jnp.int32),
    }


@entry("jaxtbe.EmbeddingBags.remap", _remap_all)
def _remap_bags(emb, state, bags, now, ttl, scores):
    return emb.remap(state, bags, now, ttl, scores)


@entry("jaxtbe.EmbeddingBags.find", lambda i: {k: _remap_all(i)[k] for k in ("emb", "state", "bags")})
def _find_bags(emb, state, bags):
    return emb.find(state, bags)


@entry("jaxtbe.EmbeddingBags.find_with_reports", lambda i: {k: _remap_all(i)[k] for k in ("emb", "state", "bags")})
def _find_with_reports(emb, state, bags):
    return emb.find_with_reports(state, bags)


def _reset_arguments(tx: Any) -> Callable[[str], Arguments]:
    def arguments(implementation: str) -> Arguments:
        emb = hashed(implementation)
        params = emb.init(jax.random.key(1))
        return {
            "emb": Fixed(emb),
            "params": params,
            "opt_state": tx.init(params),
            "reports": remapped(implementation)[2],
            "seed": jnp.uint32(3),
        }

    return arguments


@entry("jaxtbe.EmbeddingBags.reset_rows (lazy)", _reset_arguments(optim.lazy(optax.adam(0.1))))
@entry("jaxtbe.EmbeddingBags.reset_rows", _reset_arguments(optim.partial_rowwise_adam(0.1)))
def _reset_rows(emb, params, opt_state, reports, seed):
    return emb.reset_rows(params, opt_state, reports, seed)


# Over a mesh. One device is enough: what is compared is the same for any number.


def _mesh():
    return jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))


@functools.cache
def sharded(implementation: str) -> jaxtbe.EmbeddingBags:
    return model(implementation).shard(_mesh(), {"item": "replicated"})


@entry(
    "jaxtbe.EmbeddingBags.shard",
    lambda i: {
        "mesh": _mesh(),
        "placements": {"item": "replicated"},
        "axis": ("data",),
        "peer_capacity": {"user": 20},
    },
    jitted=False,
    two=False,
)
def _shard(mesh, placements, axis, peer_capacity):
    _use(model("native").shard(mesh, placements, axis, peer_capacity))


def _tree(implementation: str) -> Arguments:
    emb = params(implementation)
    return {"tree": {"p": emb, "s": optim.adam(0.1).init(emb), "w": jnp.ones(3), "b": bags(implementation)}}


@entry("jaxtbe.EmbeddingBags.shardings", _tree, jitted=False, two=False)
def _shardings(tree):
    return len(jax.tree.leaves(sharded("native").shardings(tree)))


@entry("jaxtbe.EmbeddingBags.place", _tree, jitted=False, two=False)
def _place(tree):
    return sharded("native").place(tree)


@entry(
    "jaxtbe.EmbeddingBags.global_bags",
    lambda i: {"bags": jax.tree.map(np.asarray, bags(i)), "capacity": Small(32)},
    jitted=False,
    two=False,
)
def _global_bags(bags, capacity):
    return sharded("native").global_bags(bags, capacity)


@entry(
    "jaxtbe.EmbeddingBags.__call__ (over a mesh)",
    lambda i: {"emb": Fixed(sharded(i)), "params": sharded(i).place(params(i)), "bags": bags(i)},
    eager=False,  # outside of jit, after many such calls, XLA's compiler came to a standstill
)
def _call_sharded(emb, params, bags):
    tx = optim.adam(0.1)
    loss, gradients = jaxtbe.value_and_grad(lambda p: jnp.sum(emb.concat(p, bags) ** 2))(params)
    return loss, _train(tx, params, gradients, tx.init(params))


@entry(
    "jaxtbe.sharding.step_bytes",
    lambda i: {
        "emb": _opaque([sharded(i)])[0],
        "batch_size": 4,
        "capacity": 16,
        "devices": 2,
        "replicated": ("item",),
        "peer_capacity": {"user": 3},
    },
    jitted=False,
    two=False,
)
def _step_bytes(emb, **rest):
    return sharding.step_bytes(emb() if callable(emb) else emb, **rest)


# Beside training.


@entry(
    "jaxtbe.migrate.from_fbgemm_writeback",
    lambda i: {
        "tables": {"t": (8, 3)},
        "features": {"f": "t", "g": "t"},
        "learning_rate": 1.0,
        "optimizer": "SGD",
        "pooling_mode": "NONE",
        "max_length": 2,
        "use_writeback_bwd_prehook": True,
        "writeback_first_feature_only": True,
    },
    jitted=False,
    two=False,
)
def _from_fbgemm_writeback(**settings):
    _use(migrate.from_fbgemm_writeback(**settings)[0])


@entry(
    "jaxtbe.debug.check_in_place",
    lambda i: {"step": jax.jit(lambda p: p, donate_argnums=0), "params": params(i)},
    jitted=False,
    two=False,
)
def _check_in_place(step, params):
    return str(debug.check_in_place(step, params))
