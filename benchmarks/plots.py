"""Plots of the results, as PNG."""

import pathlib
import statistics
from collections.abc import Iterable

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.quiet import QUIET

_FIELDS = {"dim", "tables", "rows", "batch", "hotness"}


def draw(results: list[dict], out: pathlib.Path) -> list[pathlib.Path]:
    """One plot of the ratios with targets, and one of each sweep. Returns the files."""
    paths = []
    targeted = [r for r in results if r["target"] is not None]
    if targeted:
        paths.append(_ratios(targeted, out / "targets.png"))
    for group in dict.fromkeys(r["workload"]["group"] for r in results if r["workload"]["group"]):
        members = [r for r in results if r["workload"]["group"] == group]
        paths.append(_sweep(group, members, out / f"{group}.png"))
    return paths


def _save(figure, path: pathlib.Path) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def _ratios(results: list[dict], path: pathlib.Path) -> pathlib.Path:
    """Bars with quartiles; a tick marks the target."""
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(results) + 1.2))
    labels = [f"{r['workload']['name']}, {r['op']}\nbeside {r['peer']}" for r in results]
    medians = [r["ratio"]["median"] for r in results]
    errors = [
        [r["ratio"]["median"] - r["ratio"]["low"] for r in results],
        [r["ratio"]["high"] - r["ratio"]["median"] for r in results],
    ]
    places = range(len(results))
    colors = ["lightsteelblue" if statistics.median(r["busy"]) > QUIET else "tab:blue" for r in results]
    axes.barh(places, medians, xerr=errors, height=0.6, color=colors, ecolor="0.4")
    axes.plot([r["target"] for r in results], places, "|", color="tab:red", markersize=14, label="target")
    axes.axvline(1, color="0.6", linewidth=0.8)
    axes.set(
        yticks=places,
        xscale="log",
        xlabel="peer time / jaxtbe time (medians, quartiles; pale: disturbed by others)",
    )
    axes.set_yticklabels(labels, fontsize=7)
    axes.invert_yaxis()
    axes.legend(loc="upper right")
    return _save(figure, path)


def _sweep(group: str, results: list[dict], path: pathlib.Path) -> pathlib.Path:
    """Times over the swept quantity, one panel an operation, one line an implementation."""
    ops = list(dict.fromkeys(r["op"] for r in results))
    figure, panels = plt.subplots(1, len(ops), figsize=(4.5 * len(ops), 3.6), squeeze=False)
    field = group.split("_")[0]
    for op, axes in zip(ops, panels[0], strict=True):
        members = [r for r in results if r["op"] == op]
        peers = dict.fromkeys(r["peer"] for r in members)
        ours = {r["workload"]["name"]: r for r in reversed(members)}  # beside the first peer that was compared there
        _line(axes, field, ours.values(), "ours_ms", "jaxtbe")
        for peer in peers:
            _line(axes, field, (r for r in members if r["peer"] == peer), "peer_ms", peer)
        axes.set(title=op, xlabel=field, ylabel="ms", yscale="log")
        if field in _FIELDS:
            axes.set_xscale("log")
        axes.legend(fontsize=7)
    return _save(figure, path)


def _line(axes, field: str, results: Iterable[dict], times: str, label: str) -> None:
    points = [(r["workload"][field], statistics.median(r[times])) for r in results]
    if field in _FIELDS:
        points.sort()
    axes.plot([str(x) if field not in _FIELDS else x for x, _ in points], [y for _, y in points], "o-", label=label)
