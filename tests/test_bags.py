"""The four forms of input, padding, and what a batch is."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe
from jaxtbe.batch.build import round_capacity

EMB = jaxtbe.EmbeddingBags(
    [jaxtbe.Table("t", rows=100, dim=4)], [jaxtbe.Feature("a", table="t"), jaxtbe.Feature("b", table="t")]
)
LISTS = [[5, 6], [], [7, 8, 9]]


@pytest.mark.parametrize(
    "form",
    [
        LISTS,
        [np.array(x, np.int64) for x in LISTS],
        (np.array([5, 6, 7, 8, 9]), np.array([2, 0, 3])),
        ([5, 6, 7, 8, 9], [2, 0, 3]),
        np.array([[5, 6, -1], [-1, -1, -1], [7, 8, 9]]),
        np.array([[5, 6, -1], [-1, -1, -1], [7, 8, 9]], np.int16),
    ],
    ids=["lists", "arrays", "lengths", "list lengths", "matrix", "int16 matrix"],
)
def test_forms(form):
    bags = EMB.bags({"a": form, "b": np.array([1, 2, 3], np.uint8)})
    assert bags.ids.dtype == np.int32
    np.testing.assert_array_equal(bags.ids[:8], [5, 6, 7, 8, 9, 1, 2, 3])
    np.testing.assert_array_equal(bags.ids[8:], -1)
    np.testing.assert_array_equal(bags.offsets, [0, 2, 2, 5, 6, 7, 8])
    assert bags.batch_size == 3
    assert bags.features == ("a", "b")
    bags.validate(EMB)


def test_an_absent_id_inside_a_row_keeps_its_place():
    bags = EMB.bags({"a": np.array([[5, -1, 6], [-1, 7, -1]]), "b": np.array([1, -1])})
    np.testing.assert_array_equal(bags.ids[:7], [5, -1, 6, -1, 7, 1, -1])
    np.testing.assert_array_equal(bags.offsets, [0, 3, 5, 6, 7])


def test_weights_and_masks_in_any_form():
    ids = {"a": np.array([[5, 6, -1], [7, -1, -1]]), "b": np.array([1, 2])}
    matrix = EMB.bags(ids, id_weights={"a": np.array([[0.5, 2, 9], [3, 9, 9]])})
    np.testing.assert_array_equal(matrix.id_weights[:5], np.array([0.5, 2, 3, 1, 1], np.float32))
    lists = EMB.bags(ids, update_mask={"a": [[True, False], [True]]})
    np.testing.assert_array_equal(lists.update_mask[:5], [True, False, True, True, True])
    pair = EMB.bags(ids, id_weights={"b": (np.array([4.0, 5.0]), np.array([1, 1]))})
    np.testing.assert_array_equal(pair.id_weights[:5], np.array([1, 1, 1, 4, 5], np.float32))


def test_empty_bags_only():
    bags = EMB.bags({"a": [[], []], "b": np.array([[-1], [-1]])})
    assert bags.offsets[-1] == 0
    acts = EMB(EMB.init(jax.random.key(0)), bags)
    np.testing.assert_array_equal(acts["a"], np.zeros((2, 4)))


def test_batches_pickle():
    bags = EMB.bags({"a": LISTS, "b": [1, 2, 3]}, id_weights={"a": [[1.0, 2.0], [], [1.0, 1.0, 1.0]]})
    again = pickle.loads(pickle.dumps(bags))
    for x, y in zip(jax.tree.leaves(bags), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(x, y)
    assert jax.tree.structure(bags) == jax.tree.structure(again)


def test_capacities_are_few_and_waste_little():
    sizes = {round_capacity(n) for n in range(1, 10_000)}
    assert len(sizes) < 45
    for n in range(1, 10_000):
        assert n <= round_capacity(n) <= max(16, 1.26 * n)


def test_equal_capacities_do_not_recompile():
    traces = []

    @jax.jit
    def lookup(params, bags):
        traces.append(1)
        return EMB(params, bags)

    params = EMB.init(jax.random.key(0))
    for lengths in ([1, 2, 3], [3, 0, 2], [0, 0, 1]):
        lookup(params, EMB.bags({"a": [[1] * n for n in lengths], "b": [1, 2, 3]}))
    assert len(traces) == 1


def test_raw_ids_pack_without_a_copy():
    ids = np.array([0, -1, 2**63 - 1, -(2**63), 42], np.int64)
    packed = jaxtbe.pack_ids(ids)
    assert packed.dtype == np.uint32
    assert packed.shape == (5, 2)
    assert np.shares_memory(packed, ids)
    np.testing.assert_array_equal(packed[2], [0xFFFFFFFF, 0x7FFFFFFF])
    np.testing.assert_array_equal(jaxtbe.unpack_ids(packed), ids)


def test_repr():
    bags = EMB.bags({"a": LISTS, "b": [1, 2, 3]}, id_weights={"b": [1.0, 1.0, 1.0]})
    assert repr(bags) == "Bags(2 features x 3 samples, capacity 16 ids, with id_weights)"


def test_a_batch_is_a_jit_argument_and_a_vmap_free_pytree():
    bags = EMB.bags({"a": LISTS, "b": [1, 2, 3]})
    doubled = jax.tree.map(lambda x: x, bags)
    assert doubled.features == bags.features
    assert jax.jit(lambda b: jnp.sum(b.ids))(bags) == np.sum(bags.ids)


def test_none_is_a_feature_without_ids():
    bags = EMB.bags({"a": LISTS, "b": None}, id_weights={"a": [[1.0, 2.0], [], [3.0, 4.0, 5.0]], "b": None})
    want = EMB.bags({"a": LISTS, "b": [[], [], []]}, id_weights={"a": [[1.0, 2.0], [], [3.0, 4.0, 5.0]]})
    for got, expected in zip(jax.tree.leaves(bags), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert bags.batch_size == 3 and EMB.bags({"a": None, "b": np.array([1])}).offsets.tolist() == [0, 0, 1]
