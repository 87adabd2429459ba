"""Who will like which film, in thirty lines: two tables, one jitted step that changes them in place.

pip install tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
python examples/quickstart.py
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe
from ratings import Dataset, load_ratings
from report import auc, timed

BATCH = 512


@timed
def main(argv: list[str] | None = None) -> float:
    epochs = 1 if "--quick" in (sys.argv[1:] if argv is None else argv) else 4
    data = Dataset(load_ratings())
    items, liked = data.ratings.item, data.ratings.liked.astype(np.float32)

    emb = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("film", rows=items.max() + 1, dim=16), jaxtbe.Table("rated", rows=4000, dim=16)],
        features=[jaxtbe.Feature("item", table="film"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.rowwise_adagrad(0.1)
    opt_state = tx.init(params)
    print(emb.summary(params, opt_state))

    def score(params, bags):
        acts = emb(params, bags)  # {"item": f32[B, 16], "history": f32[B, 16]}
        return jnp.sum(acts["item"] * acts["history"], axis=1)

    @jax.jit(donate_argnums=(0, 1))
    def step(params, opt_state, bags, liked):
        def loss(params):
            return optax.sigmoid_binary_cross_entropy(score(params, bags), liked).mean()

        grads = jaxtbe.grad(loss)(params)  # sparse: never as large as a table
        updates, opt_state = tx.update(grads, opt_state, params)  # changes the rows of the batch
        return optax.apply_updates(params, updates), opt_state

    def make_bags(events, capacity):
        return emb.bags({"item": items[events], "history": data.history(events)}, capacity=capacity)

    for events in tqdm(data.batches(epochs, BATCH), desc="training", unit="step"):
        params, opt_state = step(params, opt_state, make_bags(events, BATCH * 51), liked[events])

    scores = jax.jit(score)(params, make_bags(data.future, len(data.future) * 51))
    result = auc(liked[data.future], np.asarray(scores))
    print(f"AUC on the held-out future: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
