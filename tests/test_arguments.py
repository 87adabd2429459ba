"""Arguments that a program has damaged: what the public functions say, whatever would fail within."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe
from jaxtbe import optim, zch

EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=6, dim=3)], [jaxtbe.Feature("f", table="t")])
BAGS = EMB.bags({"f": [[1, 2], [5]]})
STATE = zch.init_zch(zch.Zch(), 4)


def params():
    return EMB.init(jax.random.key(0))


def grads():
    return EMB.gradient(BAGS, {"f": jnp.ones((2, 3))})


def updated(tx=None, state=None, of=None, gradient=None):
    tx, of = tx or optim.adam(0.1), of or params()
    return tx.update(gradient or grads(), tx.init(params()) if state is None else state, of)


def with_sealed(change):
    share = grads().lookups[0]
    sealed = {name: change(name, x) for name, x in share.sealed.items()}
    return jaxtbe.EmbeddingGrad((type(share)(share.d_acts, sealed, share.spec),))


STATE_OF_ADAM = optim.adam(0.1).init(params())
CASES = {
    "a list as ids": (
        lambda: EMB(params(), BAGS.replace(ids=[1, 2])),
        TypeError,
        r"Bags: ids: expected an array.*got list",
    ),
    "features in a list": (lambda: BAGS.replace(features=["f"]), TypeError, "features: expected a tuple of names"),
    "no shards": (lambda: BAGS.replace(shards=0), ValueError, "shards: expected at least 1, got 0"),
    "validated without a model": (lambda: BAGS.validate(None), TypeError, "emb: expected a jaxtbe.EmbeddingBags"),
    "offsets cut": (
        lambda: BAGS.replace(offsets=BAGS.offsets[:0]).validate(EMB),
        ValueError,
        r"offsets: expected an array of shape \(3,\), got shape \(0,\)",
    ),
    "tables in a list": (
        lambda: optim.sgd(0.1).init(jaxtbe.EmbeddingParams([1])),  # type: ignore[arg-type]
        TypeError,
        "EmbeddingParams.tables: expected a dict",
    ),
    "a table flat": (
        lambda: optim.sgd(0.1).init(jaxtbe.EmbeddingParams({"t": jnp.ones(18)})),
        TypeError,
        r"table 't': expected an array dtype\[rows, dim\], got shape \(18,\)",
    ),
    "another state": (lambda: updated(state=(1, 2)), TypeError, "optimizer state: expected a state of a jaxtbe.optim"),
    "a count of floats": (
        lambda: updated(state=STATE_OF_ADAM._replace(count=jnp.zeros(()))),
        TypeError,
        "count of the optimizer state",
    ),
    "faults cut": (
        lambda: updated(state=STATE_OF_ADAM._replace(faults=jnp.zeros((1, 0), jnp.int32))),
        ValueError,
        r"faults of the optimizer state: expected an array of shape \(1, 4\)",
    ),
    "offsets a scalar": (
        lambda: updated(gradient=with_sealed(lambda n, x: x[0] if n == "offsets" else x)),
        ValueError,
        r"EmbeddingGrad: lookup of features \('f',\): expected its offsets as the lookup had them",
    ),
    "faults of a gradient cut": (
        lambda: updated(gradient=with_sealed(lambda n, x: x[:, :1] if n == "faults" else x)),
        ValueError,
        "expected its faults as the lookup had them",
    ),
    "a state that is a number": (
        lambda: EMB.assign(
            params(),
            BAGS,
            {"f": jnp.ones((2, 3))},
            STATE_OF_ADAM._replace(tables={"t": {"mu": 3}}),
            reset_state=True,
        ),
        TypeError,
        "assign: state .*mu.* of table 't': expected an array",
    ),
    "assigned to a dict": (lambda: EMB.assign({}, BAGS, {}), TypeError, "parameters: expected jaxtbe.EmbeddingParams"),  # type: ignore[arg-type]
    "bytes of unknown tables": (
        lambda: jaxtbe.sharding.step_bytes(EMB, 4, 4, 2, replicated=("u",)),
        ValueError,
        r"replicated and peer_capacity: expected tables among \['t'\]",
    ),
    "shares that are none": (
        lambda: optim.global_norm(jaxtbe.EmbeddingGrad((3,))),  # type: ignore[arg-type]
        TypeError,
        "lookups: expected those of jaxtbe.value_and_grad, got int",
    ),
    "no transformation": (lambda: optim.lazy(optax.adam), TypeError, "expected an optax.GradientTransformation"),  # type: ignore[arg-type]
    "errors in words": (lambda: optim.apply_if_finite(optim.sgd(0.1), "3"), TypeError, "max_consecutive_errors"),  # type: ignore[arg-type]
    "dense gradients that are numbers": (
        lambda: optim.scale_gradients({"w": 3}, 2.0),
        TypeError,
        "grads: expected an array",
    ),
    "a rebuilt optimizer": (
        lambda: optim.per_table({"t": type(optim.sgd(0.1))(*optim.sgd(0.1))}),
        TypeError,
        "optimizer of 't': expected one of jaxtbe.optim",
    ),
    "no zch": (lambda: zch.init_zch(None, 4), TypeError, "zch: expected a jaxtbe.Zch, got NoneType"),  # type: ignore[arg-type]
    "rows past int32": (lambda: zch.init_zch(zch.Zch(), 2**31), ValueError, r"rows: expected 1 <= rows < 2\*\*31"),
    "devices in a list": (lambda: zch.shard_config(zch.Zch(), [1]), TypeError, "devices: expected a whole number"),  # type: ignore[arg-type]
    "parts of other rows": (
        lambda: zch.reshard([STATE], [jnp.ones((3, 2))], 1, 1, zch=zch.Zch()),
        ValueError,
        r"params: expected arrays of 4 rows, got shape \(3, 2\)",
    ),
    "no rows": (lambda: zch.merge_rows(), ValueError, "rows: expected those of one table at least"),
    "offsets of other features": (
        lambda: zch.row_numbers(jaxtbe.pack_ids(np.arange(3)), np.zeros(4, np.int32), (True, False)),
        ValueError,
        r"offsets: expected \[F\*B\+1\] numbers for F=2 features",
    ),
    "nothing pending": (
        lambda: zch.ZchMetrics(pending=-1),
        ValueError,
        "pending: expected a whole number of at least 0",
    ),
    "identities of int32": (
        lambda: zch.to_fbgemm(zch.ZchState(jnp.zeros((4, 2), jnp.int32), STATE.last_seen, None, STATE.occupancy)),
        TypeError,
        r"state.identities: expected an array u32\[slots, 2\], got i32\[4,2\]",
    ),
    "an axis twice": (
        lambda: EMB.shard(jax.make_mesh((1,), ("d",)), axis=("d", "d")),
        ValueError,
        r"axis: expected axes among \('d',\)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case):
    make, error, message = CASES[case]
    with pytest.raises(error, match=message) as caught:
        make()
    assert str(caught.value).startswith("jaxtbe.")


@pytest.mark.parametrize("seed", [2**31, 2**32 - 1])
def test_seeds_past_int32(seed):
    """They are whole numbers below 2**32, as the options say."""
    tx, old = optim.sgd(0.1, rounding="stochastic", seed=seed), params()
    updates, _ = updated(tx, of=old)
    new = optax.apply_updates(old, updates).tables["t"]
    changed = np.flatnonzero(np.any(np.asarray(new != old.tables["t"]), axis=1))
    assert changed.tolist() == [1, 2, 5]


def test_scales_past_int32():
    scaled = (grads() * 2**62).lookups[0].d_acts["f"]
    np.testing.assert_array_equal(scaled, np.full((2, 3), 2.0**62))
