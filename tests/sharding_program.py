"""What the sharding tests run on virtual devices, in a process of its own: `python sharding_program.py <devices> <mode>`.

Modes are "explicit" and "auto", for all checks in a mesh of such axes, and "count", for the row of docs/scaling.md alone.
"""

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
KIND = jax.sharding.AxisType.Explicit if MODE == "explicit" else jax.sharding.AxisType.Auto
MESH = jax.make_mesh((DEVICES,), ("data",), axis_types=(KIND,))
BATCH = 16
CAPACITY = 512 // DEVICES  # positions of a device
ROOM = {"user": 2 * BATCH // DEVICES, "item": 7 * BATCH // DEVICES}  # peer_capacity that suffices for any ids


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
        {
            "item": jaxtbe.optim.adam(0.01),
            "genre": jaxtbe.optim.lazy(optax.rmsprop(0.01)),
            "half": jaxtbe.optim.sgd(0.1, rounding="stochastic"),
        },
        default=jaxtbe.optim.rowwise_adagrad(0.1),
    )


def optimizer():
    tables = optimizer_of_tables()
    return optax.partition({"emb": tables, "w": optax.adam(1e-2)}, {"emb": "emb", "w": "w"})


def train(emb, batches, spread=False):
    params = {"emb": emb.init(jax.random.key(0)), "w": jnp.full((width(emb),), 0.1, jnp.float32)}
    tx = optimizer()
    zch_state = emb.init_zch()
    if emb.spec.placement.text():
        params = emb.place(params)
    opt_state = tx.init(params)
    if emb.spec.placement.text():
        opt_state = emb.place(opt_state)
    step = jax.jit(make_step(emb, tx), donate_argnums=(0, 1, 2))
    outputs = []
    for now, bags in enumerate(batches):
        labels = jnp.linspace(-1, 1, BATCH)
        bags = emb.global_bags(bags, capacity=CAPACITY) if spread else bags
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
    """What `step_bytes` says is what the compiled step moves; returns the row of docs/scaling.md."""
    bags = many.global_bags(batch(many, 0), capacity=CAPACITY)
    params = many.place({"emb": many.init(jax.random.key(0)), "w": jnp.full((width(many),), 0.1, jnp.float32)})
    tx = optax.partition({"emb": jaxtbe.optim.sgd(0.1), "w": optax.sgd(0.1)}, {"emb": "emb", "w": "w"})

    def step(params, opt_state, zch_state, bags):
        zch_state, bags, _ = many.remap(zch_state, bags)
        loss, grads = jaxtbe.value_and_grad(lambda p: jnp.mean(many.concat(p["emb"], bags) @ p["w"]) ** 2)(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, zch_state, loss

    compiled = jax.jit(step).lower(params, tx.init(params), many.init_zch(), bags).compile()
    found, number = collectives(compiled.as_text())
    plan = jaxtbe.sharding.step_bytes(many, bags.batch_size, bags.capacity // DEVICES, DEVICES, id_weights=True)
    if DEVICES > 1:
        assert found["all-gather"] == plan.ids + plan.gradients, (found, plan)
        assert found["reduce-scatter"] == plan.activations, (found, plan)
        assert found["all-to-all"] == plan.exchanged, (found, plan)
        small = 4 * width(many) + 256
        assert plan.rows <= found["all-reduce"] <= plan.rows + small, (found, plan)
    return [f"{found[kind]} in {number[kind]}" if number[kind] else "none" for kind in found]


def collectives(text):
    """Bytes of the whole arrays that the collectives of a compiled program gather, scatter, exchange or reduce; and how many
    collectives they are."""
    sizes = {"f32": 4, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "bf16": 2}
    found = dict.fromkeys(("all-gather", "reduce-scatter", "all-to-all", "all-reduce"), 0)
    number = dict(found)
    for line in text.splitlines():
        match = re.match(rf"\s*(?:ROOT )?%?\S+ = (.*?) ({'|'.join(found)})(-start)?\(", line)
        if match:
            shapes = re.findall(r"(\w+)\[([\d,]*)\]", match.group(1))
            count = sum(sizes[kind] * math.prod(int(d) for d in dims.split(",") if d) for kind, dims in shapes)
            found[match.group(2)] += count * (DEVICES if match.group(2) == "reduce-scatter" else 1)
            number[match.group(2)] += 1
    return found, number


def overflow_is_a_fault(one):
    """Ids without room contribute nothing, train nothing, and are counted."""
    many = one.shard(MESH, {"genre": "replicated"}, peer_capacity={"item": 1})
    ids = {"user_id": [0] * BATCH, "history": [[0, 79, 1]] * BATCH, "genres": [[]] * BATCH, "recent": [[]] * BATCH}
    bags = many.bags({**ids, "friend": [0] * BATCH, "half": [[]] * BATCH})
    bags = many.find(many.init_zch(), bags)
    params, tx = many.init(jax.random.key(0)), jaxtbe.optim.sgd(1.0)

    @jax.jit
    def step(params, state):
        acts, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(many(p, bags)["history"]))(params)
        updates, state = tx.update(grads, state, params)
        return acts, optax.apply_updates(params, updates), state, grads

    _, new, state, grads = step(params, tx.init(params))
    own = (
        BATCH // DEVICES
    )  # of each device's bags, the first has room for row 0 on the first device and row 79 on the last
    lost = BATCH * 3 - DEVICES * 2
    for counted in (
        state,
        grads,
        many.gradient(bags, {f.name: jnp.zeros(one.spec.acts_shape(f, BATCH)) for f in one.features}),
    ):
        try:
            jaxtbe.check(counted)
        except ValueError as e:
            assert "feature 'history' of table 'item': expected rows that fit the table's peer_capacity" in str(e), e
            assert f"got {lost} ids whose rows did not. Those ids contributed nothing" in str(e), e
        else:
            raise AssertionError("nothing was raised")
    kept = [[0, 79] if sample % own == 0 else [] for sample in range(BATCH)]
    fewer = one.bags({**ids, "history": kept, "friend": [0] * BATCH, "half": [[]] * BATCH})
    fewer = one.find(one.init_zch(), fewer)
    plain = one.init(jax.random.key(0))
    grads = jaxtbe.grad(lambda p: jnp.sum(one(p, fewer)["history"]))(plain)
    want, _ = tx.update(grads, tx.init(plain), plain)
    compare(optax.apply_updates(plain, want), new, exact=True)


def nested_lookups_refuse(many):
    """Inside a scan of the loss the sparse gradient over a mesh does not reach a lookup: an error that names the remedy."""
    params, bags = many.init(jax.random.key(0)), remapped(make(), batch(many, 0))

    def loss(p):
        return jax.lax.scan(lambda c, _: (c + jnp.sum(many.concat(p, bags)), None), 0.0, None, length=2)[0]

    try:
        jaxtbe.grad(loss)(params)
    except RuntimeError as e:
        assert "Look up before the nested function and pass the activations in." in str(e), e
    else:
        raise AssertionError("nothing was raised")


def states_are_made_in_place(many):
    """States lie with the rows of their table from the start, those of `lazy` too."""
    params = many.init(jax.random.key(0))
    for tx in (jaxtbe.optim.adam(0.1), jaxtbe.optim.lazy(optax.adam(0.1))):
        arrays = [x for x in jax.tree.leaves(tx.init(params).tables["item"]) if jnp.shape(x) == (80, 3)]
        assert len(arrays) == 2
        assert all(x.addressable_shards[0].data.shape == (80 // DEVICES, 3) for x in arrays)


def states_restart_alike(one, many):
    """States that begin with the row itself follow it through evictions and assignments."""
    tx, batches = jaxtbe.optim.lazy(optax.contrib.scale_by_madgrad(0.1)), [batch(one, seed) for seed in range(6)]
    values = {"history": np.ones((BATCH, 3), np.float32)}

    @functools.partial(jax.jit, static_argnums=0)
    def restart(emb, params, state, zch_state):
        for now, bags in enumerate(batches):
            zch_state, bags, reports = emb.remap(zch_state, bags, now=now)
            params, state = emb.reset_rows(params, state, reports, seed=3)
        return emb.assign(params, bags, values, state, reset_state=True)

    results = []
    for emb in (one, many):
        start = emb.init(jax.random.key(0))
        params, state = restart(emb, start, tx.init(start), emb.init_zch())
        for name in ("user", "item"):
            compare(state.tables[name]["inner"].x0, params.tables[name], exact=True)
            assert np.any(np.asarray(params.tables[name]) != np.asarray(start.tables[name])), name
        results.append((params, state))
    compare(*results, exact=True)


def scores_travel(one, many):
    """Eviction scores of positions move with their ids."""
    bags = batch(one, 5)
    parts = many.global_bags(bags, capacity=CAPACITY)
    scores = [(np.asarray(b.ids)[:, 1] % 97 + 1).astype(np.int32) for b in (bags, parts)]  # by the high word of an id
    alone = jax.jit(one.remap)(one.init_zch(), bags, scores=scores[0])[0]
    together = jax.jit(many.remap)(many.init_zch(), parts, scores=many.place(scores[1]))[0]
    assert len(np.unique(alone["user"].last_seen)) > 5
    compare(alone, together, exact=True)


def check_all():
    one = make()
    many = one.shard(MESH, {"genre": "replicated"})
    exchanged = one.shard(MESH, {"genre": "replicated"}, peer_capacity=ROOM)
    for emb in (many, exchanged):
        exact_parts(one, emb)
        step_stays_in_place(emb)
        bytes_are_as_planned(emb)
    trained = [many, exchanged] if (DEVICES == 4) == (MODE == "auto") else [many]  # each takes 20 seconds
    for emb in trained:
        train_alike(one, emb)
        gradients_alike(one, emb)
    plain_lookups_refuse(one, many)
    nested_lookups_refuse(many)
    states_are_made_in_place(many)
    states_restart_alike(one, many)
    scores_travel(one, many)
    overflow_is_a_fault(one)


def main():
    if MODE == "count":
        one = make()
        rows = [bytes_are_as_planned(one.shard(MESH, {"genre": "replicated"}, peer_capacity=c)) for c in (None, ROOM)]
        for name, row in zip(("sums", "rows"), rows, strict=True):
            print("|", " | ".join([str(DEVICES), name, *row]), "|")
    elif MODE == "explicit":
        with jax.set_mesh(MESH):
            check_all()
    else:
        check_all()


if __name__ == "__main__":
    main()
    print("passed")
