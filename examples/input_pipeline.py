"""An input pipeline: worker processes build the batches with Grain, the training process only trains.

`EmbeddingBags.bags` is NumPy and its `Bags` are pytrees of NumPy arrays, so batches are built where the data is read.
An order, its batches and their ids depend on (seed, step) alone: a run that resumes sees the batches that it would have seen.

    pip install grain tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/input_pipeline.py
"""

import argparse
import functools

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from tqdm import tqdm

import jaxtbe
from ratings import MAX_HISTORY, Dataset, load_ratings
from report import auc, timed

DIM, BATCH = 16, 512


class MakeBatch(grain.transforms.Map):
    """Events of the data set to a batch. Travels to the workers by pickle: the data goes along, once."""

    def __init__(self, data: Dataset, emb: jaxtbe.EmbeddingBags):
        self.data, self.emb = data, emb

    def map(self, events: np.ndarray) -> tuple[jaxtbe.Bags, np.ndarray]:
        ids = {"item": self.data.ratings.item[events], "history": self.data.history(events)}
        bags = self.emb.bags(ids, capacity=len(events) * (1 + MAX_HISTORY))  # one shape, one compilation
        return bags, self.data.ratings.liked[events].astype(np.float32)


def make_pipeline(data: Dataset, emb: jaxtbe.EmbeddingBags, epochs: int, workers: int) -> grain.IterDataset:
    """Batches of the past, built by `workers` processes (0: here), in the same order however many there are."""
    events = grain.MapDataset.source(data.past).shuffle(seed=0).repeat(epochs)
    batches = events.batch(BATCH, drop_remainder=True).map(MakeBatch(data, emb)).to_iter_dataset()
    return batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers)) if workers else batches


def make_step(emb: jaxtbe.EmbeddingBags, tx: optax.GradientTransformation):
    def loss_fn(params, bags, liked):
        acts = emb(params, bags)
        logits = jnp.sum(acts["item"] * acts["history"], axis=1)
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, bags, liked):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, liked)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


@timed
def main(argv: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description="Batches built by worker processes.")
    parser.add_argument("--workers", type=int, default=2, help="processes that build batches; 0: none")
    parser.add_argument("--quick", action="store_true", help="one epoch")
    args = parser.parse_args(argv)
    flags.FLAGS.mark_as_parsed()  # Grain's workers ask for absl's flags; there are none here

    data = Dataset(load_ratings())
    rows = int(data.ratings.item.max()) + 1
    emb = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("item", rows=rows, dim=DIM), jaxtbe.Table("rated", rows=2 * rows, dim=DIM)],
        features=[jaxtbe.Feature("item", table="item"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )
    tx, params = jaxtbe.optim.rowwise_adagrad(0.1), emb.init(jax.random.key(0))
    opt_state, step = tx.init(params), make_step(emb, tx)

    epochs = 1 if args.quick else 4
    print(MakeBatch(data, emb).map(data.past[:BATCH])[0].describe())
    for bags, liked in tqdm(make_pipeline(data, emb, epochs, args.workers), desc="training", unit="step"):
        params, opt_state, _ = step(params, opt_state, bags, liked)
    jaxtbe.check(opt_state)

    bags, liked = MakeBatch(data, emb).map(data.future)
    acts = jax.jit(emb.__call__)(params, bags)
    result = auc(liked, np.sum(np.asarray(acts["item"]) * np.asarray(acts["history"]), axis=1))
    print(f"AUC on the held-out future: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
