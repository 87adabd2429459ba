"""Embedding tables in a Flax NNX model: sparse gradients for the tables, optax's Adam for the rest, one optimizer state.

A two-tower model on MovieLens-100K as an `nnx.Module`. The tables are one `nnx.Param` that holds what `EmbeddingBags.init`
made. `nnx.split` gives the parameters as a tree; `jaxtbe.value_and_grad` and `optax.partition` do the rest.

    pip install flax tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/flax_nnx.py
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import tqdm

import jaxtbe
from ratings import MAX_HISTORY, Dataset, load_ratings
from report import auc, timed

DIM, BATCH = 16, 512


class TwoTower(nnx.Module):
    """The user's tower over the films that they rated, times the film's row."""

    def __init__(self, emb: jaxtbe.EmbeddingBags, rngs: nnx.Rngs):
        self.emb = emb  # static: it holds no arrays
        self.tables = nnx.Param(emb.init(rngs.params()))
        self.tower = nnx.Linear(DIM + 2, DIM, rngs=rngs)
        self.linear = nnx.Linear(2, 1, rngs=rngs)

    def __call__(self, bags: jaxtbe.Bags, user_stats: jax.Array) -> jax.Array:
        acts = self.emb(self.tables.get_value(), bags)
        user = self.tower(jnp.concatenate([acts["history"], user_stats], axis=1))
        return jnp.sum(user * acts["item"], axis=1) + self.linear(user_stats)[:, 0]


def make_step(graph: nnx.GraphDef, tx: optax.GradientTransformation):
    def loss_fn(params, bags, user_stats, liked):
        logits = nnx.merge(graph, params)(bags, user_stats)
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, bags, user_stats, liked):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, user_stats, liked)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


@timed
def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description="A Flax NNX model on MovieLens-100K.")
    parser.add_argument("--quick", action="store_true", help="one epoch")
    epochs = 1 if parser.parse_args(argv).quick else 4

    data = Dataset(load_ratings())
    items, liked = data.ratings.item, data.ratings.liked.astype(np.float32)
    rows = int(items.max()) + 1
    emb = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("item", rows=rows, dim=DIM), jaxtbe.Table("rated", rows=2 * rows, dim=DIM)],
        features=[jaxtbe.Feature("item", table="item"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )
    graph, params = nnx.split(TwoTower(emb, nnx.Rngs(0)), nnx.Param)
    tx = optax.partition({"tables": jaxtbe.optim.rowwise_adagrad(0.05), "dense": optax.adam(2e-3)}, jaxtbe.optim.labels)
    opt_state, step = tx.init(params), make_step(graph, tx)

    def make_bags(events):
        return emb.bags(
            {"item": items[events], "history": data.history(events)}, capacity=len(events) * (1 + MAX_HISTORY)
        )

    batches = data.batches(epochs, BATCH)
    report = jaxtbe.debug.check_in_place(
        step, params, opt_state, make_bags(batches[0]), data.user_stats[batches[0]], liked[batches[0]]
    )
    print(report)
    for events in tqdm(batches, desc="training", unit="step"):
        params, opt_state, _ = step(params, opt_state, make_bags(events), data.user_stats[events], liked[events])
    jaxtbe.check(opt_state)

    model = nnx.merge(graph, params)
    logits = nnx.jit(lambda model, *batch: model(*batch))(model, make_bags(data.future), data.user_stats[data.future])
    result = auc(liked[data.future], np.asarray(logits))
    print(f"AUC on the held-out future: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
