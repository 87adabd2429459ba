"""What `import jaxtbe` takes after `import jax`: `python -m benchmarks.import_time`.

With bytecode, as in every installed package, also where PYTHONDONTWRITEBYTECODE is set: compiling the sources takes longer
than running them.
"""

import argparse
import json
import os
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
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _PROGRAM]
    runs = [subprocess.run(command, env=env, capture_output=True, text=True, check=True) for _ in range(rounds + 1)]
    times = [1e3 * float(run.stdout) for run in runs[1:]]  # the first may write bytecode
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
