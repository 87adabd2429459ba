"""Results as JSON lines and as tables."""

import json
import pathlib
import statistics
from collections.abc import Iterable

from benchmarks.implementations import PEERS
from benchmarks.quiet import QUIET
from benchmarks.targets import target_of
from benchmarks.timing import Comparison
from benchmarks.workloads import Workload

RESULTS = "results.jsonl"
_OVERHEADS = ("dispatch.json", "import_time.json")  # what the commands of those names leave
BEGIN, END = "<!-- python -m benchmarks --markdown docs/benchmarks.md -->", "<!-- end -->"
SWEEPS_BEGIN = "<!-- sweeps: python -m benchmarks --markdown docs/benchmarks.md -->"
HEADER = ("workload", "op", "peer", "jaxtbe ms", "peer ms", "ratio", "quartiles", "target", "busy")


def record(case, peer: str, compared: Comparison, prepared: dict, machine: str, run: float = 0.0) -> dict:
    """A result, ready for JSON. `run` names the call of the command that it belongs to, and grows from call to call."""
    return {
        "run": run,
        "op": case.op,
        "workload": case.to_json()["workload"],
        "about": case.workload.describe(),
        "peer": peer,
        "ratio": compared.ratio._asdict(),
        "ours_ms": [round(1e3 * r.ours, 4) for r in compared.judged],
        "peer_ms": [round(1e3 * r.peer, 4) for r in compared.judged],
        "busy": [round(r.busy, 3) for r in compared.judged],
        "rounds": len(compared.rounds),
        "target": target_of(case.workload.name, case.op, peer),
        "machine": machine,
        **prepared,
    }


def append(out: pathlib.Path, result: dict) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with (out / RESULTS).open("a") as f:
        f.write(json.dumps(result) + "\n")


def load(out: pathlib.Path) -> list[dict]:
    """One result of each (workload, op, peer): from the latest run, and of its passes the least disturbed.

    Whatever disturbs a comparison stretches times, so that is the pass with the least product of the two: neither side counts
    more for being slow.
    """
    path = out / RESULTS
    lines = path.read_text().splitlines() if path.exists() else []
    best: dict[tuple, dict] = {}
    for result in map(json.loads, lines):
        key = (result["workload"]["name"], result["op"], result["peer"])
        known = best.get(key)
        if known is None or _rank(result) >= _rank(known):
            best[key] = result
    return list(best.values())


def _rank(result: dict) -> tuple[float, float]:
    product = statistics.median(result["ours_ms"]) * statistics.median(result["peer_ms"])
    return result.get("run", 0.0), -product


def cells(result: dict) -> tuple[str, ...]:
    """One row under `HEADER`."""
    ratio = result["ratio"]
    target = result["target"]
    return (
        result["workload"]["name"],
        result["op"],
        result["peer"],
        f"{statistics.median(result['ours_ms']):.3g}",
        f"{statistics.median(result['peer_ms']):.3g}",
        f"{ratio['median']:.2f}",
        f"{ratio['low']:.2f}-{ratio['high']:.2f}",
        "" if target is None else f"{target:.3g}{_verdict(result)}",
        f"{statistics.median(result['busy']):.0%}",
    )


def _verdict(result: dict) -> str:
    if statistics.median(result["busy"]) > QUIET:
        return " (disturbed)"  # by others: measure again
    return "" if result["ratio"]["median"] >= result["target"] else " (missed)"


def text(results: Iterable[dict]) -> str:
    """An aligned table."""
    rows = [HEADER, *map(cells, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows)


def markdown(results: Iterable[dict]) -> str:
    """The table of docs/benchmarks.md."""
    head = ("operation", "workload", "peer", "jaxtbe", "peer", "ratio (quartiles)", "target", "busy", "command")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for result in results:
        workload, op, peer, ours, theirs, ratio, spread, target, busy = cells(result)
        command = f"`--op {op} --workload {workload} --implementation {peer}`"
        row = (op, Workload(**result["workload"]).describe(), PEERS[peer].name, f"{ours} ms", f"{theirs} ms")
        lines.append("| " + " | ".join((*row, f"**{ratio}** ({spread})", target, busy, command)) + " |")
    return "\n".join(lines)


def sweeps(results: Iterable[dict]) -> str:
    """A table of each sweep: one line a workload, one column a comparison."""
    groups: dict[str, list[dict]] = {}
    for result in results:
        if result["workload"]["group"]:
            groups.setdefault(result["workload"]["group"], []).append(result)
    return "\n\n".join(_sweep(group, members) for group, members in groups.items())


def _sweep(group: str, results: list[dict]) -> str:
    columns = list(dict.fromkeys((r["op"], r["peer"]) for r in results))
    lines = ["| " + " | ".join([group, *(f"{op}: jaxtbe, {peer}, ratio" for op, peer in columns)]) + " |"]
    lines.append("|" + "---|" * (1 + len(columns)))
    for name in dict.fromkeys(r["workload"]["name"] for r in results):
        members = {(r["op"], r["peer"]): r for r in results if r["workload"]["name"] == name}
        value = name.removeprefix(f"{group}_")
        lines.append("| " + " | ".join([value, *(_swept_cell(members.get(column)) for column in columns)]) + " |")
    return "\n".join(lines)


def _swept_cell(result: dict | None) -> str:
    if result is None:
        return "not measured"
    _, _, _, ours, theirs, ratio, *_ = cells(result)
    return f"{ours} ms, {theirs} ms, **{ratio}**"


def insert(page: pathlib.Path, table: str, begin: str = BEGIN) -> None:
    """Puts a table between the marks of a page."""
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{begin}\n\n{table}\n\n{END}{after}")


def overheads(out: pathlib.Path) -> str:
    """A list of what benchmarks.dispatch and benchmarks.import_time measured."""
    lines = []
    for name in _OVERHEADS:
        if (out / name).exists():
            result = json.loads((out / name).read_text())
            values = ", ".join(f"{key} {value}" for key, value in result.items() if key not in ("about", "machine"))
            lines.append(f"* `python -m benchmarks.{pathlib.Path(name).stem}`: {values}")
    return "\n".join(lines)
