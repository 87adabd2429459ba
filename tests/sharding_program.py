"""What the sharding tests run on virtual devices, in a process of its own: `python sharding_program.py <devices> <mode>`."""

import sys

import jax

jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

import jaxtbe  # noqa: E402

DEVICES, MODE = int(sys.argv[1]), sys.argv[2]
KIND = {"explicit": jax.sharding.AxisType.Explicit, "auto": jax.sharding.AxisType.Auto}[MODE]
MESH = jax.make_mesh((DEVICES,), ("data",), axis_types=(KIND,))
BATCH = 16


def make():
    return jaxtbe.EmbeddingBags(
        tables=[
            jaxtbe.Table("user", rows=64, dim=4, zch=jaxtbe.Zch(buckets=8, policy="lru", track_counts=True)),
            jaxtbe.Table("item", rows=80, dim=3),
            jaxtbe.Table("genre", rows=7, dim=5),
            jaxtbe.Table("half", rows=16, dim=2, dtype=jnp.bfloat16),
        ],
        features=[
            jaxtbe.Feature("user_id", table="user"),
            jaxtbe.Feature("history", table="item", pooling="mean"),
            jaxtbe.Feature("genres", table="genre", pooling="mean"),
            jaxtbe.Feature("recent", table="item", pooling="none", max_length=2),
            jaxtbe.Feature("friend", table="user", access="read_only"),
            jaxtbe.Feature("half", table="half"),
        ],
    )


def ragged(rng, rows, longest):
    return [rng.integers(-1, rows, rng.integers(0, longest + 1)).tolist() for _ in range(BATCH)]


def batch(emb, seed, longest=1):
    rng = np.random.default_rng(seed)
    ids = {
        "user_id": rng.integers(0, 200, BATCH) * 2**33 + 5,
        "history": ragged(rng, 80, longest),
        "genres": ragged(rng, 7, longest),
        "recent": ragged(rng, 82, 3),  # some are faults
        "friend": rng.integers(0, 200, BATCH) * 2**33 + 5,
        "half": ragged(rng, 16, longest),
    }
    weights = {"history": [rng.normal(size=len(b)).astype(np.float32).tolist() for b in ids["history"]]}
    return emb.bags(ids, id_weights=weights, capacity=256)


def make_step(emb, tx):
    def loss_fn(params, bags, labels):
        x = emb.concat(params["emb"], bags)
        logits = jnp.tanh(x @ params["w"])
        return jnp.mean((logits - labels) ** 2)

    def step(params, opt_state, zch_state, bags, labels, now):
        zch_state, bags, reports = emb.remap(zch_state, bags, now=now)
        params["emb"], opt_state = emb.reset_rows(params["emb"], opt_state, reports, seed=3)
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, labels)
        norm = jaxtbe.optim.global_norm(grads)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, zch_state, loss, norm, bags.ids

    return step


def width(emb):
    return sum(emb.spec.width(f) for f in emb.features)


def optimizer():
    tables = jaxtbe.optim.per_table(
        {"item": jaxtbe.optim.adam(0.01), "genre": jaxtbe.optim.lazy(optax.rmsprop(0.01))},
        default=jaxtbe.optim.rowwise_adagrad(0.1),
    )
    return optax.partition({"emb": tables, "w": optax.adam(1e-2)}, {"emb": "emb", "w": "w"})


def train(emb, batches, spread=False):
    params = {"emb": emb.init(jax.random.key(0)), "w": jnp.full((width(emb),), 0.1, jnp.float32)}
    tx = optimizer()
    zch_state = emb.init_zch()
    if emb.spec.sharding is not None:
        params = emb.place(params)
    opt_state = tx.init(params)
    if emb.spec.sharding is not None:
        opt_state = emb.place(opt_state)
    step = jax.jit(make_step(emb, tx), donate_argnums=(0, 1, 2))
    outputs = []
    for now, bags in enumerate(batches):
        labels = jnp.linspace(-1, 1, BATCH)
        bags = emb.global_bags(bags, capacity=64) if spread else bags
        params, opt_state, zch_state, *out = step(params, opt_state, zch_state, bags, labels, now)
        outputs.append(out)
    return params, opt_state, zch_state, outputs


def compare(a, b, exact):
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        name = jax.tree_util.keystr(path)
        x, y = np.asarray(x, dtype=np.asarray(x).dtype), np.asarray(y)
        if exact or not np.issubdtype(x.dtype, np.floating):
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            np.testing.assert_allclose(x.astype(np.float32), y.astype(np.float32), rtol=2e-3, atol=1e-5, err_msg=name)


def main():
    one = make()
    many = one.shard(MESH, {"genre": "replicated"})
    for longest, spread in ((1, False), (4, True)):
        batches = [batch(one, seed, longest) for seed in range(6)]
        alone, together = train(one, batches), train(many, batches, spread)
        compare(alone[2], together[2], exact=True)  # the hashed tables
        for a, b in zip(alone[3], together[3], strict=True):
            compare(a[2], b[2], exact=True)  # the rows of all ids
        compare(alone[:2], together[:2], exact=False)
        compare(alone[3], together[3], exact=False)
        assert "data" in str(together[0]["emb"].tables["item"].sharding.spec)
        print("max difference", longest, max(
            float(np.max(np.abs(np.asarray(x, np.float32) - np.asarray(y, np.float32)))) for x, y in zip(jax.tree.leaves(alone[0]), jax.tree.leaves(together[0]))))


if __name__ == "__main__":
    if MODE == "explicit":
        with jax.set_mesh(MESH):
            main()
    else:
        main()
    print("passed")
