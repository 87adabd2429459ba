"""The command: `python -m benchmarks --help`."""

import argparse
import pathlib
import sys
import time

from benchmarks import plan, report
from benchmarks.cases import OPS, Case
from benchmarks.implementations import PEERS
from benchmarks.processes import WorkerError, interpreter
from benchmarks.session import Session
from benchmarks.sweeps import SWEEPS
from benchmarks.workloads import QUICK, WORKLOADS, tiny


def main() -> int:
    args = _arguments()
    if args.markdown is not None:
        return _write(args.out, args.markdown)
    if args.plots:
        from benchmarks.plots import draw

        print("\n".join(str(path) for path in draw(report.load(args.out), args.out)))
        return 0
    if args.quick:
        return _check(args)
    return _measure(args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compares jaxtbe with its peers. Without choices: everything that has a target.",
    )
    parser.add_argument("--op", action="append", choices=OPS, default=[])
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), default=[])
    parser.add_argument("--sweep", action="append", choices=list(SWEEPS), default=[])
    parser.add_argument("--implementation", action="append", choices=list(PEERS), default=[])
    parser.add_argument("--all", action="store_true", help="every operation on every workload")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, correctness only, nothing is timed")
    parser.add_argument("--rounds", type=int, default=9, help="undisturbed turns of each (default 9)")
    parser.add_argument("--passes", type=int, default=1, help="go through all this often: the least disturbed counts")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds to wait for a quiet machine in each round")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/bench"))
    parser.add_argument(
        "--markdown",
        nargs="?",
        const="",
        metavar="PAGE",
        help="print the table of targets from the results in --out, and put it into a page",
    )
    parser.add_argument("--plots", action="store_true", help="draw the results in --out")
    return parser.parse_args()


def _write(out: pathlib.Path, page: str) -> int:
    """Prints the tables, and puts them into a page."""
    results = report.load(out)
    targets = report.markdown(r for r in results if r["target"] is not None)
    parts = {report.BEGIN: f"{targets}\n\n{report.overheads(out)}", report.SWEEPS_BEGIN: report.sweeps(results)}
    print("\n\n".join(parts.values()))
    if page:
        for begin, table in parts.items():
            report.insert(pathlib.Path(page), table, begin)
    return 0


def _available(names: list[str]) -> list[str]:
    """Those whose environment exists."""
    found = []
    for name in names or list(PEERS):
        if interpreter(name) is None:
            print(f"{name}: skipped, .venv-peers is missing. `make bench-peers` creates it.", file=sys.stderr)
        else:
            found.append(name)
    return found


def _comparisons(args, peers: list[str]) -> list[tuple[Case, str]]:
    if args.sweep:
        return [c for name in args.sweep for c in plan.swept(name, args.op, peers)]
    if args.all or args.op or args.workload:
        workloads = [WORKLOADS[name] for name in args.workload or WORKLOADS]
        return list(plan.chosen(args.op or OPS, workloads, peers))
    return [(case, peer) for case, peer in plan.targets() if peer in peers]


def _measure(args) -> int:
    failures = 0
    results = []
    comparisons = _comparisons(args, _available(args.implementation))
    run = time.time()
    for _ in range(args.passes):
        with Session(args.rounds, args.patience, run) as session:
            for case, peer in comparisons:
                try:
                    result = session.compare(case, peer)
                except WorkerError as error:
                    failures += 1
                    print(f"{case.workload.name} {case.op}: {error}", file=sys.stderr)
                    continue
                report.append(args.out, result)
                results.append(result)
                print("  ".join(report.cells(result)), flush=True)
    print("\n" + report.text(results))
    return 1 if failures else 0


def _check(args) -> int:
    """Every implementation on every operation, on tiny workloads."""
    failures = checks = 0
    workloads = [tiny(WORKLOADS[name]) for name in args.workload or QUICK]
    for name in _available(args.implementation):
        with Session(rounds=0, patience=0) as session:
            for case in dict.fromkeys(Case(op, w) for w in workloads for op in args.op or OPS):
                if not PEERS[name].supports(case):
                    continue
                try:
                    session.prepare(case, name)
                    checks += 1
                except WorkerError as error:
                    failures += 1
                    print(f"{case.workload.name} {case.op}: {error}", file=sys.stderr)
    print(f"{checks} results as expected, {failures} not")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
