"""Embedding tables in an Equinox model: sparse gradients for the tables, optax's Adam for the rest, one optimizer state.

A two-tower model on MovieLens-100K as an `eqx.Module`. Its tables are a field that holds what `EmbeddingBags.init` made.
`eqx.partition` gives the parameters as a tree, the tables as one leaf; `jaxtbe.value_and_grad` and `optax.partition` do the rest.

    pip install equinox tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/equinox_model.py
"""

import argparse
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe
from ratings import MAX_HISTORY, Dataset, load_ratings
from report import auc, timed

DIM, BATCH = 16, 512


class TwoTower(eqx.Module):
    """The user's tower over the films that they rated, times the film's row."""

    emb: jaxtbe.EmbeddingBags = eqx.field(static=True)
    tables: jaxtbe.EmbeddingParams
    tower: eqx.nn.MLP
    linear: eqx.nn.Linear

    def __init__(self, emb: jaxtbe.EmbeddingBags, key: jax.Array):
        of_tables, of_tower, of_linear = jax.random.split(key, 3)
        self.emb = emb
        self.tables = emb.init(of_tables)
        self.tower = eqx.nn.MLP(DIM + 2, DIM, width_size=32, depth=1, key=of_tower)
        self.linear = eqx.nn.Linear(2, 1, key=of_linear)

    def __call__(self, bags: jaxtbe.Bags, user_stats: jax.Array) -> jax.Array:
        acts = self.emb(self.tables, bags)  # the whole batch at once; the towers are mapped over it
        user = jax.vmap(self.tower)(jnp.concatenate([acts["history"], user_stats], axis=1))
        return jnp.sum(user * acts["item"], axis=1) + jax.vmap(self.linear)(user_stats)[:, 0]


def is_table(x) -> bool:
    return isinstance(x, jaxtbe.EmbeddingParams)


def is_parameter(x) -> bool:
    return is_table(x) or eqx.is_inexact_array(x)


def labels(params):
    """For each parameter which optimizer it gets."""
    return jax.tree.map(lambda x: "tables" if is_table(x) else "dense", params, is_leaf=is_table)


def make_step(static: TwoTower, tx: optax.GradientTransformation):
    def loss_fn(params, bags, user_stats, liked):
        logits = eqx.combine(static, params)(bags, user_stats)  # in this order: `static` has None where the tables go
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, bags, user_stats, liked):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, user_stats, liked)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


@timed
def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description="An Equinox model on MovieLens-100K.")
    parser.add_argument("--quick", action="store_true", help="one epoch")
    epochs = 1 if parser.parse_args(argv).quick else 4

    data = Dataset(load_ratings())
    items, liked = data.ratings.item, data.ratings.liked.astype(np.float32)
    rows = int(items.max()) + 1
    emb = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("item", rows=rows, dim=DIM), jaxtbe.Table("rated", rows=2 * rows, dim=DIM)],
        features=[jaxtbe.Feature("item", table="item"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )
    params, static = eqx.partition(TwoTower(emb, jax.random.key(0)), is_parameter, is_leaf=is_table)
    tx = optax.partition(
        {"tables": jaxtbe.optim.rowwise_adagrad(0.05), "dense": optax.adam(2e-3)},
        lambda _: labels(params),  # a model can be called, and so optax would call a tree of labels
    )
    opt_state, step = tx.init(params), make_step(static, tx)

    def make_bags(events):
        ids = {"item": items[events], "history": data.history(events)}
        return emb.bags(ids, capacity=len(events) * (1 + MAX_HISTORY))

    for events in tqdm(data.batches(epochs, BATCH), desc="training", unit="step"):
        params, opt_state, _ = step(params, opt_state, make_bags(events), data.user_stats[events], liked[events])
    jaxtbe.check(opt_state)

    model = eqx.combine(static, params)
    logits = eqx.filter_jit(model)(make_bags(data.future), data.user_stats[data.future])
    result = auc(liked[data.future], np.asarray(logits))
    print(f"AUC on the held-out future: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
