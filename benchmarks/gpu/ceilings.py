"""What the memory allows: a copy, and rows gathered at random."""

import jax
import jax.numpy as jnp

from benchmarks.gpu.rows import Row
from benchmarks.gpu.timing import Plan, seconds_a_call
from benchmarks.gpu.workloads import SETS, Workload


def copy_bandwidth(workload: Workload, plan: Plan) -> float:
    """Bytes a second, read and written, of an array as large as a batch's rows, and much larger than any cache."""
    x = jnp.zeros(workload.count * workload.dim, jnp.float32)
    step = jax.jit(lambda x: x + 1)
    return 8 * x.size / seconds_a_call(lambda i: step(x), plan)


def measure(workloads: dict[str, Workload], plan: Plan) -> list[Row]:
    rows = []
    wide = workloads["f32 L=10"]
    bandwidth = copy_bandwidth(wide, plan)
    moved = 8 * wide.count * wide.dim
    rows.append(Row("copy", f"{moved / 1e9:.2f} GB", moved / bandwidth, f"{bandwidth / 1e9:.0f} GB/s"))
    for name in ("f32 L=10", "f16 L=10"):
        workload = workloads[name]
        table = workload.table(0)
        ids = [jnp.asarray(i[0].reshape(-1)) for i in workload.ids]
        gather = jax.jit(lambda t, i: t.at[i].get(mode="promise_in_bounds"))
        seconds = seconds_a_call(lambda i, t=table, ids=ids, f=gather: f(t, ids[i % SETS]), plan)
        moved = 2 * workload.count * workload.dim * table.dtype.itemsize
        rows.append(Row("random row gather", name, seconds, f"{moved / seconds / 1e9:.0f} GB/s read and written"))
    tiny = jnp.zeros(8)
    step = jax.jit(lambda x: x + 1)
    rows.append(Row("an empty call", "", seconds_a_call(lambda i: step(tiny), plan), "what dispatching costs at least"))
    return rows
