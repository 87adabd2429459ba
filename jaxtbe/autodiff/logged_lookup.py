"""Lookups that the sparse gradient reaches inside `scan`, `jit` or `checkpoint` of a loss, by the
logs of a backward pass.

A tap belongs to one lookup at the top of the loss. Inside a nested transformation there may be
many, one an iteration; there the backward rule logs what it knows, and JAX stacks the logs of
iterations. Needs `jax.custom_vjp.defvjp_with_logs`.

Under `vmap`, JAX repeats the log of a lookup that is not itself mapped. So the gradient of a scalar
tap counts how often the backward ran, and the log of each run counts as its share of that.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxtbe.autodiff.embedding_grad import LookupGrad
from jaxtbe.autodiff.lookup import _backward, _forward, _lookup
from jaxtbe.autodiff.unstack import merge_batches, merge_faults
from jaxtbe.batch.bags import Bags
from jaxtbe.model.spec import Spec
from jaxtbe.ops.batching import not_mapped

SUPPORTED = hasattr(jax.custom_vjp, "defvjp_with_logs")


class Log(NamedTuple):
    """What the backward of one lookup says of it; stacked over the iterations around it."""

    d_acts: dict[str, Any]
    batch: dict[str, Any]
    faults: Any
    token: Any
    ran: Any  # 1


def logged_lookup(spec: Spec, key: str, tables, bags: Bags, tap: jax.Array) -> dict[str, jax.Array]:
    """Activations by feature. Where `tap`, a scalar, is differentiated, the backward logs a `Log`
    under `key`, and the gradient of `tap` is how often it did.
    """
    bags = jax.tree.map(jnp.asarray, bags)
    return _logged(spec, key, tables, bags.ids, bags.offsets, bags.id_weights, bags.update_mask, tap)[0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _logged(spec, key, tables, ids, offsets, id_weights, update_mask, tap):
    del key
    return _lookup(spec, tables, ids, offsets, id_weights, update_mask, tap)


def _logged_forward(spec, key, *primals):
    del key
    out, saved = _forward(spec, *primals)
    return out, (saved, out[1])


def _logged_backward(spec, key, saved, cotangents):
    saved, faults = saved
    d_tables, _, _, d_weights, _, taps = _backward(spec, saved, cotangents)
    batch = {name: getattr(saved, name) for name in ("ids", "offsets", "id_weights", "update_mask")}
    log = Log(taps.acts, {name: x for name, x in batch.items() if x is not None}, faults, taps.token, jnp.ones(()))
    # A mapped backward would log arrays of which not all have the mapped axis.
    log = not_mapped("jaxtbe.value_and_grad", lambda x: x, log, obj="lookup under jax.vmap")
    return (d_tables, None, None, d_weights, None, jnp.ones(())), {key: log}


if SUPPORTED:
    _logged.defvjp_with_logs(  # type: ignore[attr-defined]  # of newer JAX
        _logged_forward, _logged_backward, symbolic_zeros=True
    )


def share_of(spec: Spec, log: Log, runs: jax.Array) -> tuple[LookupGrad, list[jax.Array]]:
    """A log, of one lookup or stacked, of so many runs, as one share of a gradient; and what was
    computed from the tables.
    """
    repeats = jnp.maximum(jnp.sum(log.ran) / jnp.maximum(runs, 1), 1)
    outer = log.batch["offsets"].ndim - 1
    parts = {name: x.reshape(-1, *x.shape[outer:]) for name, x in log.batch.items()}
    d_acts = {name: d.reshape(-1, *d.shape[outer + 1 :]) / repeats for name, d in log.d_acts.items()}
    faults = merge_faults(log.faults.reshape(-1, len(spec.features), 2))
    faults = faults.at[:, 0].set(faults[:, 0] // repeats.astype(jnp.int32))
    return LookupGrad.of(d_acts, merge_batches(spec, parts), faults, spec), [faults, log.token]
