"""Huge pages change no value and no address."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxtbe


def test_values_and_addresses_stay():
    tree = {"large": jnp.arange(2**24, dtype=jnp.float32), "small": jnp.arange(10), "number": 3}
    before = tree["large"].unsafe_buffer_pointer()
    moved = jaxtbe.use_huge_pages(tree)
    assert 0 <= moved <= tree["large"].nbytes
    assert tree["large"].unsafe_buffer_pointer() == before
    np.testing.assert_array_equal(tree["large"], np.arange(2**24, dtype=np.float32))


def test_tables_still_change_in_place():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=2**18, dim=64)], [jaxtbe.Feature("x", table="t")])
    params = emb.init(jax.random.key(0))
    pointer = params.tables["t"].unsafe_buffer_pointer()
    jaxtbe.use_huge_pages(params)
    bags = emb.bags({"x": np.arange(8)})
    params = jax.jit(lambda p: emb.assign(p, bags, {"x": jnp.ones((8, 64))}), donate_argnums=0)(params)
    assert params.tables["t"].unsafe_buffer_pointer() == pointer
    np.testing.assert_array_equal(params.tables["t"][:8], 1)
