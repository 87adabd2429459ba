"""Tables keyed by raw ids within `EmbeddingBags`: remap, reset, lookup and update in one donated step; serving."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS, DIM = 64, 4


def make(implementation=None, initializer=None, **zch):
    return jaxtbe.EmbeddingBags(
        tables=[
            jaxtbe.Table("user", rows=ROWS, dim=DIM, zch=jaxtbe.Zch(**zch), initializer=initializer),
            jaxtbe.Table("genre", rows=10, dim=DIM),
        ],
        features=[
            jaxtbe.Feature("user_id", table="user"),
            jaxtbe.Feature("genres", table="genre", pooling="mean"),
            jaxtbe.Feature("friend", table="user", access="read_only"),
        ],
        implementation=implementation,
    )


def raw_ids(seed, count):
    return np.random.default_rng(seed).integers(-(2**63), 2**63, count)


def batch(emb, users, friends=None, capacity=256):
    friends = users if friends is None else friends
    genres = [[i % 10, 3] for i in range(len(users))]
    return emb.bags({"user_id": users, "genres": genres, "friend": friends}, capacity=capacity)


def make_step(emb, tx):
    def step(params, opt_state, zch_state, bags, now):
        zch_state, bags, reports = emb.remap(zch_state, bags, now=now)
        params, opt_state = emb.reset_rows(params, opt_state, reports, seed=7)
        loss, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(jnp.sin(emb.concat(p, bags))))(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, zch_state, reports, bags.ids, loss

    return step


def test_raw_ids_of_any_sign_train_and_are_found():
    emb = make()
    tx = jaxtbe.optim.adagrad(0.1)
    params = emb.init(jax.random.key(0))
    state, zch_state = tx.init(params), emb.init_zch()
    step = jax.jit(make_step(emb, tx))
    users = raw_ids(0, 20)
    bags = batch(emb, users)
    assert bags.ids.dtype == np.uint32
    params, state, zch_state, _, rows, _ = step(params, state, zch_state, bags, 1)
    assert int(zch_state["user"].occupancy) == 20
    assert len(set(np.asarray(rows[:20]).tolist())) == 20
    np.testing.assert_array_equal(rows[20:60], [x for i in range(20) for x in (i % 10, 3)])  # plain row numbers
    found = jax.jit(emb.find)(zch_state, batch(emb, users))
    np.testing.assert_array_equal(found.ids, rows)
    unknown = emb.find(zch_state, batch(emb, raw_ids(1, 20)))
    np.testing.assert_array_equal(unknown.ids[:20], -1)
    np.testing.assert_array_equal(emb(params, unknown)["user_id"], 0)
    jaxtbe.check(state)


@pytest.mark.parametrize("sharded", [False, True])
def test_find_tells_how_many_ids_it_knows(sharded):
    emb = make()
    if sharded:
        emb = emb.shard(jax.make_mesh((1,), ("data",)))
    zch_state, _, _ = emb.remap(emb.init_zch(), batch(emb, raw_ids(0, 5)))
    asked = batch(emb, np.concatenate([raw_ids(0, 5), raw_ids(1, 3), [-1]]), friends=np.full(9, raw_ids(1, 1)[0]))
    found, reports = jax.jit(emb.find_with_reports)(zch_state, asked)
    np.testing.assert_array_equal(found.ids, emb.find(zch_state, asked).ids)
    metrics = jaxtbe.zch.ZchMetrics({"user": 10})
    for _ in range(2):
        metrics.update(reports)
    scalars = {name.removeprefix("zch/user/"): value for name, value in metrics.scalars().items()}
    assert (scalars["positions"], scalars["read_hits"], scalars["read_misses"]) == (34, 10, 24)
    assert scalars["read_hit_rate"] == pytest.approx(10 / 34) and scalars["occupancy"] == 5
    assert "hit_rate" not in scalars and scalars["evictions"] == 0
    after = emb.reset_rows(emb.init(jax.random.key(0)), None, reports)[0]  # nothing was evicted: nothing changes
    np.testing.assert_array_equal(after.tables["user"], emb.init(jax.random.key(0)).tables["user"])


def test_read_only_features_insert_nothing():
    emb = make()
    zch_state, bags, _ = emb.remap(emb.init_zch(), batch(emb, raw_ids(0, 5), friends=raw_ids(1, 5)))
    assert int(zch_state["user"].occupancy) == 5
    np.testing.assert_array_equal(bags.ids[15:20], -1)


def test_evicted_rows_start_anew():
    emb = make(policy="lru", max_probe=8)
    tx = jaxtbe.optim.adam(0.1)
    params = emb.init(jax.random.key(0))
    state, zch_state = tx.init(params), emb.init_zch()
    reset = jax.jit(lambda p, s, r: emb.reset_rows(p, s, r, seed=7))
    step = jax.jit(make_step(emb, tx))
    for now in range(1, 6):
        params, state, zch_state, *_ = step(params, state, zch_state, batch(emb, raw_ids(now, 30)), now)
    zch_state, _, reports = emb.remap(zch_state, batch(emb, raw_ids(99, 30)), now=9)
    evicted = np.asarray(reports["user"].evicted)
    evicted = evicted[evicted >= 0]
    assert evicted.size > 5
    fresh, fresh_state = reset(params, state, reports)
    others = np.setdiff1d(np.arange(ROWS), evicted)
    np.testing.assert_array_equal(fresh.tables["user"][others], params.tables["user"][others])
    assert not np.any(np.all(np.asarray(fresh.tables["user"] == params.tables["user"])[evicted], axis=1))
    for name in ("mu", "nu"):
        was, now_is = (np.asarray(s.tables["user"][name]) for s in (state, fresh_state))
        np.testing.assert_array_equal(now_is[evicted], 0)
        np.testing.assert_array_equal(now_is[others], was[others])
        assert np.any(was[evicted] != 0)
    np.testing.assert_array_equal(fresh.tables["genre"], params.tables["genre"])
    # The value depends on the id, not on what the row held.
    again, _ = reset(jax.tree.map(lambda x: x * 0 + 5, params), state, reports)
    np.testing.assert_array_equal(again.tables["user"][evicted], fresh.tables["user"][evicted])


def test_custom_initializers_and_lazy_states_restart_too():
    emb = make(policy="lru", max_probe=8, initializer=jax.nn.initializers.constant(2.5))
    tx = jaxtbe.optim.lazy(optax.adagrad(0.1, initial_accumulator_value=0.25))
    params = emb.init(jax.random.key(0))
    state, zch_state = tx.init(params), emb.init_zch()
    step = jax.jit(make_step(emb, tx))
    for now in range(1, 5):
        params, state, zch_state, *_ = step(params, state, zch_state, batch(emb, raw_ids(now, 40)), now)
    zch_state, _, reports = emb.remap(zch_state, batch(emb, raw_ids(99, 30)), now=9)
    fresh, fresh_state = emb.reset_rows(params, state, reports)
    evicted = np.asarray(reports["user"].evicted)
    evicted = evicted[evicted >= 0]
    np.testing.assert_array_equal(fresh.tables["user"][evicted], 2.5)
    sums = jax.tree.leaves(fresh_state.tables["user"]["inner"])[0]
    np.testing.assert_array_equal(sums[evicted], 0.25)


def test_lazy_states_that_begin_with_the_row_restart_with_the_new_one():
    emb = make(policy="lru", max_probe=8)
    tx = jaxtbe.optim.lazy(optax.contrib.scale_by_madgrad(0.1))
    params = emb.init(jax.random.key(0))
    state, zch_state = tx.init(params), emb.init_zch()
    step = jax.jit(make_step(emb, tx))
    for now in range(1, 5):
        params, state, zch_state, *_ = step(params, state, zch_state, batch(emb, raw_ids(now, 40)), now)
    zch_state, _, reports = emb.remap(zch_state, batch(emb, raw_ids(99, 30)), now=9)
    fresh, fresh_state = jax.jit(emb.reset_rows)(params, state, reports)
    evicted = np.asarray(reports["user"].evicted)
    evicted = evicted[evicted >= 0]
    assert evicted.size
    was, now_is = (s.tables["user"]["inner"] for s in (state, fresh_state))
    want = np.array(was.x0)
    want[evicted] = np.asarray(fresh.tables["user"])[evicted]
    np.testing.assert_array_equal(now_is.x0, want)
    assert np.any(np.asarray(was.x0)[evicted] != want[evicted])
    np.testing.assert_array_equal(np.asarray(now_is.s)[evicted], 0)
    assert np.all(np.asarray(was.s)[evicted] != 0)


def test_native_and_reference_steps_agree():
    results = []
    for implementation in ("xla", "native"):
        emb = make(implementation, policy="ttl", ttl=1, max_probe=8)
        tx = jaxtbe.optim.rowwise_adagrad(0.1)
        params = emb.init(jax.random.key(0))
        state, zch_state = tx.init(params), emb.init_zch()
        step = jax.jit(make_step(emb, tx))
        for now in range(3):
            params, state, zch_state, reports, rows, _ = step(
                params, state, zch_state, batch(emb, raw_ids(now, 40)), now * 2
            )
        results.append((params, zch_state, rows, reports["user"].counters))
    for x, y in zip(*(jax.tree.leaves(r) for r in results), strict=True):
        np.testing.assert_allclose(np.float64(x), np.float64(y), rtol=1e-5, atol=1e-6)


def test_the_whole_step_is_in_place():
    rows = 32_768
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=rows, dim=DIM, zch=jaxtbe.Zch(policy="lru", track_counts=True))],
        [jaxtbe.Feature("user_id", table="user"), jaxtbe.Feature("friend", table="user", access="read_only")],
    )
    tx = jaxtbe.optim.rowwise_adagrad(0.1)
    params = emb.init(jax.random.key(0))
    bags = emb.bags({"user_id": raw_ids(0, 100), "friend": raw_ids(1, 100)})
    args = (params, tx.init(params), emb.init_zch(), bags, 1)
    compiled = jax.jit(make_step(emb, tx), donate_argnums=(0, 1, 2)).lower(*args).compile()
    assert not re.findall(rf"\w\d+\[{rows}[,\]]\S* copy\(", compiled.as_text())


def test_negative_raw_ids_of_a_matrix_are_kept():
    emb = make()
    matrix = np.array([[5, -7, -1], [-9, -3, 4]])
    bags = emb.bags({"user_id": matrix, "genres": np.array([[1, -1], [2, -1]]), "friend": [[5, -7], [-9, -3, 4]]})
    ids = jaxtbe.unpack_ids(bags.ids)
    np.testing.assert_array_equal(ids[:12], [5, -7, -9, -3, 4, 1, 2, 5, -7, -9, -3, 4])
    np.testing.assert_array_equal(bags.offsets, [0, 2, 5, 6, 7, 9, 12])


def test_validate_looks_at_plain_tables_beside_raw_ids():
    emb = make()
    batch(emb, raw_ids(0, 3)).validate(emb)
    faulty = emb.bags({"user_id": raw_ids(0, 2), "genres": [[1], [10]], "friend": raw_ids(0, 2)})
    with pytest.raises(ValueError, match="feature 'genres' of table 'genre': expected ids below 10, got 1"):
        faulty.validate(emb)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jaxtbe.Table("t", 10, 2, zch="lru"), TypeError, "table 't': expected zch as a jaxtbe.Zch, got 'lru'"),
        (
            lambda: jaxtbe.Table("t", 10, 2, zch=jaxtbe.Zch(buckets=3)),
            ValueError,
            "table 't': expected rows divisible by",
        ),
        (lambda: make().remap({}, batch(make(), raw_ids(0, 3))), ValueError, "zch_state: expected a state for each of"),
        (
            lambda: make().remap(make().init_zch(), batch(make(), raw_ids(0, 3)), now=2**40),
            ValueError,
            r"now: expected 0 <= now < 2\*\*31, got 1099511627776. Count from a later start",
        ),
        (
            lambda: make().find(None, batch(make(), raw_ids(0, 3))),
            TypeError,
            "zch_state: expected a dict from table name",
        ),
        (lambda: make().reset_rows({}, None, {}), TypeError, "parameters: expected jaxtbe.EmbeddingParams, got dict"),
        (
            lambda: make().remap(make().init_zch(), batch(make(), raw_ids(0, 3)).replace(ids=np.zeros(256, np.int32))),
            TypeError,
            r"ids: expected raw ids as uint32\[N, 2\], got int32\[256\]",
        ),
        (
            lambda: jaxtbe.EmbeddingBags([jaxtbe.Table("t", 3, 2)], [jaxtbe.Feature("x", "t")]).remap({}, None),
            ValueError,
            "tables: expected a table with zch, got none",
        ),
        (
            lambda: make()(make().init(jax.random.key(0)), batch(make(), raw_ids(0, 3))),
            TypeError,
            "ids: expected i32 row numbers, got raw 64-bit ids",
        ),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()
