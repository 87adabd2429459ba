"""What the checkpoint tests run, each in a process of its own: `python checkpoint_program.py <task> <folder>`."""

import os
import sys

import jax

jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import orbax.checkpoint as ocp  # noqa: E402

import jaxtbe  # noqa: E402

TABLES = [
    jaxtbe.Table("user", rows=64, dim=4, zch=jaxtbe.Zch(buckets=8, policy="lru")),
    jaxtbe.Table("item", rows=40, dim=3, dtype=jnp.bfloat16),
]
FEATURES = [jaxtbe.Feature("user_id", table="user"), jaxtbe.Feature("items", table="item", pooling="mean")]
ONE = jaxtbe.EmbeddingBags(TABLES, FEATURES)
TX = jaxtbe.optim.per_table({"item": jaxtbe.optim.adam(0.01)}, default=jaxtbe.optim.rowwise_adagrad(0.1))
LAYOUTS = {t.name: (t.rows, t.zch) for t in TABLES if t.zch is not None}


def over(devices):
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:devices]), ("data",))
    return ONE.shard(mesh)


def start(emb):
    params = emb.init(jax.random.key(0))
    return emb.place({"params": params, "opt_state": TX.init(params), "zch": emb.init_zch()})


def train(emb, state, steps):
    """Steps whose gradients of the activations are given: then every device count gives the same bits."""

    @jax.jit
    def step(state, bags, d_acts, now):
        zch_state, bags, reports = emb.remap(state["zch"], bags, now=now)
        params, opt_state = emb.reset_rows(state["params"], state["opt_state"], reports, seed=5)
        updates, opt_state = TX.update(emb.gradient(bags, d_acts), opt_state, params)
        return {"params": optax.apply_updates(params, updates), "opt_state": opt_state, "zch": zch_state}

    for number in steps:
        rng = np.random.default_rng(number)
        ids = {"user_id": rng.integers(0, 150, 16) * 2**35 + rng.integers(0, 99), "items": rng.integers(0, 40, (16, 3))}
        d_acts = {"user_id": rng.normal(size=(16, 4)), "items": rng.normal(size=(16, 3))}
        d_acts = {name: d.astype(np.float32) for name, d in d_acts.items()}
        state = step(state, emb.bags(ids, capacity=64), d_acts, number)
    return state


def manager(folder):
    return ocp.CheckpointManager(os.path.abspath(folder))


def save(saver, number, state):
    spec = jaxtbe.zch.to_json(LAYOUTS)
    saver.save(
        number, args=ocp.args.Composite(state=ocp.args.StandardSave(state), spec=ocp.args.JsonSave({"zch": spec}))
    )


def restore(saver, emb):
    """The newest checkpoint, on the devices of `emb`, whatever mesh it was saved from."""
    spec = saver.restore(saver.latest_step(), args=ocp.args.Composite(spec=ocp.args.JsonRestore()))["spec"]
    jaxtbe.zch.from_json(spec["zch"], expected=LAYOUTS)
    shapes = jax.eval_shape(lambda: {"params": ONE.init(jax.random.key(0)), "zch": ONE.init_zch()})
    shapes["opt_state"] = jax.eval_shape(TX.init, shapes["params"])
    wanted = jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes, emb.shardings(shapes)
    )
    args = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
    return saver.restore(saver.latest_step(), args=args)["state"]


def move(folder):
    """Saved from 4 devices, restored on 8 and on 2: both continue as 4 would have, bit for bit."""
    four = over(4)
    state = train(four, start(four), range(3))
    with manager(folder) as saver:
        save(saver, 3, state)
        saver.wait_until_finished()
        for devices in (8, 2):
            emb = over(devices)
            restored = restore(saver, emb)
            assert len(restored["params"].tables["user"].sharding.device_set) == devices
            want, got = train(four, state, range(3, 6)), train(emb, restored, range(3, 6))
            for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(want), jax.tree.leaves(got), strict=True):
                np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=jax.tree_util.keystr(path))


def killed(folder):
    """Saves one checkpoint, and dies while it saves the next."""
    emb = over(4)
    saver = manager(folder)
    save(saver, 1, train(emb, start(emb), range(1)))
    saver.wait_until_finished()
    save(saver, 2, train(emb, start(emb), range(2)))
    os._exit(9)


def after_killed(folder):
    """What was saved first is there."""
    emb = over(2)
    with manager(folder) as saver:
        step = saver.latest_step()
        want, got = train(emb, start(emb), range(step)), restore(saver, emb)
        print("restored", step)
        for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


if __name__ == "__main__":
    {"move": move, "killed": killed, "after_killed": after_killed}[sys.argv[1]](sys.argv[2])
    print("passed")
