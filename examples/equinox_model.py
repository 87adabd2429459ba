"""Embedding tables in an Equinox model: sparse gradients for the tables, optax's Adam for the rest, one optimizer state.

A two-tower model on MovieLens-100K as an `eqx.Module`. Its tables are a field that holds what `EmbeddingBags.init` made.
`jaxtbe.filter_value_and_grad` takes the place of Equinox's, and `jaxtbe.optim.labels` gives the tables their optimizer.

    pip install equinox tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/equinox_model.py
"""

import argparse

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


def loss_fn(model, bags, user_stats, liked):
    return optax.sigmoid_binary_cross_entropy(model(bags, user_stats), liked).mean()


def make_step(tx: optax.GradientTransformation):
    @eqx.filter_jit(donate="all")
    def step(model, opt_state, bags, user_stats, liked):
        loss, grads = jaxtbe.filter_value_and_grad(loss_fn)(model, bags, user_stats, liked)
        updates, opt_state = tx.update(grads, opt_state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), opt_state, loss

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
    model = TwoTower(emb, jax.random.key(0))
    tx = optax.partition({"tables": jaxtbe.optim.rowwise_adagrad(0.05), "dense": optax.adam(2e-3)}, jaxtbe.optim.labels)
    opt_state, step = tx.init(eqx.filter(model, eqx.is_inexact_array)), make_step(tx)

    def make_bags(events):
        ids = {"item": items[events], "history": data.history(events)}
        return emb.bags(ids, capacity=len(events) * (1 + MAX_HISTORY))

    for events in tqdm(data.batches(epochs, BATCH), desc="training", unit="step"):
        model, opt_state, _ = step(model, opt_state, make_bags(events), data.user_stats[events], liked[events])
    jaxtbe.check(opt_state)

    logits = eqx.filter_jit(model)(make_bags(data.future), data.user_stats[data.future])
    result = auc(liked[data.future], np.asarray(logits))
    print(f"AUC on the held-out future: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
