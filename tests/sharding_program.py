"""What the sharding tests run on virtual devices, in a process of its own: `python sharding_program.py <devices> <mode>`."""

import functools
import math
import re
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


def optimizer_of_tables():
    return jaxtbe.optim.per_table(
        {"item": jaxtbe.optim.adam(0.01), "genre": jaxtbe.optim.lazy(optax.rmsprop(0.01))},
        default=jaxtbe.optim.rowwise_adagrad(0.1),
    )


def optimizer():
    tables = optimizer_of_tables()
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


def train_alike(one, many):
    """Training over devices is training on one: hashed tables and rows bit for bit, floats up to the order of sums."""
    for longest, spread in ((1, False), (4, True)):
        batches = [batch(one, seed, longest) for seed in range(6)]
        alone, together = train(one, batches), train(many, batches, spread)
        compare(alone[2], together[2], exact=True)
        for a, b in zip(alone[3], together[3], strict=True):
            length = a[2].shape[0]
            compare(a[2], np.asarray(b[2])[:length], exact=True)  # the rows of all ids, then padding
            compare(a[:2], b[:2], exact=False)
        compare(alone[:2], together[:2], exact=False)
        assert together[0]["emb"].tables["item"].sharding.spec[0] == "data"


def remapped(emb, bags):
    return jax.tree.map(np.asarray, jax.jit(emb.remap)(emb.init_zch(), bags)[1])


def exact_parts(one, many):
    """Bit for bit: initial tables, lookups of single ids, and all updates and stores, given the gradients."""
    raw = batch(one, 1, longest=4)
    bags = remapped(one, raw)
    params, sharded = one.init(jax.random.key(1)), many.init(jax.random.key(1))
    compare(params, sharded, exact=True)
    rng = np.random.default_rng(0)
    d_acts = {f.name: rng.normal(size=one.spec.acts_shape(f, BATCH)).astype(np.float32) for f in one.features}
    tx = optimizer_of_tables()

    @functools.partial(jax.jit, static_argnums=0)
    def update(emb, params, state, bags):
        updates, state = tx.update(emb.gradient(bags, d_acts), state, params)
        return optax.apply_updates(params, updates), state

    compare(update(one, params, tx.init(params), bags), update(many, sharded, tx.init(sharded), bags), exact=True)
    values = {"history": d_acts["history"], "recent": d_acts["recent"]}
    state, sharded_state = tx.init(params), tx.init(sharded)
    assign = jax.jit(lambda emb, p, s: emb.assign(p, bags, values, s, reset_state=True), static_argnums=0)
    compare(assign(one, params, state), assign(many, sharded, sharded_state), exact=True)

    single = remapped(one, batch(one, 2, longest=1))
    look = jax.jit(lambda emb, p, bags: emb(p, bags), static_argnums=0)
    compare(look(one, params, single), look(many, sharded, single), exact=True)


def gradients_alike(one, many):
    """Dense gradients of tables and gradients of id weights."""
    bags = remapped(one, batch(one, 3, longest=4))
    params, sharded = one.init(jax.random.key(1)), many.init(jax.random.key(1))

    @functools.partial(jax.jit, static_argnums=0)
    def gradient(emb, params, weights):
        return jax.grad(lambda p, w: jnp.sum(jnp.sin(emb.concat(p, bags.replace(id_weights=w)))), argnums=(0, 1))(
            params, weights
        )

    weights = jnp.asarray(bags.id_weights)
    compare(gradient(one, params, weights), gradient(many, sharded, weights), exact=False)


def step_stays_in_place(many):
    """No table of full size in the program of a device, no copy of its block, and every table where it was."""
    params = many.place({"emb": many.init(jax.random.key(0)), "w": jnp.full((width(many),), 0.1, jnp.float32)})
    tx = optimizer()
    args = [params, many.place(tx.init(params)), many.init_zch(), many.global_bags(batch(many, 0)), jnp.zeros(BATCH), 0]
    step = jax.jit(make_step(many, tx), donate_argnums=(0, 1, 2))
    text = step.lower(*args).compile().as_text()
    for whole, block in (((64, 4), (64 // DEVICES, 4)), ((80, 3), (80 // DEVICES, 3)), ((64, 2), (64 // DEVICES, 2))):
        assert "[{},{}]".format(*whole) not in text, whole
        assert not re.search(r"\w+\[{},{}\]\S* copy\(".format(*block), text), block
    before = [s.data.unsafe_buffer_pointer() for s in params["emb"].tables["item"].addressable_shards]
    params = step(*args)[0]
    assert before == [s.data.unsafe_buffer_pointer() for s in params["emb"].tables["item"].addressable_shards]


def plain_lookups_refuse(one, many):
    """A split table in an `EmbeddingBags` of one device: an error, not a gathered table."""
    params, bags = many.init(jax.random.key(0)), remapped(one, batch(one, 0))
    for call in (one, jax.jit(lambda p, b: one(p, b))):
        try:
            call(params, bags)
        except (ValueError, jax.errors.JaxRuntimeError) as e:
            assert "expected a table on one device, or whole on each, got one that is split" in str(e), e
        else:
            raise AssertionError("nothing was raised")
    whole = jax.device_put(params, jax.sharding.NamedSharding(MESH, jax.sharding.PartitionSpec()))
    compare(one(whole, bags), jax.jit(lambda p, b: one(p, b))(whole, bags), exact=True)


def bytes_are_as_planned(many):
    """What `step_bytes` says is what the compiled step moves."""
    bags = many.global_bags(batch(many, 0), capacity=64)
    params = many.place({"emb": many.init(jax.random.key(0)), "w": jnp.full((width(many),), 0.1, jnp.float32)})
    tx = optax.partition({"emb": jaxtbe.optim.sgd(0.1), "w": optax.sgd(0.1)}, {"emb": "emb", "w": "w"})

    def step(params, opt_state, zch_state, bags):
        zch_state, bags, _ = many.remap(zch_state, bags)
        loss, grads = jaxtbe.value_and_grad(lambda p: jnp.mean(many.concat(p["emb"], bags) @ p["w"]) ** 2)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, zch_state, loss

    compiled = jax.jit(step).lower(params, tx.init(params), many.init_zch(), bags).compile()
    found = collective_bytes(compiled.as_text())
    plan = jaxtbe.sharding.step_bytes(many, bags.batch_size, bags.capacity // DEVICES, DEVICES, id_weights=True)
    print(DEVICES, "devices:", found, plan)
    assert found["all-gather"] == plan.ids + plan.gradients
    assert found["reduce-scatter"] == plan.activations
    small = 4 * width(many) + 256
    assert plan.rows <= found["all-reduce"] <= plan.rows + small


def collective_bytes(text):
    """Bytes of the whole arrays that the collectives of a compiled program gather, scatter or reduce."""
    sizes = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "bf16": 2}
    found = dict.fromkeys(("all-gather", "reduce-scatter", "all-reduce"), 0)
    for line in text.splitlines():
        match = re.match(r"\s*(?:ROOT )?%?\S+ = (.*?) (all-gather|reduce-scatter|all-reduce)(-start)?\(", line)
        if match:
            shapes = re.findall(r"(\w+)\[([\d,]*)\]", match.group(1))
            count = sum(sizes[kind] * math.prod(int(d) for d in dims.split(",") if d) for kind, dims in shapes)
            found[match.group(2)] += count * (DEVICES if match.group(2) == "reduce-scatter" else 1)
    return found


def main():
    one = make()
    many = one.shard(MESH, {"genre": "replicated"})
    train_alike(one, many)
    exact_parts(one, many)
    gradients_alike(one, many)
    step_stays_in_place(many)
    bytes_are_as_planned(many)
    plain_lookups_refuse(one, many)


if __name__ == "__main__":
    if MODE == "explicit":
        with jax.set_mesh(MESH):
            main()
    else:
        main()
    print("passed")
