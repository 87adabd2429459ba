"""Forward, fused update and ZCH on a GPU, beside plain JAX, torch and the memory's own speed.

    python -m benchmarks.gpu [ceilings] [forward] [update] [anchor] [zch]     all parts, if none is named
    python -m benchmarks.gpu --quick                                          tiny sizes on any device: correctness only

Every row is checked against float64 sums before it is timed. A time is the median of several measurements of many calls in a
row, ids redrawn from several sets, compile time excluded. Each part ends within minutes and prints its table last.
"""

import argparse
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch wants some of the memory, too

import jax

from benchmarks.gpu import ceilings, forward, torch_peer, update, zch
from benchmarks.gpu.rows import Row, print_rows
from benchmarks.gpu.timing import Plan
from benchmarks.gpu.workloads import ANCHOR, WORKLOADS, Workload, tiny

UPDATED = {  # workload: (rules, with a dense gradient)
    "f32 L=10": (("rowwise_adagrad", "sgd"), True),
    "f32 L=64": (("rowwise_adagrad",), False),
    "f16 L=10": (("rowwise_adagrad",), False),
    "f32 L=64 zipf 1.05": (("rowwise_adagrad",), False),
}


def forward_rows(workloads: dict[str, Workload], plan: Plan) -> list[Row]:
    bandwidth = ceilings.copy_bandwidth(workloads["f32 L=10"], plan)
    return [row for name, w in workloads.items() if name != ANCHOR for row in forward.measure(w, bandwidth, plan)]


def update_rows(workloads: dict[str, Workload], plan: Plan) -> list[Row]:
    return [
        row for name, (rules, dense) in UPDATED.items() for row in update.measure(workloads[name], rules, plan, dense)
    ]


def anchor_rows(workloads: dict[str, Workload], plan: Plan) -> list[Row]:
    anchor = workloads[ANCHOR]
    bandwidth = ceilings.copy_bandwidth(workloads["f32 L=10"], plan)
    return [*forward.measure(anchor, bandwidth, plan), *update.measure(anchor, ("sgd", "adam"), plan, False)]


PARTS = {
    "ceilings": ceilings.measure,
    "forward": forward_rows,
    "update": update_rows,
    "anchor": anchor_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "zch", []], metavar="part", help=f"{', '.join(PARTS)}, zch"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on any device")
    args = parser.parse_args()
    quick = args.quick
    plan = Plan(rounds=1, calls=2) if quick else Plan(rounds=7, calls=20)
    workloads = {name: tiny(w) if quick else w for name, w in WORKLOADS.items()}
    device = jax.devices()[0]
    peer = "" if torch_peer.AVAILABLE else "; torch is not installed and left out"
    print(f"{device.device_kind}, jax {jax.__version__}{peer}", flush=True)
    for part in args.parts or [*PARTS, "zch"]:
        if part == "zch":
            rows = zch.measure(997 if quick else 1 << 27, 50 if quick else 1 << 20, plan)
        else:
            rows = PARTS[part](workloads, plan)
        print_rows("all correct" if quick else part, rows)


if __name__ == "__main__":
    main()
