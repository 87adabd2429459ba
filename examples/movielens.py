"""Who will like which film: a two-tower model on MovieLens-100K, its tables trained in place.

The past (the first 80% of all ratings) trains the model, the future measures it. Most raters of the future are new, so
a user is what they rated before: a ragged bag of (film, liked or not), pooled to its mean. A rating's history holds the
user's ratings of strictly earlier timestamps, the last 50. For a rating of the future this includes earlier ones of the
future, as it would in service; parameters and the popularity baseline come from the past alone.

    pip install matplotlib tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/movielens.py
"""

import argparse
import functools
import importlib.metadata
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DIM = 16
MAX_HISTORY = 50
BATCH = 512
PRIOR = 10  # ratings at the mean rate that smooth every observed rate

# Data ----------------------------------------------------------------------------------------------------------------


class Ratings(NamedTuple):
    """Ratings by user, and by time within a user: int64[n] each."""

    user: np.ndarray
    item: np.ndarray
    liked: np.ndarray  # 1: four or five stars
    time: np.ndarray  # seconds


def load_ratings() -> Ratings:
    """MovieLens-100K, from the installed wheel's files; its package is not imported."""
    wheel = importlib.metadata.distribution("recbole")
    path = wheel.locate_file("recbole/dataset_example/ml-100k/ml-100k.inter")
    user, item, stars, seconds = np.loadtxt(str(path), dtype=np.int64, skiprows=1, unpack=True)
    order = np.lexsort((item, seconds, user))
    return Ratings(user[order], item[order], (stars[order] >= 4).astype(np.int64), seconds[order])


def earlier(user: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each rating n, the same user's ratings of strictly earlier time: those at positions [begin[n], end[n]).

    Args:
      user, seconds: int[n], sorted by user and then by time.
    """
    position = np.arange(len(user))
    new_user = np.diff(user, prepend=-1) != 0
    new_moment = new_user | (
        np.diff(seconds, prepend=-1) != 0
    )  # many ratings share a second: they do not see each other
    begin = np.maximum.accumulate(np.where(new_user, position, 0))
    end = np.maximum.accumulate(np.where(new_moment, position, 0))
    return begin, end


class Dataset:
    """Ratings, split by time, with what was known of the user before each."""

    def __init__(self, ratings: Ratings, past_share: float = 0.8):
        self.ratings = ratings
        split = np.quantile(ratings.time, past_share)
        self.past, self.future = np.flatnonzero(ratings.time < split), np.flatnonzero(ratings.time >= split)
        self.base_rate = ratings.liked[self.past].mean()
        first, self.end = earlier(ratings.user, ratings.time)
        self.begin = np.maximum(first, self.end - MAX_HISTORY)
        likes_before = np.concatenate([[0], np.cumsum(ratings.liked)])
        count = self.end - first
        rate = (likes_before[self.end] - likes_before[first] + PRIOR * self.base_rate) / (count + PRIOR)
        self.user_stats = np.stack([log_odds(rate), np.log1p(count)], axis=1).astype(np.float32)

    def history(self, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The bags of what these events' users rated before: ids 2 * item + liked, and lengths."""
        lengths = self.end[events] - self.begin[events]
        starts = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum()) + np.repeat(self.begin[events] - starts, lengths)
        return 2 * self.ratings.item[positions] + self.ratings.liked[positions], lengths

    def popularity(self) -> np.ndarray:
        """The baseline for each event of the future: the share of likes among its item's past ratings, smoothed."""
        size = self.ratings.item.max() + 1
        item, liked = self.ratings.item[self.past], self.ratings.liked[self.past]
        likes, count = np.bincount(item, liked, size), np.bincount(item, minlength=size)
        return ((likes + PRIOR * self.base_rate) / (count + PRIOR))[self.ratings.item[self.future]]


def log_odds(p):
    return np.log(p) - np.log1p(-p)


# Model ---------------------------------------------------------------------------------------------------------------


def make_embeddings(num_items: int) -> jaxtbe.EmbeddingBags:
    initializer = jax.nn.initializers.normal(0.05)
    return jaxtbe.EmbeddingBags(
        tables=[
            jaxtbe.Table("item", rows=num_items, dim=DIM, initializer=initializer),
            jaxtbe.Table("rated", rows=2 * num_items, dim=DIM, initializer=initializer),
        ],
        features=[jaxtbe.Feature("item", table="item"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )


def init_dense(key: jax.Array) -> dict:
    return {
        "tower": jax.random.normal(key, (DIM + 2, DIM)) / np.sqrt(DIM),
        "tower_bias": jnp.zeros(DIM),
        "linear": jnp.asarray([1.0, 0.0]),  # the user's log odds so far is a good first guess
        "bias": jnp.zeros(()),
    }


def score(dense: dict, acts: dict, user_stats) -> jax.Array:
    """f32[B], log odds of a like: user tower times item row, plus what the user's rate so far says."""
    user = jnp.concatenate([acts["history"], user_stats], axis=1) @ dense["tower"] + dense["tower_bias"]
    return jnp.sum(user * acts["item"], axis=1) + user_stats @ dense["linear"] + dense["bias"]


def make_optimizer(steps: int) -> optax.GradientTransformation:
    return optax.partition(
        {
            "tables": jaxtbe.optim.rowwise_adagrad(
                optax.cosine_decay_schedule(0.02, steps), weight_decay=0.2, decay="decoupled"
            ),
            "dense": optax.adamw(optax.cosine_decay_schedule(2e-3, steps)),
        },
        {"tables": "tables", "dense": "dense"},
    )


def make_step(emb: jaxtbe.EmbeddingBags, tx: optax.GradientTransformation):
    """One jitted training step. Parameters and state are donated: tables change in place."""

    def loss_fn(params, bags, user_stats, liked):
        logits = score(params["dense"], emb(params["tables"], bags), user_stats)
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, bags, user_stats, liked):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, user_stats, liked)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


# Measures ------------------------------------------------------------------------------------------------------------


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a random positive scores above a random negative; a tie counts half."""
    labels = np.asarray(labels, bool)
    _, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[group]  # from 1, the mean rank for ties
    positives = labels.sum()
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (labels.size - positives)))


def measure(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    log_loss = np.mean(np.logaddexp(0, logits) - labels * logits)
    return {"auc": auc(labels, logits), "log_loss": float(log_loss)}


# Training ------------------------------------------------------------------------------------------------------------


def train(data: Dataset, epochs: int) -> list[dict[str, float]]:
    """Trains on the past; returns AUC and log loss on the future before the first step and four times an epoch."""
    emb = make_embeddings(data.ratings.item.max() + 1)
    params = {"tables": emb.init(jax.random.key(0)), "dense": init_dense(jax.random.key(1))}
    steps = len(data.past) // BATCH
    tx = make_optimizer(epochs * steps)
    opt_state = tx.init(params)
    step = make_step(emb, tx)

    @jax.jit
    def predict(params, bags, user_stats):
        return score(params["dense"], emb(params["tables"], bags), user_stats)

    def make_bags(events):
        ids = {"item": data.ratings.item[events], "history": data.history(events)}
        return emb.bags(ids, capacity=BATCH * (1 + MAX_HISTORY))  # one shape, one compilation

    future = [(make_bags(x), data.user_stats[x]) for x in np.array_split(data.future, -(-len(data.future) // BATCH))]

    def evaluate(params):
        logits = np.concatenate([predict(params, *batch) for batch in future])
        return measure(data.ratings.liked[data.future], logits.astype(np.float64))

    rng, curve = np.random.default_rng(0), [{"epoch": 0, **evaluate(params)}]
    with tqdm(total=epochs * steps, desc="training", unit="step") as progress:
        for epoch in range(epochs):
            batches = rng.permutation(data.past)[: steps * BATCH].reshape(steps, BATCH)
            for n, events in enumerate(batches, start=1):
                liked = data.ratings.liked[events].astype(np.float32)
                params, opt_state, _ = step(params, opt_state, make_bags(events), data.user_stats[events], liked)
                progress.update()
                if n % (steps // 4) == 0:
                    curve.append({"epoch": epoch + n / steps, **evaluate(params)})
                    progress.set_postfix(held_out_auc=f"{curve[-1]['auc']:.4f}")
    jaxtbe.check(opt_state)
    return [*curve, {"epoch": epochs, **evaluate(params)}]


# Speed ---------------------------------------------------------------------------------------------------------------


def make_dense_step(tx: optax.GradientTransformation):
    """The same model as a plain JAX user writes it: the gradient of a table is as large as the table."""

    def loss_fn(params, item, history, segments, lengths, user_stats, liked):
        rows = jnp.take(params["tables"]["rated"], history, axis=0)
        means = jax.ops.segment_sum(rows, segments, len(item)) / jnp.maximum(lengths, 1)[:, None]
        acts = {"item": jnp.take(params["tables"]["item"], item, axis=0), "history": means}
        return optax.sigmoid_binary_cross_entropy(score(params["dense"], acts, user_stats), liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, *batch):
        loss, grads = jax.value_and_grad(loss_fn)(params, *batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    return step


def compare_speed(data: Dataset, num_items: int, rounds: int) -> tuple[float, float]:
    """Seconds of one step at `num_items` items, the best of some rounds: with jaxtbe, and with dense gradients."""
    events = np.random.default_rng(0).choice(data.past, BATCH, replace=False)
    spread = num_items // (data.ratings.item.max() + 1)  # the real items, spread over the larger tables
    history, lengths = data.history(events)
    item, history = spread * data.ratings.item[events], 2 * spread * (history // 2) + history % 2
    user_stats, liked = data.user_stats[events], data.ratings.liked[events].astype(np.float32)

    emb = make_embeddings(num_items)
    bags = emb.bags({"item": item, "history": (history, lengths)})
    segments = np.repeat(np.arange(BATCH), lengths)
    tables, dense = emb.init(jax.random.key(0)), init_dense(jax.random.key(1))
    runs = []
    for tables_tree, tx, make, batch in (
        (tables, make_optimizer(1000), functools.partial(make_step, emb), (bags,)),
        (tables.tables, optax.adagrad(0.02), make_dense_step, (item, history, segments, lengths)),
    ):
        params = jax.tree.map(jnp.copy, {"tables": tables_tree, "dense": dense})
        runs.append(([params, tx.init(params)], make(tx), (*batch, user_stats, liked)))

    seconds = np.zeros((rounds, 2))
    for n in range(rounds):  # by turns, so that both see the same machine
        for which, (state, step, batch) in enumerate(runs):
            start = time.perf_counter()
            *state[:], _ = jax.block_until_ready(step(*state, *batch))
            seconds[n, which] = time.perf_counter() - start
    sparse_time, dense_time = seconds.min(axis=0)
    return float(sparse_time), float(dense_time)


# Report --------------------------------------------------------------------------------------------------------------


def plot(curve: list[dict[str, float]], baselines: dict[str, dict[str, float]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    epochs = [point["epoch"] for point in curve]
    for axis, name, label in zip(axes, ("auc", "log_loss"), ("AUC", "log loss"), strict=True):
        axis.plot(epochs, [point[name] for point in curve], "o-", markersize=4, label="two-tower model")
        for color, (baseline, values) in zip(("C1", "C2"), baselines.items(), strict=True):
            axis.axhline(values[name], linestyle="--", color=color, label=baseline)
        axis.set(xlabel="epoch", ylabel=label, title=f"{label} on the held-out future")
        axis.grid(alpha=0.3)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description="A two-tower model on MovieLens-100K.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the plot")
    parser.add_argument("--quick", action="store_true", help="two epochs, and the speed at 100,000 items")
    args = parser.parse_args(argv)

    data = Dataset(load_ratings())
    future, liked = data.future, data.ratings.liked[data.future]
    popularity = log_odds(data.popularity())
    baselines = {
        "popularity": measure(liked, popularity),
        "popularity and user's rate": measure(
            liked, popularity + data.user_stats[future, 0] - log_odds(data.base_rate)
        ),
    }
    new = ~np.isin(data.ratings.user[future], data.ratings.user[data.past])
    print(f"{len(data.past)} ratings to learn from, {len(future)} held out, {new.mean():.0%} of these by new users")

    curve = train(data, 2 if args.quick else args.epochs)
    results = baselines | {"two-tower model": curve[-1]}
    print(f"\n{'held-out future':<28}{'AUC':>8}{'log loss':>10}")
    for name, values in results.items():
        print(f"{name:<28}{values['auc']:>8.4f}{values['log_loss']:>10.4f}")
    plot(curve, baselines, args.out / "movielens.png")
    print(f"\nlearning curve: {args.out / 'movielens.png'}")

    num_items = 100_000 if args.quick else 1_000_000
    sparse, dense = compare_speed(data, num_items, rounds=6 if args.quick else 16)
    print(
        f"one step at {num_items:,} items: {sparse * 1e3:.2f} ms with jaxtbe, {dense * 1e3:.1f} ms with dense gradients"
    )
    print(f"ratio: {dense / sparse:.0f}")
    return results


if __name__ == "__main__":
    main()
