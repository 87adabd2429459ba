"""Forward and fused update on a GPU, beside plain JAX and the memory's own speed: `python -m benchmarks.gpu [--rows N]`.

Bytes are counted as (N + B) * dim * itemsize for a forward (ids N, output rows B). Every time is the median of many calls in one
process, ids redrawn from several sets, compile time excluded.
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe


def median_seconds(step, args_of, rounds: int) -> float:
    """`step(*args_of(i))` must return what it waits for."""
    jax.block_until_ready(step(*args_of(0)))
    times = []
    for i in range(rounds):
        args = jax.block_until_ready(args_of(i))
        start = time.perf_counter()
        jax.block_until_ready(step(*args))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def draw_ids(rng: np.random.Generator, rows: int, count: int, zipf: float | None) -> np.ndarray:
    if zipf is None:
        return rng.integers(0, rows, count).astype(np.int32)
    ranks = (rng.zipf(zipf, count) - 1) % rows
    return (ranks * 2_654_435_761 % rows).astype(np.int32)  # hot rows lie apart


def measure(rows: int, dim: int, batch: int, length: int, dtype, zipf: float | None, rounds: int) -> dict[str, float]:
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=rows, dim=dim, dtype=dtype)], [jaxtbe.Feature("f", table="t")], implementation="native"
    )
    rng = np.random.default_rng(0)
    flat = [jnp.asarray(draw_ids(rng, rows, batch * length, zipf)) for _ in range(4)]
    bags = [jax.device_put(emb.bags({"f": np.asarray(ids).reshape(batch, length)})) for ids in flat]
    params = emb.init(jax.random.key(0))
    d_acts = jnp.asarray(rng.normal(size=(batch, dim)), jnp.float32)
    segment = jnp.repeat(jnp.arange(batch), length)
    tx = jaxtbe.optim.rowwise_adagrad(0.01)
    seconds = {}

    table = params.tables["t"]
    seconds["random row gather"] = median_seconds(jax.jit(lambda t, i: t[i]), lambda i: (table, flat[i % 4]), rounds)
    seconds["forward: take + segment_sum"] = median_seconds(
        jax.jit(lambda t, i: jax.ops.segment_sum(t[i].astype(jnp.float32), segment, batch, indices_are_sorted=True)),
        lambda i: (table, flat[i % 4]),
        rounds,
    )
    seconds["forward: jaxtbe"] = median_seconds(jax.jit(emb), lambda i: (params, bags[i % 4]), rounds)

    @functools.partial(jax.jit, donate_argnums=0)
    def scatter(t, i):
        return t.at[i].add((-0.01 * d_acts[segment]).astype(t.dtype))

    @functools.partial(jax.jit, donate_argnums=0)
    def update(carry, batch_bags):
        params, state = carry
        updates, state = tx.update(emb.gradient(batch_bags, {"f": d_acts}), state, params)
        return optax.apply_updates(params, updates), state

    state = {"table": jnp.copy(table), "carry": (params, tx.init(params))}

    def in_place(name, step):
        def run(i):
            state[name] = step(state[name], i)
            return state[name]

        return run

    seconds["update: gather + .at[].add (SGD, not deterministic)"] = median_seconds(
        in_place("table", scatter), lambda i: (flat[i % 4],), rounds
    )
    seconds["update: jaxtbe rowwise_adagrad, deterministic"] = median_seconds(
        in_place("carry", update), lambda i: (bags[i % 4],), rounds
    )
    return seconds


def copy_bandwidth(rounds: int, floats: int) -> float:
    """Bytes a second, read and written, of a device copy."""
    x = jnp.zeros(floats, jnp.float32)
    return 8 * floats / median_seconds(jax.jit(lambda x: x + 1), lambda i: (x,), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=65_536)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    bandwidth = copy_bandwidth(args.rounds, max(args.rows, 1024))
    print(f"{jax.devices()[0]}, jax {jax.__version__}: copy {bandwidth / 1e9:.0f} GB/s")
    cases = [(jnp.float32, 10, None), (jnp.float32, 64, None), (jnp.float16, 10, None), (jnp.float32, 64, 1.05)]
    for dtype, length, zipf in cases:
        ideal = (args.batch * length * jnp.dtype(dtype).itemsize + 4 * args.batch) * args.dim / bandwidth
        draw = "uniform" if zipf is None else f"zipf {zipf}"
        print(f"\n{jnp.dtype(dtype).name}, L={length}, {draw}: the forward's bytes at copy speed {ideal * 1e6:.0f} us")
        for name, seconds in measure(args.rows, args.dim, args.batch, length, dtype, zipf, args.rounds).items():
            print(f"  {name:55} {seconds * 1e6:10.0f} us")


if __name__ == "__main__":
    main()
