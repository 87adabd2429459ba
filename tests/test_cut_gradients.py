"""A gradient or report whose arrays were cut or replaced is refused before a kernel reads past their end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe


def setting(implementation):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", 10, 4)],
        [jaxtbe.Feature("x", "t"), jaxtbe.Feature("y", "t", pooling="none", max_length=2)],
        implementation=implementation,
    )
    params = jaxtbe.EmbeddingParams({"t": jnp.ones((10, 4))})
    ids = {"x": [[1, 2], [3]], "y": [[4], [5]]}
    bags = emb.bags(ids, id_weights=jax.tree.map(float, ids), update_mask=jax.tree.map(bool, ids))
    grad = jaxtbe.grad(lambda p: sum(jnp.sum(a) for a in emb(p, bags).values()))(params)
    return grad, params


def cut_sealed(grad, name, change=lambda x: x[:-1]):
    share = grad.lookups[0]
    sealed = {**share.sealed, name: change(share.sealed[name])}
    return dataclasses.replace(grad, lookups=(dataclasses.replace(share, sealed=sealed),))


def cut_gradient(grad, feature, change):
    share = grad.lookups[0]
    d_acts = {**share.d_acts, feature: change(share.d_acts[feature])}
    return dataclasses.replace(grad, lookups=(dataclasses.replace(share, d_acts=d_acts),))


CASES = {
    "id_weights": (
        lambda g: cut_sealed(g, "id_weights"),
        r"lookup of features \('x', 'y'\): expected id_weights of shape",
    ),
    "update_mask": (
        lambda g: cut_sealed(g, "update_mask"),
        r"expected update_mask of shape \(16,\) as its ids, got \(15,\)",
    ),
    "ids": (lambda g: cut_sealed(g, "ids"), r"expected id_weights of shape \(15,\) as its ids, got \(16,\)"),
    "offsets": (lambda g: cut_sealed(g, "offsets"), r"expected offsets of shape \(3,\), got \(4,\)"),
    "samples": (
        lambda g: cut_gradient(g, "x", lambda d: d[:1]),
        r"gradient of feature 'x': expected shape \(2, 4\), that of its activations, got \(1, 4\)",
    ),
    "columns": (
        lambda g: cut_gradient(g, "y", lambda d: d[:, :1]),
        r"gradient of feature 'y': expected shape \(2, 2, 4\)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cut_gradients(case, implementation):
    grad, params = setting(implementation)
    change, message = CASES[case]
    cut = change(grad)
    for use in (lambda: update(cut, params), lambda: jaxtbe.optim.global_norm(cut)):
        with pytest.raises(ValueError, match=rf"^jaxtbe\.optim: .*{message}"):
            use()


def update(grad, params):
    tx = jaxtbe.optim.adam(0.1)
    return tx.update(grad, tx.init(params), params)


def test_the_gradient_as_it_was_taken(implementation):
    grad, params = setting(implementation)
    update(grad, params)


@pytest.mark.parametrize("initializer", [None, jax.nn.initializers.normal(1.0)])
def test_cut_reports(initializer, implementation):
    table = jaxtbe.Table("t", 10, 4, zch=jaxtbe.Zch(), initializer=initializer)
    emb = jaxtbe.EmbeddingBags([table], [jaxtbe.Feature("x", "t")], implementation=implementation)
    params = jaxtbe.EmbeddingParams({"t": jnp.ones((10, 4))})
    _, _, reports = emb.remap(emb.init_zch(), emb.bags({"x": [[np.int64(1), np.int64(2)]]}), now=0)
    emb.reset_rows(params, None, reports)
    for field in ("evicted", "evicted_ids"):
        cut = dataclasses.replace(reports["t"], **{field: getattr(reports["t"], field)[:1]})
        with pytest.raises(
            ValueError, match=r"report of table 't': expected evicted .* and evicted_ids .*, got shapes"
        ):
            emb.reset_rows(params, None, {"t": cut})
    with pytest.raises(ValueError, match=r"reset_rows: reports: expected tables among \['t'\], got \['u'\]"):
        emb.reset_rows(params, None, {"u": reports["t"]})
