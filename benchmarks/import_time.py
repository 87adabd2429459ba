"""What `import jaxtbe` takes after `import jax`: `python -m benchmarks.import_time`."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

RESULT = "import_time.json"
_PROGRAM = """
import time, jax, jax.numpy
start = time.perf_counter()
import jaxtbe
print(time.perf_counter() - start)
"""


def measure(rounds: int) -> dict[str, float]:
    """Milliseconds in fresh processes: the median and the least."""
    times = [
        1e3 * float(subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds + 1)
    ][1:]  # the first may write bytecode
    return {"median_ms": round(statistics.median(times), 1), "least_ms": round(min(times), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/bench"))
    args = parser.parse_args()
    result = measure(args.rounds)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / RESULT).write_text(json.dumps(result) + "\n")
    print(result)


if __name__ == "__main__":
    main()
