"""A model leaves its training: exported to bytes by `jax.export`, and served by a fresh process that has only these bytes.

Trains for a moment on MovieLens-100K, exports one function (somebody's history to the films that they may like), writes it
and the tables to a folder, starts `serving_process.py` there, asks it, and compares its answers with its own.

    pip install flatbuffers tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/serve.py
"""

import argparse
import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import export
from tqdm import tqdm

import jaxtbe
from ratings import MAX_HISTORY, Dataset, load_ratings, load_titles
from report import timed

DIM, BATCH, SHOWN = 16, 512, 5
QUERIES, TOGETHER = 3, 4  # histories that are asked for, and those that one call of the exported function takes


def train(data: Dataset, rows: int, epochs: int) -> jaxtbe.EmbeddingParams:
    emb = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("film", rows=rows, dim=DIM), jaxtbe.Table("rated", rows=2 * rows, dim=DIM)],
        features=[jaxtbe.Feature("item", table="film"), jaxtbe.Feature("history", table="rated", pooling="mean")],
    )
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.rowwise_adagrad(0.1)
    opt_state, liked = tx.init(params), data.ratings.liked.astype(np.float32)

    def loss_fn(params, bags, liked):
        acts = emb(params, bags)
        logits = jnp.sum(acts["item"] * acts["history"], axis=1)
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, opt_state, bags, liked):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, bags, liked)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    for events in tqdm(data.batches(epochs, BATCH), desc="training", unit="step"):
        ids = {"item": data.ratings.item[events], "history": data.history(events)}
        bags = emb.bags(ids, capacity=BATCH * (1 + MAX_HISTORY))
        params, opt_state, _ = step(params, opt_state, bags, liked[events])
    return params


def make_recommend(rows: int):
    """The function to serve: plain arrays in, plain arrays out."""
    serving = jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table("rated", rows=2 * rows, dim=DIM)],
        features=[jaxtbe.Feature("history", table="rated", pooling="mean")],
    )

    def recommend(tables: dict[str, jax.Array], history: jax.Array) -> jax.Array:
        """i32[B, SHOWN]: films for histories i32[B, MAX_HISTORY] of rows of "rated", -1 where they are shorter."""
        batch = history.shape[0]
        offsets = MAX_HISTORY * jnp.arange(batch + 1, dtype=jnp.int32)
        bags = jaxtbe.Bags(history.reshape(-1), offsets, None, None, ("history",), batch)
        user = serving(jaxtbe.EmbeddingParams(tables), bags)["history"]
        seen = jnp.zeros((batch, rows), bool).at[jnp.arange(batch)[:, None], history // 2].set(True, mode="drop")
        return jax.lax.top_k(jnp.where(seen, -jnp.inf, user @ tables["film"].T), SHOWN)[1]

    return recommend


def export_to(folder: Path, recommend, tables: dict[str, jax.Array], titles: list[str]) -> None:
    history = jax.ShapeDtypeStruct((TOGETHER, MAX_HISTORY), jnp.int32)
    checks = [export.DisabledSafetyCheck.custom_call("jaxtbe_lookup")]  # JAX asks for a word that its target stays
    exported = export.export(jax.jit(recommend), disabled_checks=checks)(tables, history)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recommend.bin").write_bytes(exported.serialize())
    np.savez(folder / "tables.npz", **tables)
    (folder / "layout.json").write_text(json.dumps({"history_shape": history.shape, "titles": titles}))
    print(f"exported: {sorted(f'{file.name}, {file.stat().st_size:,} bytes' for file in folder.iterdir())}")


@timed
def main(argv: list[str] | None = None) -> list[dict]:
    parser = argparse.ArgumentParser(description="Export a model and serve it from a fresh process.")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the export goes to its folder `serving`")
    parser.add_argument("--quick", action="store_true", help="one epoch")
    args = parser.parse_args(argv)

    data = Dataset(load_ratings())
    rows = int(data.ratings.item.max()) + 1
    tables = train(data, rows, epochs=1 if args.quick else 4).tables
    recommend, titles = make_recommend(rows), load_titles(rows)
    export_to(args.out / "serving", recommend, tables, titles)

    liked = data.ratings.liked == 1
    queries = [data.ratings.item[liked & (data.ratings.user == user)][:10].tolist() for user in range(1, 1 + QUERIES)]
    program = Path(__file__).with_name("serving_process.py")
    asked = "".join(" ".join(map(str, films)) + "\n" for films in queries)
    served = subprocess.run(
        [sys.executable, program, args.out / "serving"], input=asked, stdout=subprocess.PIPE, text=True, check=True
    )
    answers = [json.loads(line) for line in served.stdout.splitlines()]

    history = np.full((QUERIES, MAX_HISTORY), -1, np.int32)
    for row, films in zip(history, queries, strict=True):
        row[: len(films)] = 2 * np.asarray(films) + 1
    own = np.asarray(jax.jit(recommend)(tables, history)).tolist()
    for films, answer, expected in zip(queries, answers, own, strict=True):
        print(f"\nliked {'; '.join(titles[film] for film in films[:4])}; ...\n  may like {'; '.join(answer['titles'])}")
        print(f"  {answer['ms']} ms")
        if answer["films"] != expected:
            raise SystemExit(f"expected {expected}")
    print("\nthe same answers as in the training process")
    return answers


if __name__ == "__main__":
    main()
