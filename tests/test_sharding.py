"""Tables over a mesh: the same as on one device, on 4 and 8 virtual devices, in explicit and automatic meshes; and messages."""

import pathlib
import re
import subprocess
import sys

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import cases, lookup, to_bags, train_step
from hypothesis import strategies as st

import jaxtbe

PROGRAM = pathlib.Path(__file__).with_name("sharding_program.py")
SCALING = PROGRAM.parent.parent / "docs" / "scaling.md"


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "mode"), [(4, "explicit"), (8, "auto"), (4, "auto"), (8, "explicit")])
def test_a_mesh_trains_as_one_device_does(devices, mode):
    run = subprocess.run([sys.executable, PROGRAM, str(devices), mode], capture_output=True, text=True)
    assert run.returncode == 0 and "passed" in run.stdout, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_the_counted_table_of_the_docs(devices):
    run = subprocess.run([sys.executable, PROGRAM, str(devices), "count"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == 2
    for row in rows:
        assert row in SCALING.read_text().splitlines()


def one_device_mesh():
    return jax.make_mesh((1,), ("data",), devices=jax.devices()[:1], axis_types=(jax.sharding.AxisType.Auto,))


def make(rows=8, **table):
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=rows, dim=4, **table)], [jaxtbe.Feature("f", table="t", pooling="mean")]
    )


@pytest.mark.parametrize("peer_capacity", [None, {"t": 3}])
def test_a_mesh_of_one_device_changes_nothing(peer_capacity):
    one = make()
    many = one.shard(one_device_mesh(), peer_capacity=peer_capacity)
    bags = one.bags({"f": [[1, 2], [3], []]})
    tx = jaxtbe.optim.adagrad(0.1)
    results = []
    for emb in (one, many):
        params = emb.init(jax.random.key(0))
        grads = jax.jit(jaxtbe.grad(lambda p, emb=emb: jnp.sum(jnp.sin(emb.concat(p, bags)))))(params)
        updates, state = tx.update(grads, tx.init(params), params)
        results.append((updates.tables["t"].value, state))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_array_equal(a, b)


@hypothesis.settings(max_examples=3)  # each compiles four programs
@hypothesis.given(case=cases(duplicates=("sum", "first", "last")), seed=st.integers(0, 100))
def test_rows_that_travel_are_the_rows_of_one_device(implementation, case, seed):
    one = case.module(implementation)
    many = one.shard(one_device_mesh(), peer_capacity={t.name: 200 for t in one.tables})
    bags = to_bags(one, case.batch(seed, mask=True, faults=True))
    tx, d_acts = jaxtbe.optim.adagrad(0.1), case.d_acts(seed)
    results = []
    for emb in (one, many):
        params = case.params()
        results.append((lookup(emb, params, bags), train_step(emb, tx, params, tx.init(params), bags, d_acts)))
    tolerance = 0 if implementation == "native" else 2e-6  # plain jax.numpy divides by the length of a bag elsewhere
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(np.float32(a), np.float32(b), rtol=tolerance, atol=tolerance)


def test_routes(monkeypatch):
    """Against plain loops: four devices, two tables, of which one feature is not exchanged."""
    from jaxtbe.sharding import Sharding
    from jaxtbe.sharding.route import make_route

    monkeypatch.setattr(Sharding, "devices", 4)
    sharding = Sharding(one_device_mesh(), ("data",))
    rng = np.random.default_rng(0)
    tables, rows, batch = [0, -1, 1, 0], [8, 12], 8
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, len(tables) * batch))]).astype(np.int32)
    ids = rng.integers(-1, 14, 80).astype(np.int32)
    route = make_route(sharding, tables, rows, jnp.asarray(ids), jnp.asarray(offsets))
    seen: dict[tuple[int, int, int], int] = {}
    for position in range(len(ids)):
        bag = int(np.searchsorted(offsets, position, side="right")) - 1
        table = tables[bag // batch] if bag < len(tables) * batch else -1
        if table < 0 or not 0 <= ids[position] < rows[table]:
            assert route.table[position] == -1
            continue
        block = rows[table] // 4
        key = table, bag % batch // 2, int(ids[position]) // block
        found = [int(x[position]) for x in (route.table, route.source, route.owner, route.row, route.place)]
        assert found == [*key, ids[position] % block, seen.get(key, 0)]
        seen[key] = seen.get(key, 0) + 1
    assert max(seen.values()) > 2


def test_splitting_a_batch_keeps_its_samples():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=50, dim=1)], [jaxtbe.Feature("a", table="t"), jaxtbe.Feature("b", table="t")]
    )
    ids = {"a": [[1], [2, 3], [], [4]], "b": [[5, 6], [], [7], [8]]}
    from jaxtbe.sharding.batch import split_bags

    split = split_bags(emb.bags(ids), 2, capacity=6)
    assert split.shards == 2
    np.testing.assert_array_equal(split.ids, [1, 2, 3, 5, 6, -1, 4, 7, 8, -1, -1, -1])
    np.testing.assert_array_equal(split.offsets, [0, 1, 3, 5, 5, 0, 0, 1, 2, 3])


@pytest.mark.parametrize("dim", [3, 64])
def test_parts_of_large_tables_begin_as_the_whole(dim, monkeypatch):
    from jaxtbe.model import table as tables
    from jaxtbe.sharding import init

    monkeypatch.setattr(tables, "_BLOCK_ELEMENTS", 7 * dim)
    table, key = jaxtbe.Table("t", rows=60, dim=dim), jax.random.key(3)
    part = jax.jit(init._uniform_part, static_argnums=(1, 3))
    for parts in (1, 2, 4, 12):
        rows = 60 // parts
        made = [part(key, table, jnp.int32(p * rows), rows) for p in range(parts)]
        np.testing.assert_array_equal(np.concatenate(made), table.init(key))


def raises(error, message):
    return pytest.raises(error, match="^" + re.escape(message))


def test_messages():
    mesh, shard = one_device_mesh(), "jaxtbe.EmbeddingBags.shard: "
    with raises(TypeError, shard + "mesh: expected a jax.sharding.Mesh, got int. Make one with jax.make_mesh."):
        make().shard(3)
    with raises(ValueError, shard + "axis: expected axes among ('data',), got ['x']."):
        make().shard(mesh, axis="x")
    with raises(ValueError, shard + "placements: expected tables among ['t'], got ['u']."):
        make().shard(mesh, {"u": "rows"})
    with raises(ValueError, shard + "table 't': expected 'rows' or 'replicated', got 'columns'."):
        make().shard(mesh, {"t": "columns"})
    with raises(ValueError, shard + "peer_capacity: expected tables among ['t'], got ['u']."):
        make().shard(mesh, peer_capacity={"u": 3})
    with raises(ValueError, shard + "peer_capacity of table 't': expected a positive number of rows, got 0."):
        make().shard(mesh, peer_capacity={"t": 0})
    with raises(
        ValueError, shard + "peer_capacity of table 't': expected a table that is split, got a replicated one."
    ):
        make().shard(mesh, {"t": "replicated"}, peer_capacity={"t": 3})
    for method, args in (("shardings", (0,)), ("global_bags", (None,))):
        with raises(ValueError, f"jaxtbe.EmbeddingBags.{method}: EmbeddingBags: expected one over a mesh"):
            getattr(make(), method)(*args)


def test_messages_of_uneven_parts(monkeypatch):
    from jaxtbe.sharding import Sharding
    from jaxtbe.sharding.batch import split_bags
    from jaxtbe.sharding.lookup import check_batch_size

    mesh, shard = one_device_mesh(), "jaxtbe.EmbeddingBags.shard: table 't': expected "
    monkeypatch.setattr(Sharding, "devices", 3)
    with raises(ValueError, shard + "rows that 3 devices share evenly, got 8. Use 9, or place it replicated."):
        make().shard(mesh)
    with raises(ValueError, shard + "a number of buckets that 3 devices divide, got 4. Choose buckets"):
        make(rows=12, zch=jaxtbe.Zch(buckets=4)).shard(mesh)
    with raises(ValueError, "jaxtbe.EmbeddingBags: batch: expected samples that 3 devices share evenly, got 4."):
        check_batch_size(make(rows=9).shard(mesh).spec.placement, 4)
    bags = make().bags({"f": [[1, 2], [3], [], []]})
    with raises(ValueError, "jaxtbe.EmbeddingBags.global_bags: batch: expected samples that 3 devices share evenly"):
        split_bags(bags, 3)
    with raises(ValueError, "jaxtbe.EmbeddingBags.global_bags: capacity: expected at least 3, got 2."):
        split_bags(bags, 2, capacity=2)
    with raises(ValueError, "jaxtbe.EmbeddingBags: batch: expected an ordinary one, got one in 2 parts."):
        make()(make().init(jax.random.key(0)), split_bags(bags, 2))
