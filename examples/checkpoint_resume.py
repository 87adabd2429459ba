"""A training run that is killed and goes on: from its last checkpoint, to the same bits as a run that nobody disturbed.

Tables, optimizer state and the hashed table's ids are ordinary pytrees, which Orbax saves and restores. Batches depend on the
step's number alone, so a resumed run sees what it would have seen. Beside the arrays lies the layout of the hashed table, as
JSON: to restore into another layout is an error, not a model that has forgotten who is who.

    pip install orbax-checkpoint tqdm && pip install --no-deps recbole==1.2.1    # the wheel that ships the data
    python examples/checkpoint_resume.py
"""

import argparse
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from tqdm import tqdm

import jaxtbe
from ratings import Dataset, load_ratings
from report import timed

DIM, BATCH, SAVE_EVERY, KILLED = 16, 512, 20, 9

EMB = jaxtbe.EmbeddingBags(
    tables=[
        jaxtbe.Table("user", rows=1024, dim=DIM, zch=jaxtbe.Zch(policy="lru", buckets=4)),  # keyed by raw 64-bit ids
        jaxtbe.Table("film", rows=1683, dim=DIM, dtype=jnp.bfloat16),
    ],
    features=[jaxtbe.Feature("user_id", table="user"), jaxtbe.Feature("item", table="film")],
)
TX = jaxtbe.optim.rowwise_adagrad(0.1, rounding="stochastic", seed=1)


def init_state() -> dict:
    params = EMB.init(jax.random.key(0))
    return {"params": params, "opt_state": TX.init(params), "zch": EMB.init_zch()}


def make_batch(data: Dataset, number: int):
    """The batch of a step: a function of its number."""
    events = np.random.default_rng(number).choice(data.past, BATCH)
    raw_ids = data.ratings.user[events] + 2**40
    bags = EMB.bags({"user_id": raw_ids, "item": data.ratings.item[events]})
    return bags, data.ratings.liked[events].astype(np.float32)


@functools.partial(jax.jit, donate_argnums=0)
def train_step(state, bags, liked, now):
    zch_state, bags, reports = EMB.remap(state["zch"], bags, now=now)
    params, opt_state = EMB.reset_rows(state["params"], state["opt_state"], reports, seed=0)

    def loss_fn(params):
        acts = EMB(params, bags)
        logits = jnp.sum(acts["user_id"] * acts["item"], axis=1)
        return optax.sigmoid_binary_cross_entropy(logits, liked).mean()

    loss, grads = jaxtbe.value_and_grad(loss_fn)(params)
    updates, opt_state = TX.update(grads, opt_state, params)
    return {"params": optax.apply_updates(params, updates), "opt_state": opt_state, "zch": zch_state}, loss


def save(manager: ocp.CheckpointManager, number: int, state: dict) -> None:
    layout = {"zch": jaxtbe.zch.to_json(EMB.tables)}
    args = ocp.args.Composite(state=ocp.args.StandardSave(state), layout=ocp.args.JsonSave(layout))
    manager.save(number, args=args)


def restore(manager: ocp.CheckpointManager) -> dict:
    args = ocp.args.Composite(state=ocp.args.StandardRestore(jax.eval_shape(init_state)), layout=ocp.args.JsonRestore())
    restored = manager.restore(manager.latest_step(), args=args)
    jaxtbe.zch.from_json(restored["layout"]["zch"], expected=EMB.tables)
    return restored["state"]


def run(folder: Path, steps: int, die_after: int) -> None:
    """Trains to `steps`, from the last checkpoint in the folder if there is one; prints a digest of all arrays."""
    data = Dataset(load_ratings())
    with ocp.CheckpointManager(folder.absolute()) as manager:
        start = manager.latest_step() or 0
        state = restore(manager) if start else init_state()
        for number in tqdm(range(start, steps), desc=f"steps from {start}", initial=start, total=steps, unit="step"):
            state, _ = train_step(state, *make_batch(data, number), number)
            if (number + 1) % SAVE_EVERY == 0:
                save(manager, number + 1, state)
            if number + 1 == die_after:
                os._exit(KILLED)  # as a preempted machine does: nothing is tidied up
        manager.wait_until_finished()
    jaxtbe.check(state["opt_state"])
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        digest.update(np.asarray(leaf).tobytes())
    print(f"digest {digest.hexdigest()} from step {start}")


def start_run(folder: Path, steps: int, die_after: int = 0) -> str:
    """A run in a process of its own; its digest, or nothing if it died."""
    command = [sys.executable, __file__, "--folder", str(folder), "--steps", str(steps), "--die-after", str(die_after)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != (KILLED if die_after else 0):
        raise SystemExit(done.returncode)
    return "".join(line for line in done.stdout.splitlines() if line.startswith("digest"))


@timed
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train, be killed, resume.")
    parser.add_argument("--folder", type=Path, help="of the checkpoints: train here; without it, show the whole story")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--die-after", type=int, default=0, help="kill the process after this step; 0: do not")
    parser.add_argument("--quick", action="store_true", help="100 steps")
    args = parser.parse_args(argv)
    steps = 100 if args.quick else args.steps
    if args.folder is not None:
        run(args.folder, steps, args.die_after)
        return

    with tempfile.TemporaryDirectory() as scratch:
        killed_at = steps * 3 // 4 + SAVE_EVERY // 2
        start_run(Path(scratch) / "killed", steps, die_after=killed_at)
        print(f"killed after step {killed_at}")
        resumed = start_run(Path(scratch) / "killed", steps)
        undisturbed = start_run(Path(scratch) / "undisturbed", steps)
    print(f"resumed:     {resumed}\nundisturbed: {undisturbed}")
    if resumed.split()[1] != undisturbed.split()[1]:
        raise SystemExit("the resumed run differs")
    print("the same bits")


if __name__ == "__main__":
    main()
