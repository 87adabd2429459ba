"""What a step over 26 tables costs beside its kernels: `python -m benchmarks.dispatch`."""

import argparse
import dataclasses
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from benchmarks.cases import Case
from benchmarks.data import SETS, Data
from benchmarks.implementations.jaxtbe import Implementation, split
from benchmarks.machine import describe
from benchmarks.workloads import WORKLOADS

OP = "step_rowwise_adagrad"
RESULT = "dispatch.json"


def measure(rounds: int) -> dict:
    """Milliseconds of tracing, of compiling, of dispatching an all but empty step, of a whole step, and of its kernels."""
    case = Case(OP, WORKLOADS["one_hot"])
    data = Data(case.workload)
    subject = Implementation(case, data)
    result = _compile_times(subject)
    result["dispatch_ms"] = _dispatch(case)

    timers = {"step": lambda: _step(subject), **_kernels(case, subject)}
    times: dict[str, list[float]] = {name: [] for name in timers}
    for timer in timers.values():
        timer()
    for _ in range(rounds):
        for name, timer in timers.items():
            times[name].append(timer())
    parts = [name for name in timers if name != "step"]
    ratios = [t / sum(times[p][i] for p in parts) for i, t in enumerate(times["step"])]
    for name, values in times.items():
        result[f"{name}_ms"] = round(1e3 * statistics.median(values), 3)
    result["step_over_kernels"] = round(statistics.median(ratios), 3)
    result["quartiles"] = [round(q, 3) for q in statistics.quantiles(ratios, n=4, method="inclusive")[::2]]
    return {"about": case.workload.describe(), "machine": describe(), **result}


def _compile_times(subject: Implementation) -> dict[str, float]:
    args = (subject.params, subject.state, subject.batches[0], subject.d_acts[0])
    start = time.perf_counter()
    traced = subject.step.trace(*args)
    middle = time.perf_counter()
    traced.lower().compile()
    end = time.perf_counter()
    return {"trace_ms": round(1e3 * (middle - start), 1), "compile_ms": round(1e3 * (end - middle), 1)}


def _dispatch(case: Case) -> float:
    """A step over as many tables, with so little work in it that what remains is the call."""
    small = dataclasses.replace(case.workload, rows=100, dim=1, batch=1)
    subject = Implementation(Case(case.op, small), Data(small))
    subject.run(0)
    return round(1e3 * statistics.median(subject.run(i % SETS) for i in range(200)), 4)


def _step(subject: Implementation) -> float:
    return statistics.median(subject.run(i) for i in range(SETS))


def _kernels(case: Case, subject: Implementation) -> dict[str, Callable[[], float]]:
    """Timers, each of one part of the step alone. The native calls run inside a scan, where nothing is dispatched."""
    emb, tx = subject.emb, subject.tx
    batches = jax.tree.map(lambda *x: jnp.stack(x), *subject.batches)
    target, acts = subject.d_acts[0], subject.d_acts[1]

    @jax.jit
    def lookups(params, batches):
        return jax.lax.scan(lambda carry, bags: (carry, emb.concat(params, bags)[0, 0]), 0, batches)[1]

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def updates(params, state, batches, d_acts):
        def body(carry, bags):
            params, state = carry
            updates, state = tx.update(emb.gradient(bags, split(case, emb, d_acts)), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(body, (params, state), batches)[0]

    loss = jax.jit(jax.value_and_grad(lambda acts, target: 0.5 * jnp.sum(jnp.square(acts - target))))

    def update():
        start = time.perf_counter()
        subject.params, subject.state = jax.block_until_ready(updates(subject.params, subject.state, batches, target))
        return (time.perf_counter() - start) / SETS

    return {
        "lookup": lambda: _time(lookups, subject.params, batches) / SETS,
        "loss": lambda: _time(loss, acts, target),
        "update": update,
    }


def _time(function, *args) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dispatch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/bench"))
    args = parser.parse_args()
    result = measure(args.rounds)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / RESULT).write_text(json.dumps(result) + "\n")
    print("\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
