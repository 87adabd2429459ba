"""Draws step.svg: the data flow of one training step, with the sizes of a real one (shapes only, nothing is computed).

python docs/pictures/step.py
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from drawing import GREEN, GREY, OCHRE, QUIET, RED, SKY, WHITE, Drawing

import jaxtbe

BATCH, HISTORY = 2048, 20


def nbytes(tree: Any) -> int:
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def readable(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def sizes() -> dict[str, str]:
    """Bytes of a step over two tables: what the boxes say."""
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=10_000_000, dim=64), jaxtbe.Table("item", rows=200_000, dim=64)],
        [jaxtbe.Feature("user_id", "user"), jaxtbe.Feature("history", "item", pooling="mean")],
    )
    bags = emb.bags({"user_id": np.zeros(BATCH, int), "history": np.zeros((BATCH, HISTORY), int)})
    params = jax.eval_shape(lambda: emb.init(jax.random.key(0)))
    acts = jax.eval_shape(emb, params, bags)
    grads = jax.eval_shape(jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags))), params)
    state = jax.eval_shape(jaxtbe.optim.rowwise_adagrad(0.02).init, params)
    trees = {"tables": params, "state": state, "bags": bags, "acts": acts, "grads": grads}
    return {name: readable(nbytes(tree)) for name, tree in trees.items()}


def main() -> None:
    size = sizes()
    picture = Drawing(1000, 400)
    picture.text(20, 28, "One training step: what flows, and how large it is", size=15, anchor="start", weight="bold")
    picture.rect(382, 48, 604, 304, WHITE, QUIET, dashes="6 4", round_=8)
    picture.text(974, 340, "jax.jit(step, donate_argnums=...)", size=12, color=QUIET, anchor="end")

    picture.box(14, 76, 108, 76, "ids", ["arrays, lists"], GREY)
    picture.box(204, 76, 150, 76, "Bags", [f"{BATCH} samples", size["bags"]], SKY)
    picture.box(404, 76, 140, 76, "lookup", ["one kernel", "for all tables"], GREEN)
    picture.box(614, 76, 140, 76, "activations", [size["acts"]], SKY)
    picture.box(824, 76, 140, 76, "model, loss", ["dense parameters"], WHITE)
    picture.box(204, 244, 150, 92, "tables and state", [size["tables"], f"+ {size['state']}"], OCHRE)
    picture.box(404, 252, 140, 76, "fused update", ["one kernel: sum,", "rule, store"], GREEN)
    picture.box(614, 252, 140, 76, "EmbeddingGrad", ["Bags, d_acts", size["grads"]], SKY)

    picture.arrow((122, 114), (201, 114))
    picture.text(162, 104, "emb.bags", size=12, color=QUIET)
    picture.arrow((354, 114), (401, 114))
    picture.arrow((544, 114), (611, 114))
    picture.arrow((754, 114), (821, 114))
    picture.arrow((894, 152), (894, 290), (757, 290))
    picture.text(884, 214, "jaxtbe.value_and_grad", size=12, color=QUIET, anchor="end")
    picture.arrow((614, 290), (547, 290))
    picture.text(580, 280, "tx.update", size=12, color=QUIET)
    picture.arrow((279, 244), (279, 198), (444, 198), (444, 155))
    picture.text(270, 222, "rows of the batch", size=12, color=QUIET, anchor="end")
    picture.arrow((404, 290), (357, 290), color=RED, marker="red", thick=2.4)
    picture.text(354, 376, "red: the touched rows, in place, in the same memory", size=12, color=RED)
    picture.arrow((504, 152), (504, 249), color=QUIET, marker="quiet", dashes="4 3")
    picture.text(514, 234, "after every read", size=12, color=QUIET, anchor="start")
    picture.save(Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main()
