"""Ids as other libraries hold them: masked arrays, Arrow, pandas, polars, awkward, SciPy, and lists of anything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe

FEATURE = [jaxtbe.Feature("x", table="t")]
PLAIN = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=50, dim=2)], FEATURE)
RAW = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=50, dim=2, zch=jaxtbe.Zch())], FEATURE)


def held(bags):
    """The ids within bags, and the lengths of these."""
    ids = jaxtbe.unpack_ids(bags.ids) if bags.ids.ndim == 2 else bags.ids
    return ids[: bags.offsets[-1]].tolist(), np.diff(bags.offsets).tolist()


def pyarrow():
    return pytest.importorskip("pyarrow")


def pandas():
    return pytest.importorskip("pandas")


def csr():
    return pytest.importorskip("scipy.sparse").csr_matrix(np.array([[0, 2.0, 0], [0, 0, 0], [1, 0, 3]]))


def arrow_list(length):
    return pyarrow().list_(pyarrow().int64(), length)


RAGGED = [[1, 2], [], [3]]
COLUMNS = {
    "masked matrix": (lambda: np.ma.masked_array([[5, 7], [9, 3]], [[0, 0], [0, 1]]), [5, 7, 9], [2, 1]),
    "masked within": (lambda: np.ma.masked_array([[5, 7], [9, 3]], [[1, 0], [0, 0]]), [-1, 7, 9, 3], [2, 2]),
    "masked numbers": (lambda: np.ma.masked_array([5, 7], [1, 0]), [-1, 7], [1, 1]),
    "masked without a sign": (lambda: np.ma.masked_array(np.array([5, 7], np.uint8), [1, 0]), [-1, 7], [1, 1]),
    "masked pair": (lambda: (np.ma.masked_array([5, 7], [1, 0]), [2, 0]), [-1, 7], [2, 0]),
    "arrow lists": (lambda: pyarrow().array([[1, 2], None, [], [3, None]]), [1, 2, 3, -1], [2, 0, 0, 2]),
    "arrow slice": (lambda: pyarrow().array([[9], [1, 2], [], [3]])[1:], [1, 2, 3], [2, 0, 1]),
    "arrow large lists": (lambda: pyarrow().array(RAGGED, pyarrow().large_list(pyarrow().int32())), [1, 2, 3], [2, 0, 1]),
    "arrow chunks": (lambda: pyarrow().chunked_array([pyarrow().array(RAGGED)] * 2), [1, 2, 3] * 2, [2, 0, 1] * 2),
    "arrow table": (lambda: pyarrow().table({"c": RAGGED})["c"], [1, 2, 3], [2, 0, 1]),
    "arrow fixed lists": (lambda: pyarrow().array([[1, 2], None, [3, 4]], arrow_list(2)), [1, 2, 3, 4], [2, 0, 2]),
    "arrow numbers": (lambda: pyarrow().array([1, None, 3]), [1, -1, 3], [1, 1, 1]),
    "pandas lists": (lambda: pandas().Series(RAGGED), [1, 2, 3], [2, 0, 1]),
    "pandas lists with None": (lambda: pandas().Series([[1], None, [2, 3]]), [1, 2, 3], [1, 0, 2]),
    "pandas numbers": (lambda: pandas().Series([4, 5]), [4, 5], [1, 1]),
    "pandas Int64 with NA": (lambda: pandas().Series([1, None, 3], dtype="Int64"), [1, -1, 3], [1, 1, 1]),
    "pandas arrow lists": (lambda: pandas().Series(RAGGED, dtype=pandas().ArrowDtype(arrow_list(-1))), [1, 2, 3], [2, 0, 1]),
    "pandas pair": (lambda: (pandas().Series([1, 2, 3]), pandas().Series([2, 0, 1])), [1, 2, 3], [2, 0, 1]),
    "polars lists": (lambda: pytest.importorskip("polars").Series(RAGGED), [1, 2, 3], [2, 0, 1]),
    "polars numbers": (lambda: pytest.importorskip("polars").Series([1, None]), [1, -1], [1, 1]),
    "awkward": (lambda: pytest.importorskip("awkward").Array(RAGGED), [1, 2, 3], [2, 0, 1]),
    "SciPy": (csr, [1, 0, 2], [1, 0, 2]),
    "object arrays": (lambda: np.array([np.array([1, 2]), np.array([3])], dtype=object), [1, 2, 3], [2, 1]),
    "object lists": (lambda: np.array([[1, 2], [3]], dtype=object), [1, 2, 3], [2, 1]),
    "object numbers": (lambda: np.array([1, None], dtype=object), [1, -1], [1, 1]),
    "unequal jax arrays": (lambda: [jnp.array([1, 2]), jnp.array([3])], [1, 2, 3], [2, 1]),
    "jax scalars": (lambda: [jnp.int32(1), jnp.int32(2)], [1, 2], [1, 1]),
    "list of Series": (lambda: [pandas().Series([1, 2]), pandas().Series([3])], [1, 2, 3], [2, 1]),
    "list with None": (lambda: [[1], None, [2]], [1, 2], [1, 0, 1]),
    "range": (lambda: range(2), [0, 1], [1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_as_people_have_them(name):
    make, ids, lengths = COLUMNS[name]
    assert held(PLAIN.bags({"x": make()})) == (ids, lengths)
    assert held(RAW.bags({"x": make()})) == (ids, lengths)


BIG = 2**63 + 5


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ([np.array([1]), np.array([BIG], np.uint64)], [1, BIG - 2**64]),
        ([1, BIG], [1, BIG - 2**64]),
        ([[1, BIG], [-5]], [1, BIG - 2**64, -5]),
        ([[-(2**40), BIG]], [-(2**40), BIG - 2**64]),
        (np.ma.masked_array(np.array([1, BIG], np.uint64), [1, 0]), [-1, BIG - 2**64]),
        (np.array([BIG], np.uint64), [BIG - 2**64]),
    ],
)
def test_raw_ids_keep_all_their_bits(data, ids):
    assert held(RAW.bags({"x": data}))[0] == ids


@pytest.mark.parametrize("data", [
    [1, 2**63], [[1, 2**40]], [np.array([1]), np.array([BIG], np.uint64)],
    np.ma.masked_array(np.array([1, BIG], np.uint64), [1, 0]), np.array([BIG], np.uint64),
])  # fmt: skip
def test_row_numbers_that_no_int32_holds_are_refused(data):
    with pytest.raises(ValueError, match="feature 'x': expected row numbers that fit int32, got an id"):
        PLAIN.bags({"x": data})


def test_a_large_id_beside_raw_ids_is_named():
    """A batch with raw ids has 64 bits for all features: the row numbers of other tables are checked all the same."""
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=8, dim=2, zch=jaxtbe.Zch()), jaxtbe.Table("u", rows=8, dim=2)],
        [jaxtbe.Feature("x", table="t"), jaxtbe.Feature("y", table="u")],
    )
    with pytest.raises(ValueError, match=f"feature 'y': expected row numbers that fit int32, got an id {2**40}"):
        emb.bags({"x": [2**40], "y": [2**40]})
    bags = emb.bags({"x": [2**40], "y": [3]})
    raw = bags.replace(
        ids=jaxtbe.pack_ids(np.where(jaxtbe.unpack_ids(bags.ids) == 3, 2**40, jaxtbe.unpack_ids(bags.ids)))
    )
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.sgd(0.1)
    grads = jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, emb.remap(emb.init_zch(), raw)[1])))(params)
    _, state = tx.update(grads, tx.init(params), params)
    with pytest.raises(
        ValueError, match=r"feature 'y' of table 'u': expected ids below .*, got 1 .* past every int32"
    ) as caught:
        jaxtbe.check(state)
    assert "peer_capacity" not in str(caught.value)


def test_weights_in_the_columns_form():
    bags = PLAIN.bags({"x": csr()}, id_weights={"x": csr()})
    assert bags.id_weights[:3].tolist() == [2, 1, 3]
    arrow = pyarrow().array(RAGGED)
    bags = PLAIN.bags({"x": arrow}, id_weights={"x": pyarrow().array([[0.5, 1.5], [], [2.5]])})
    assert bags.id_weights[:3].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(("weights", "error", "message"), [
    ([[1.0, None], [], [2.0]], TypeError, "id_weights of feature 'x': expected float32, got object"),
    ([["a", "b"], [], ["c"]], TypeError, "id_weights of feature 'x': expected float32, got str32"),
    ((np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]), [2, 0, 1]), TypeError, "expected id_weights without gaps, got 1 missing"),
])  # fmt: skip
def test_weights_that_are_no_numbers(weights, error, message):
    with pytest.raises(error, match=message):
        PLAIN.bags({"x": RAGGED}, id_weights={"x": weights})


@pytest.mark.parametrize("capacity", [17.5, "16", True])
def test_a_capacity_is_a_whole_number(capacity):
    with pytest.raises(TypeError, match="capacity: expected a whole number or None, got"):
        PLAIN.bags({"x": RAGGED}, capacity=capacity)


def test_batches_are_built_outside_of_jit():
    with pytest.raises(TypeError, match="expected NumPy arrays or lists, got an array traced by JAX"):
        jax.jit(lambda x: PLAIN.bags({"x": x}).ids)(jnp.arange(3))


@pytest.mark.parametrize(("keep", "kept"), [("first", [1, 2, 7, 8]), ("last", [2, 3, 8, 9])])
def test_which_ids_of_a_long_history_are_kept(implementation, keep, kept):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=50, dim=2)],
        [jaxtbe.Feature("x", table="t", pooling="none", max_length=2, keep=keep), jaxtbe.Feature("y", table="t")],
        implementation=implementation,
    )
    ids, weights = [[1, 2, 3], [5], [], [7, 8, 9]], [[1.0, 2.0, 3.0], [5.0], [], [7.0, 8.0, 9.0]]
    bags = emb.bags(
        {"x": ids, "y": [0, 0, 0, 0]}, id_weights={"x": weights}, update_mask={"x": [[True] * len(b) for b in ids]}
    )
    want = [*kept[:2], 5, *kept[2:]]
    if keep == "last":
        assert bags.ids[:5].tolist() == want and bags.id_weights[:5].tolist() == want
    assert bags.cut == {"x": 2} and "cut from x: 2 ids past max_length" in bags.describe()
    params = emb.init(jax.random.key(0))
    acts = emb(params, bags)["x"]
    table = np.asarray(params.tables["t"])
    np.testing.assert_allclose(acts[0], table[kept[:2]] * np.array(kept[:2])[:, None], rtol=1e-6)
    np.testing.assert_allclose(acts[3], table[kept[2:]] * np.array(kept[2:])[:, None], rtol=1e-6)
    grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))(params)
    tx = jaxtbe.optim.sgd(1.0)
    updates, _ = tx.update(grads, tx.init(params), params)
    moved = np.abs(table - updates.tables["t"].value).sum(axis=1) > 1e-3
    assert np.flatnonzero(moved).tolist() == sorted(want)
    assert emb.bags({"x": [[1], [2]], "y": [0, 0]}).cut == {}
    if keep == "first":
        return
    lengths = (np.array([1, 2, 3, 5, 7, 8, 9]), np.array([3, 1, 0, 3]))
    assert emb.bags({"x": lengths, "y": [0] * 4}).ids[:5].tolist() == want
    matrix = np.array([[1, 2, 3], [5, -1, -1], [-1, -1, -1], [7, 8, 9]])
    assert emb.bags({"x": matrix, "y": [0] * 4}, id_weights={"x": matrix * 1.0}).id_weights[:5].tolist() == want


def test_a_batch_made_by_hand_keeps_to_max_length():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=9, dim=2)], [jaxtbe.Feature("x", "t", pooling="none", max_length=2, keep="last")]
    )
    bags = jaxtbe.Bags(np.arange(3, dtype=np.int32), np.array([0, 3], np.int32), None, None, ("x",), 1)
    with pytest.raises(ValueError, match="feature 'x': expected bags of at most 2 ids with keep='last', got 3"):
        bags.validate(emb)


def test_keep_goes_with_unpooled_features():
    for options in ({"keep": "last"}, {"keep": "newest", "pooling": "none", "max_length": 2}):
        with pytest.raises(ValueError, match="feature 'x': expected keep 'first', or 'last' with pooling 'none'"):
            jaxtbe.Feature("x", "t", **options)
