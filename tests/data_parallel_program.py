"""Lookups and gradients inside a user's own `jax.shard_map` and `jax.pmap`, on two devices: prints "passed"."""

import functools
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxtbe

ROWS = 6
MESH = jax.make_mesh((2,), ("d",), axis_types=(AxisType.Auto,))


def make(implementation):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=ROWS, dim=3)], [jaxtbe.Feature("x", table="t")], implementation=implementation
    )
    halves = [
        emb.bags({"x": ids}, id_weights={"x": weights}, capacity=16)
        for ids, weights in (([[1, 2], [3]], [[0.5, 2.0], [1.0]]), ([[3], [3, 5]], [[1.5], [1.0, -1.0]]))
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *halves)
    return emb, emb.init(jax.random.key(0)), halves, stacked


def loss(emb, params, bags):
    return jnp.sum(jnp.sin(emb(params["emb"], bags)["x"] @ params["w"]))


WHOLE = P()


def shard(f, check_vma, out_specs=WHOLE):
    return jax.shard_map(f, mesh=MESH, in_specs=(P(), P("d")), out_specs=out_specs, check_vma=check_vma)


def first(tree):
    return jax.tree.map(lambda x: x[0], tree)


def check_forward(implementation):
    emb, params, halves, stacked = make(implementation)
    want = jnp.concatenate([emb(params, bags)["x"] for bags in halves])
    for check_vma in (True, False):
        for wrap in (lambda f: f, jax.jit):
            got = wrap(shard(lambda p, b: emb(p, first(b))["x"], check_vma, P("d")))(params, stacked)
            np.testing.assert_array_equal(got, want)


def check_dense_gradients(implementation):
    """`jax.grad` inside: the same as with `jnp.take`, which JAX sums over devices where it checks types."""
    emb, params, _, stacked = make(implementation)
    tree = {"emb": params, "w": jnp.arange(3.0)}

    def plain(tree, bags):
        rows = tree["emb"].tables["t"][jnp.maximum(bags.ids, 0)] * (bags.id_weights * (bags.ids >= 0))[:, None]
        position = jnp.arange(bags.ids.shape[0])
        mine = (position >= bags.offsets[:-1, None]) & (position < bags.offsets[1:, None])
        return jnp.sum(jnp.sin(mine.astype(jnp.float32) @ rows @ tree["w"]))

    for check_vma in (True, False):
        for wrap in (lambda f: f, jax.jit):
            grads = [
                wrap(shard(lambda t, b, f=f: jax.grad(f)(t, first(b)), check_vma))(tree, stacked)
                for f in (functools.partial(loss, emb), plain)
            ]
            for a, b in zip(*map(jax.tree.leaves, grads), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def check_sparse_gradients(implementation):
    """`psum` and `pmean` of what each device's `jaxtbe.value_and_grad` gives: one step over the whole batch."""
    emb, params, halves, stacked = make(implementation)
    tree = {"emb": params, "w": jnp.arange(3.0)}
    tx = optax.partition({"tables": jaxtbe.optim.adagrad(0.1), "dense": optax.sgd(0.1)}, jaxtbe.optim.labels)

    def apply(grads, tree):
        updates, _ = tx.update(grads, tx.init(tree), tree)
        return optax.apply_updates(tree, updates)

    for reduce, factor in ((jaxtbe.optim.psum, 1.0), (jaxtbe.optim.pmean, 0.5)):
        whole = jaxtbe.grad(lambda t, f=factor: f * sum(loss(emb, t, bags) for bags in halves))(tree)
        want = apply(whole, tree)

        def step(tree, bags, reduce=reduce):
            return apply(reduce(jaxtbe.grad(functools.partial(loss, emb))(tree, first(bags)), "d"), tree)

        one = jax.tree.map(lambda x: jnp.stack([x, x]), tree)
        mapped = jax.pmap(
            lambda t, b, reduce=reduce: apply(reduce(jaxtbe.grad(functools.partial(loss, emb))(t, b), "d"), t), "d"
        )
        new = [shard(step, False)(tree, stacked), jax.jit(shard(step, False))(tree, stacked)]
        new += [jax.tree.map(lambda x, i=i: x[i], mapped(one, stacked)) for i in range(2)]
        for got in new:
            for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(jax.tree.leaves(new[2]), jax.tree.leaves(new[3]), strict=True):
            np.testing.assert_array_equal(a, b)

    for wrap in (lambda f: f, jax.jit):
        try:
            wrap(shard(step, True))(tree, stacked)
        except ValueError as e:
            assert "jaxtbe.value_and_grad: a jax.shard_map around it: expected check_vma=False" in str(e), e
        else:
            raise AssertionError("check_vma=True was not refused")


def check_tables_under_vmap():
    emb, params, halves, _ = make("native")
    try:
        jax.vmap(emb, in_axes=(0, None))(jax.tree.map(lambda x: jnp.stack([x, x]), params), halves[0])
    except ValueError as e:
        assert "jaxtbe.ops.lookup: tables under jax.vmap: expected one set of tables" in str(e), e
    else:
        raise AssertionError("mapped tables were not refused")


def check_changes_of_devices(implementation):
    """What each device changed with its own samples does not leave a shard_map as the same on all."""
    emb, params, _, stacked = make(implementation)

    def assigned(params, bags):
        return emb.assign(params, first(bags), {"x": jnp.ones((2, 3))})

    def explicit(params, bags):
        tx = jaxtbe.optim.sgd(0.1)
        grads = emb.gradient(first(bags), {"x": jnp.ones((2, 3))})
        return optax.apply_updates(params, tx.update(grads, tx.init(params), params)[0])

    for change in (assigned, explicit):
        try:
            jax.jit(shard(change, True))(params, stacked)
        except ValueError as e:
            assert "out_specs" in str(e), e
        else:
            raise AssertionError(f"{change.__name__}: tables that differ left as one")
        each = jax.jit(shard(lambda p, b, change=change: jax.tree.map(lambda x: x[None], change(p, b)), True, P("d")))
        assert not np.array_equal(*each(params, stacked).tables["t"])


for implementation in ("native", "xla"):
    check_changes_of_devices(implementation)
    check_forward(implementation)
    check_dense_gradients(implementation)
    check_sparse_gradients(implementation)
check_tables_under_vmap()
print("passed")
