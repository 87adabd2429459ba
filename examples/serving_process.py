"""Serves what `serve.py` exported, in a process that knows neither the model nor how it was trained.

    python examples/serving_process.py out/serving

Reads a query a line: the numbers of films that somebody liked. Answers with the films that they may like, best first.
"""

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
from jax import export

import jaxtbe  # noqa: F401  # the exported program calls its kernels


def main(folder: Path) -> None:
    layout = json.loads((folder / "layout.json").read_text())
    recommend = jax.jit(export.deserialize(bytearray((folder / "recommend.bin").read_bytes())).call)
    with np.load(folder / "tables.npz") as saved:
        tables = jax.device_put(dict(saved))
    titles = layout["titles"]
    for line in sys.stdin:
        start = time.perf_counter()
        history = np.full(layout["history_shape"], -1, np.int32)  # -1: no id
        liked = [2 * int(film) + 1 for film in line.split()][-history.shape[1] :]
        history[0, : len(liked)] = liked
        films = np.asarray(recommend(tables, history))[0]
        answer = {"films": films.tolist(), "titles": [titles[film] for film in films]}
        answer["ms"] = round(1e3 * (time.perf_counter() - start), 2)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
