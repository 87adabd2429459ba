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
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe
from ratings import MAX_HISTORY, Dataset, load_ratings, log_odds
from report import auc, new_figure, print_table, save_figure, timed

DIM = 16
BATCH = 512

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
    figure, axes = new_figure(10, 4)
    epochs = [point["epoch"] for point in curve]
    for axis, name, label in zip(axes, ("auc", "log_loss"), ("AUC", "log loss"), strict=True):
        axis.plot(epochs, [point[name] for point in curve], "o-", markersize=4, label="two-tower model")
        for color, (baseline, values) in zip(("C1", "C2"), baselines.items(), strict=True):
            axis.axhline(values[name], linestyle="--", color=color, label=baseline)
        axis.set(xlabel="epoch", ylabel=label, title=f"{label} on the held-out future")
        axis.grid(alpha=0.3)
    axes[0].legend()
    save_figure(figure, path)


@timed
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
    print_table("held-out future", results)
    plot(curve, baselines, args.out / "movielens.png")
    num_items = 100_000 if args.quick else 1_000_000
    sparse, dense = compare_speed(data, num_items, rounds=6 if args.quick else 16)
    print(
        f"one step at {num_items:,} items: {sparse * 1e3:.2f} ms with jaxtbe, {dense * 1e3:.1f} ms with dense gradients"
    )
    print(f"ratio: {dense / sparse:.0f}")
    return results


if __name__ == "__main__":
    main()
