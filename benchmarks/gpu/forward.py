"""Forwards, each checked before it is timed."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxtbe
from benchmarks.gpu import torch_peer
from benchmarks.gpu.rows import Row
from benchmarks.gpu.timing import Plan, seconds_a_call
from benchmarks.gpu.workloads import SETS, Workload

_CHECKED = 64  # samples


def module(workload: Workload) -> jaxtbe.EmbeddingBags:
    names = [f"t{t}" for t in range(workload.tables)]
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table(n, rows=workload.rows, dim=workload.dim, dtype=workload.dtype) for n in names],
        [jaxtbe.Feature(f"of_{n}", table=n) for n in names],
        implementation="native",
    )


def batches(workload: Workload, emb: jaxtbe.EmbeddingBags) -> list[jaxtbe.Bags]:
    """On the device."""
    return [jax.device_put(emb.bags({f"of_t{t}": i for t, i in enumerate(ids)})) for ids in workload.ids]


def parameters(tables: list[jax.Array]) -> jaxtbe.EmbeddingParams:
    return jaxtbe.EmbeddingParams({f"t{t}": table for t, table in enumerate(tables)})


def check(workload: Workload, tables: list[jax.Array], acts, who: str) -> None:
    """Compares some samples of the first batch's activations with float64 sums."""
    samples = np.linspace(0, workload.batch - 1, min(_CHECKED, workload.batch)).astype(np.int32)
    expected = np.concatenate(
        [
            np.asarray(table[jnp.asarray(ids[samples])].astype(jnp.float32), np.float64).sum(1)
            for table, ids in zip(tables, workload.ids[0], strict=True)
        ],
        axis=1,
    )
    got = np.asarray(acts[jnp.asarray(samples)] if isinstance(acts, jax.Array) else acts[samples], np.float64)
    scale = np.sqrt(workload.hotness) * 0.1
    tolerance = scale * (1e-5 if workload.dtype == "float32" or who == "jaxtbe" else 1e-2)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance, err_msg=f"{who}: {workload.name}")


def measure(workload: Workload, bandwidth: float, plan: Plan) -> list[Row]:
    tables = [workload.table(t) for t in range(workload.tables)]
    ideal = workload.forward_bytes / bandwidth

    def row(who, run, first):
        check(workload, tables, first, who)
        seconds = seconds_a_call(run, plan)
        return Row(workload.name, who, seconds, f"{ideal / seconds:5.0%} of copy bandwidth")

    emb = module(workload)
    bags, params = batches(workload, emb), parameters(tables)
    ours = jax.jit(emb.concat)
    rows = [row("jaxtbe", lambda i: ours(params, bags[i % SETS]), ours(params, bags[0]))]

    ids = [jnp.asarray(i) for i in workload.ids]
    for who, plain in (("take + sum of [B, L, D]", _take_and_sum), ("take + segment_sum", _take_and_segment_sum)):
        jitted = jax.jit(plain)
        run = lambda i, f=jitted: f(tables, ids[i % SETS])  # noqa: E731
        rows.append(row(who, run, run(0)))
    if torch_peer.AVAILABLE:
        peer = torch_peer.Bags(workload, tables)
        rows.append(row("torch.nn.EmbeddingBag", peer.waiting(peer.forward), peer.forward(0).float().cpu().numpy()))
    return rows


def _take_and_sum(tables, ids):
    return jnp.concatenate([t[i].astype(jnp.float32).sum(1) for t, i in zip(tables, ids, strict=True)], axis=1)


def _take_and_segment_sum(tables, ids):
    batch, length = ids.shape[1:]
    segments = jnp.repeat(jnp.arange(batch), length)
    sums = [
        jax.ops.segment_sum(t[i.reshape(-1)].astype(jnp.float32), segments, batch, indices_are_sorted=True)
        for t, i in zip(tables, ids, strict=True)
    ]
    return jnp.concatenate(sums, axis=1)
