"""Trains one model over several processes: tables split over all of them, each process reading samples of its own.

    python examples/distributed.py --processes 2

starts two processes on this machine. On a cluster, start one on every host with --coordinator host:port --processes N
--process K. A table of 64-bit ids learns which of 500 users like which of 40 items; the results are those of one process.
"""

import argparse
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe
from report import timed

USERS, ITEMS, DIM, BATCH = 500, 40, 8, 256


def make_embeddings():
    return jaxtbe.EmbeddingBags(
        tables=[
            jaxtbe.Table("user", rows=16_384, dim=DIM, zch=jaxtbe.Zch(buckets=64)),
            jaxtbe.Table("item", rows=ITEMS, dim=DIM),
        ],
        features=[jaxtbe.Feature("user", table="user"), jaxtbe.Feature("liked", table="item", pooling="mean")],
    )


def samples(step: int, first: int, count: int):
    """Samples [first, first + count) of a step's batch: the same whoever makes them."""
    rng = np.random.default_rng(step)
    user, liked = rng.integers(0, USERS, BATCH), rng.integers(0, ITEMS, (BATCH, 3))
    labels = (user % 2 == (liked < ITEMS // 2).sum(axis=1) // 2).astype(np.float32)
    mine = slice(first, first + count)
    return {"user": user[mine] * (2**40 + 1), "liked": liked[mine]}, labels[mine]


def loss_fn(params, emb, bags, labels):
    acts = emb(params["emb"], bags)
    logits = jnp.sum(jnp.tanh(acts["user"] @ params["w"]) * acts["liked"], axis=1)
    return optax.sigmoid_binary_cross_entropy(logits, labels).mean()


def train(steps: int) -> None:
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    emb = make_embeddings().shard(mesh, {"item": "replicated"})
    params = emb.place({"emb": emb.init(jax.random.key(0)), "w": np.eye(DIM, dtype=np.float32)})
    tx = optax.partition({"emb": jaxtbe.optim.rowwise_adagrad(0.2), "w": optax.adam(1e-2)}, {"emb": "emb", "w": "w"})
    opt_state, zch_state = emb.place(tx.init(params)), emb.init_zch()

    @jax.jit(donate_argnums=(0, 1, 2))
    def step(params, opt_state, zch_state, bags, labels):
        zch_state, bags, _ = emb.remap(zch_state, bags)
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params, emb, bags, labels)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, zch_state, loss

    count = BATCH // jax.process_count()
    for number in range(steps):
        ids, labels = samples(number, jax.process_index() * count, count)
        bags = emb.global_bags(emb.bags(ids), capacity=4 * BATCH // jax.device_count())
        labels = jax.make_array_from_process_local_data(emb.spec.placement.named(emb.spec.placement.split), labels)
        params, opt_state, zch_state, loss = step(params, opt_state, zch_state, bags, labels)
        if jax.process_index() == 0 and number % 10 == 9:
            print(f"step {number + 1}: loss {float(loss):.6f}", flush=True)
    jaxtbe.check(opt_state)
    if jax.process_index() == 0:
        rows = sum(s.data.shape[0] for s in params["emb"].tables["user"].addressable_shards)
        seen = int(zch_state["user"].occupancy)
        print(f"{jax.process_count()} processes, {rows} of 16384 user rows in each, {seen} users seen")


def launch(processes: int, steps: int) -> int:
    """Runs `processes` copies of this program on this machine; the exit status of the worst."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, __file__, "--coordinator", coordinator]
    command += ["--processes", str(processes), "--steps", str(steps)]
    running = [subprocess.Popen([*command, "--process", str(k)]) for k in range(processes)]
    return max(abs(p.wait()) for p in running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--coordinator", help="host:port of process 0; without it, all processes start here")
    parser.add_argument("--process", type=int, default=0)
    args = parser.parse_args()
    if args.coordinator is None:
        timed(run)(args)
    else:
        run(args)


def run(args: argparse.Namespace) -> None:
    """All processes, or the one that the arguments say."""
    if args.coordinator is None and args.processes > 1:
        if status := launch(args.processes, args.steps):
            sys.exit(status)
        return
    if args.processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(args.coordinator, args.processes, args.process)
    train(args.steps)


if __name__ == "__main__":
    main()
