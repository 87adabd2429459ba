"""Initial tables: one program a shape, keys, initializers that pickle and compare."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe


def make(count: int, **table):
    names = [f"t{i}" for i in range(count)]
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table(n, rows=8, dim=3, **table) for n in names], [jaxtbe.Feature(f"f_{n}", table=n) for n in names]
    )


def mesh():
    return jax.make_mesh((1,), ("data",), devices=jax.devices()[:1], axis_types=(jax.sharding.AxisType.Auto,))


@pytest.mark.parametrize("over", [lambda emb: emb, lambda emb: emb.shard(mesh())], ids=["one device", "mesh"])
def test_tables_of_one_shape_share_a_program(over):
    traced = []

    def initializer(key, shape, dtype):
        traced.append(shape)
        return jax.random.normal(key, shape, dtype)

    emb = over(make(20, initializer=initializer))
    params = emb.init(jax.random.key(0))
    assert traced == [(8, 3)]
    again = emb.init(jax.random.key(1))
    assert traced == [(8, 3)]
    values = [np.asarray(t) for p in (params, again) for t in p.tables.values()]
    assert len({v.tobytes() for v in values}) == 40


def test_a_table_depends_on_its_name_and_key_alone():
    one, many = make(1).init(jax.random.key(3)), make(5).init(jax.random.key(3))
    np.testing.assert_array_equal(one.tables["t0"], many.tables["t0"])
    np.testing.assert_array_equal(one.tables["t0"], make(1).shard(mesh()).init(jax.random.key(3)).tables["t0"])
    old_keys = make(1).init(jax.random.PRNGKey(3))
    np.testing.assert_array_equal(one.tables["t0"], old_keys.tables["t0"])


@pytest.mark.parametrize("key", [0, "0", None, np.float32(1)])
@pytest.mark.parametrize("over", [lambda emb: emb, lambda emb: emb.shard(mesh())], ids=["one device", "mesh"])
def test_init_wants_a_key(over, key):
    with pytest.raises(TypeError, match=r"^jaxtbe.Table.init: table 't0': expected a key of jax.random.key, got"):
        over(make(1)).init(key)


def test_a_variable_of_nnx_is_told_to_give_its_value():
    from flax import nnx

    emb = make(1)
    params = nnx.Param(emb.init(jax.random.key(0)))
    bags = emb.bags({"f_t0": [1, 2]})
    with pytest.raises(
        TypeError, match=r"expected jaxtbe.EmbeddingParams, got Param. Pass what it holds, .get_value\(\)"
    ):
        emb(params, bags)
    assert emb(params.get_value(), bags)["f_t0"].shape == (2, 3)


@pytest.mark.parametrize(("name", "args", "options"), [
    ("normal", (0.1,), {}), ("normal", (), {"stddev": 0.1}), ("constant", (0.5,), {}), ("zeros", (), {}),
    ("variance_scaling", (1.0, "fan_in", "uniform"), {}), ("glorot_uniform", (), {}),
])  # fmt: skip
def test_named_initializers_pickle_and_compare(name, args, options):
    made = jaxtbe.initializer(name, *args, **options)
    assert made == jaxtbe.initializer(name, *args, **options) and hash(made) == hash(
        jaxtbe.initializer(name, *args, **options)
    )
    emb = make(2, initializer=made)
    assert pickle.loads(pickle.dumps(emb)) == emb == make(2, initializer=jaxtbe.initializer(name, *args, **options))
    plain = getattr(jax.nn.initializers, name)
    plain = plain if name == "zeros" else plain(*args, **options)
    want = make(2, initializer=plain).init(jax.random.key(0))
    got = pickle.loads(pickle.dumps(emb)).init(jax.random.key(0))
    np.testing.assert_array_equal(got.tables["t1"], want.tables["t1"])


def test_an_initializer_that_does_not_pickle_is_named():
    emb = make(1, initializer=jax.nn.initializers.normal(0.1))
    with pytest.raises(
        TypeError, match=r"^jaxtbe.Table: table 't0': expected an initializer that pickles, got .*Use jaxtbe.init"
    ):
        pickle.dumps(emb)
    assert pickle.loads(pickle.dumps(make(1))) == make(1)
    with pytest.raises(ValueError, match=r"expected a function of jax.nn.initializers, got 'nromal'"):
        jaxtbe.initializer("nromal", 0.1)


def test_public_names_alone_are_listed():
    for module in (jaxtbe, jaxtbe.optim, jaxtbe.ops, jaxtbe.zch, jaxtbe.sharding, jaxtbe.debug):
        names = [n for n in dir(module) if not n.startswith("_")]
        inner = [n for n in names if type(getattr(module, n)).__name__ == "module"]
        assert set(inner) <= {"debug", "migrate", "nnx", "ops", "optim", "sharding", "zch"}, (module.__name__, inner)
        assert not {"lazy_names", "TYPE_CHECKING"} & set(names)
    assert jnp is not None
