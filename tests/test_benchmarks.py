"""The benchmarks: every implementation's results on tiny workloads, and the arithmetic of their reports. Nothing is timed."""

import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks import plan, report
from benchmarks.cases import Case
from benchmarks.data import PERIOD, Data
from benchmarks.implementations import PEERS
from benchmarks.processes import Process, WorkerError
from benchmarks.sweeps import SWEEPS
from benchmarks.timing import Comparison, Round
from benchmarks.workloads import WORKLOADS, tiny

ROOT = pathlib.Path(__file__).resolve().parent.parent


def command(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "benchmarks", *args], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", [name for name, peer in PEERS.items() if peer.environment == "jax"])
def test_results_on_tiny_workloads(implementation):
    done = command("--quick", "--implementation", implementation)
    assert done.returncode == 0, done.stderr
    assert ", 0 not" in done.stdout


def test_every_target_can_be_measured():
    for case, peer in plan.targets():
        assert PEERS[plan.OURS].supports(case)
        assert PEERS[peer].supports(case)


def test_every_sweep_has_comparisons():
    for name in SWEEPS:
        assert list(plan.swept(name, (), list(PEERS))), name


def test_cases_survive_json():
    case = Case("step_adagrad", tiny(WORKLOADS["four_zipf"]))
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case


def test_ids_are_rows_and_zipf_is_skewed():
    data = Data(tiny(WORKLOADS["four_zipf"]))
    for ids in data.ids:
        assert ids.min() >= 0
        assert ids.max() < data.workload.rows
    assert data.workload.rows < PERIOD  # tiny tables have no two rows alike


def rounds(*busy: float) -> Comparison:
    return Comparison([Round(1.0 + i, (2.0 + i) * (1.0 + i), b) for i, b in enumerate(busy)])


def test_disturbed_rounds_do_not_count_where_there_are_enough_others():
    assert rounds(0.0, 0.0, 0.0, 0.9).ratio.median == 3.0
    assert rounds(0.0, 0.5, 0.0, 0.9).ratio.median == 3.5


def result(name="one_table", op="forward", peer="fbgemm", workload=None):
    case = Case(op, workload or WORKLOADS[name])
    return report.record(case, peer, rounds(0.0, 0.0, 0.0), {"errors": {}, "versions": {}}, "a machine")


def test_reports(tmp_path):
    report.append(tmp_path, result())
    report.append(tmp_path, result())
    report.append(tmp_path, result(op="assign", name="writeback", peer="torch_bag"))
    results = report.load(tmp_path)
    assert [r["op"] for r in results] == ["forward", "assign"]
    assert "1.7" in report.text(results)
    table = report.markdown(results).splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert "--op forward --workload one_table --implementation fbgemm" in table[2]


def timed(run: float, *ours: float) -> dict:
    return {**result(), "run": run, "ours_ms": list(ours)}


def test_of_the_latest_run_the_least_disturbed_pass_counts(tmp_path):
    for r in (timed(1, 1.0), timed(2, 9.0), timed(2, 5.0), timed(2, 7.0)):
        report.append(tmp_path, r)
    (kept,) = report.load(tmp_path)
    assert kept["ours_ms"] == [5.0]


def test_sweeps_are_tables():
    first, second = (result(workload=w) for w in SWEEPS["rows"][:2])
    other = result(workload=SWEEPS["rows"][1], op="backward_sgd")
    lines = report.sweeps([result(), first, second, other]).splitlines()
    assert len(lines) == 4
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 10000", "| 100000"]
    assert "not measured" in lines[2]
    assert "not measured" not in lines[3]


def test_the_table_replaces_the_one_in_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.insert(page, "| new |")
    assert page.read_text() == f"before\n{report.BEGIN}\n\n| new |\n\n{report.END}\nafter\n"


def test_plots(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks import plots

    swept = [result(workload=w) for w in SWEEPS["rows"][:2]]
    paths = plots.draw([result(), *swept], tmp_path)
    assert [p.name for p in paths] == ["targets.png", "rows.png"]
    assert all(p.stat().st_size > 1000 for p in paths)


def test_a_failing_worker_says_why():
    with (
        Process("plain_loop", threads=1) as process,
        pytest.raises(WorkerError, match=r"plain_loop: Traceback[\s\S]*op"),
    ):
        process._ask({"do": "prepare", "case": {"op": "unknown", "workload": WORKLOADS["one_table"].__dict__}})
