"""`summary`, `describe` and the reprs: they tell sizes, and show no array."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

EMB = jaxtbe.EmbeddingBags(
    tables=[
        jaxtbe.Table("user", rows=2048, dim=16, zch=jaxtbe.Zch(policy="lru")),
        jaxtbe.Table("item", rows=100, dim=3, dtype=jnp.bfloat16, duplicates="first"),
        jaxtbe.Table("spare", rows=5, dim=2),
    ],
    features=[
        jaxtbe.Feature("user_id", table="user"),
        jaxtbe.Feature("last", table="item", pooling="none", max_length=4, access="read_only"),
    ],
)
PARAMS = EMB.init(jax.random.key(0))
TX = jaxtbe.optim.per_table({"item": jaxtbe.optim.sgd(0.1)}, default=jaxtbe.optim.rowwise_adagrad(0.1))


def rows_of(text):
    """First word of each line to the others."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_summary_of_tables_and_features():
    text = EMB.summary()
    rows = rows_of(text)
    assert rows["user"] == [
        "2,048",
        "16",
        "f32",
        "128.0",
        "KiB",
        "24.0",
        "KiB",
    ]  # 8 bytes of identity and 4 of last_seen
    assert rows["item"][:3] == ["100", "3", "bf16"] and rows["item"][3:5] == ["600", "B"]
    assert rows["total"][0] == "2,153"
    assert rows["user_id"] == ["user", "sum", "read_write", "f32[B,16]"]
    assert rows["last"] == ["item", "none", "read_only", "f32[B,4,3]"]
    assert "no feature reads spare" in text and "policy='lru'" in text and "the first occurrence wins" in text


def test_summary_with_states():
    tree = {"emb": PARAMS, "w": jnp.zeros(3)}
    tx = optax.partition({"emb": TX, "w": optax.adam(1e-3)}, {"emb": "emb", "w": "w"})
    text = EMB.summary(tree, tx.init(tree))
    assert "state of user: {sum_of_squares: f32[2048]}" in text and "state of item: none" in text
    header, _, user, *_ = text.splitlines()
    assert header.split()[-2:] == ["state", "bytes"]
    assert user.split()[-2:] == ["8.0", "KiB"]
    shapes = jax.eval_shape(lambda: (tree, tx.init(tree)))
    assert EMB.summary(*shapes) == text


def test_summary_over_devices():
    spread = jax.sharding.NamedSharding(jax.sharding.AbstractMesh((4,), ("data",)), jax.sharding.PartitionSpec("data"))
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=4096, dim=8)], [jaxtbe.Feature("f", table="t")])
    assert "a device" not in emb.summary(emb.init(jax.random.key(0)))
    params = jaxtbe.EmbeddingParams({"t": jax.ShapeDtypeStruct((4096, 8), jnp.float32, sharding=spread)})
    header, _, row, *_ = emb.summary(params).splitlines()
    assert header.endswith("bytes a device") and row.split()[-2:] == ["32.0", "KiB"]


def test_summary_messages():
    with pytest.raises(
        TypeError, match=r"summary: params: expected jaxtbe.EmbeddingParams with the tables .* Pass what"
    ):
        EMB.summary({"w": jnp.zeros(3)})
    with pytest.raises(ValueError, match=r"summary: opt_state: expected an optimizer state .* Pass the state"):
        EMB.summary(opt_state=optax.sgd(0.1).init({"w": jnp.zeros(3)}))


IDS = {"user_id": np.array([2**40, -1, 7]), "last": [[1, 2, 3], [], [4]]}


def test_describe_counts():
    bags = EMB.bags(IDS, update_mask={"last": [[True, False, True], [], [True]]})
    text = bags.describe()
    rows = rows_of(text)
    assert text.startswith("3 samples, 16 positions: ids u32[16,2], offsets i32[7], update_mask bool[16]")
    assert rows["user_id"] == ["2", "3", "0", "1", "1.00", "1", "0"]
    assert rows["last"] == ["4", "3", "1", "0", "1.33", "3", "1"]
    assert text.endswith("padding: 9 of 16 positions (56%)")
    assert jax.device_put(bags).describe() == text


def test_describe_row_numbers():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=9, dim=2)], [jaxtbe.Feature("f", table="t")])
    text = emb.bags({"f": np.array([[1, -1, 3], [-1, -1, -1]])}).describe()
    assert rows_of(text)["f"] == ["2", "2", "1", "1", "1.50", "3"]


def test_describe_within_jit_tells_shapes():
    told = []

    @jax.jit
    def step(bags):
        told.append(bags.describe())
        return bags.ids

    step(EMB.bags(IDS))
    assert "ids u32[16,2]" in told[0] and "no values to count" in told[0] and "user_id" in told[0]


def test_describe_parts_over_devices():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=8, dim=2)], [jaxtbe.Feature("f", table="t")])
    over_one = emb.shard(jax.make_mesh((1,), ("data",)))
    bags = over_one.global_bags(over_one.bags({"f": [[1, 2], [3], [], [4]]}), capacity=6)
    assert rows_of(bags.describe())["f"] == ["4", "4", "1", "0", "1.00", "2"]
    from jaxtbe.sharding.batch import split_bags

    halves = split_bags(emb.bags({"f": [[1, 2], [3], [], [4]]}), 2, capacity=3)
    assert rows_of(halves.describe())["f"] == ["4", "4", "1", "0", "1.00", "2"]
    assert halves.describe().endswith("padding: 2 of 6 positions (33%)")


def test_reprs_of_configurations_are_the_calls_that_make_them():
    names = {"Table": jaxtbe.Table, "Feature": jaxtbe.Feature, "Zch": jaxtbe.Zch, "EmbeddingBags": jaxtbe.EmbeddingBags}
    for config in (*EMB.tables, *EMB.features, jaxtbe.Zch(), EMB):
        assert eval(repr(config), names) == config
    assert repr(EMB.tables[1]) == "Table('item', rows=100, dim=3, dtype='bfloat16', duplicates='first')"
    assert repr(EMB.features[0]) == "Feature('user_id', table='user')"


def test_reprs_show_no_arrays():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=50, dim=4)], [jaxtbe.Feature("f", table="t")])
    params, bags = emb.init(jax.random.key(0)), emb.bags({"f": [1, 2, 3]})
    state = jaxtbe.optim.adam(0.1).init(params)
    grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["f"]))(params)
    updates, _ = jaxtbe.optim.sgd(0.1).update(grads, jaxtbe.optim.sgd(0.1).init(params), params)
    raw = EMB.bags(IDS)
    zch_state, _, reports = EMB.remap(EMB.init_zch(), raw)
    for thing, wanted in (
        (params, "EmbeddingParams({t: f32[50,4]})"),
        (updates, "EmbeddingParams({t: Overwrite(f32[50,4])})"),
        (grads, "EmbeddingGrad(1 features x 3 samples)"),
        (
            grads.lookups[0],
            "LookupGrad({f: f32[3,4]}, {faults: i32[1,2], ids: i32[16], offsets: i32[4], digest: u32[2]})",
        ),
        (state, "TableOptimizerState(count=i32[], tables={t: {mu: f32[50,4], nu: f32[50,4]}})"),
        (zch_state["user"], "ZchState(identities=u32[2048,2], last_seen=i32[2048], counts=None, occupancy=i32[])"),
    ):
        assert repr(thing) == wanted
    assert repr(reports["user"]).startswith("ZchReport(status=i8[16], evicted=i32[")
    assert repr(jax.eval_shape(lambda: params)) == "EmbeddingParams({t: f32[50,4]})"


def test_aids_are_imported_when_they_are_used():
    program = (
        "import sys, jaxtbe\n"
        "aids = {'jaxtbe.debug', 'jaxtbe.summary'}\n"
        "assert not aids & set(sys.modules), aids & set(sys.modules)\n"
        "jaxtbe.debug.check_in_place\n"
        "assert 'jaxtbe.debug' in sys.modules and 'debug' in dir(jaxtbe)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
