"""`value_and_grad` and `grad`: JAX's, with a sparse gradient for every `EmbeddingParams`."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxtbe import logged_lookup
from jaxtbe.bags import Bags
from jaxtbe.embedding_grad import EmbeddingGrad, LookupGrad
from jaxtbe.errors import runtime_error, type_error
from jaxtbe.lookup import Taps, lookup, make_taps
from jaxtbe.params import is_params
from jaxtbe.spec import Spec

API = "jaxtbe.value_and_grad"


class _Lookup(NamedTuple):
    params: int  # which EmbeddingParams of the arguments
    spec: Spec
    bags: Bags
    faults: jax.Array


def _trace_state():
    from jax.extend.core import get_opaque_trace_state  # slow to import, and needed only while a loss is traced

    return get_opaque_trace_state()


class Recording:
    """The lookups of one run of a loss, in order. Without taps it only notes what taps they need."""

    def __init__(self, taps: list[Taps] | None, log_taps: dict[str, jax.Array] | None = None):
        self.taps = taps
        self.log_taps = log_taps or {}
        self.lookups: list[_Lookup] = []
        self.nested: dict[str, tuple[int, Spec, int]] = {}  # key of its log to params, spec and batch size
        self.trace_state = _trace_state()

    def lookup(self, params: int, spec: Spec, tables, bags: Bags):
        if _trace_state() != self.trace_state:
            return self._nested_lookup(params, spec, tables, bags)
        taps = make_taps(spec, bags.batch_size) if self.taps is None else self.taps[len(self.lookups)]
        acts, faults = lookup(spec, tables, bags, taps)
        self.lookups.append(_Lookup(params, spec, bags, faults))
        return acts

    def _nested_lookup(self, params: int, spec: Spec, tables, bags: Bags):
        if not logged_lookup.SUPPORTED or spec.sharding is not None:
            raise _unreachable(spec)
        key = f"jaxtbe lookup {len(self.nested)}"
        self.nested[key] = params, spec, bags.batch_size
        return logged_lookup.logged_lookup(spec, key, tables, bags, self.log_taps.get(key, jnp.zeros(())))


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedParams:
    """The static mark of an `EmbeddingParams` inside a recorded loss: whose lookups they are."""

    recording: Recording
    index: int

    def lookup(self, spec: Spec, tables, bags: Bags):
        return self.recording.lookup(self.index, spec, tables, bags)


def value_and_grad(fun: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Like `jax.value_and_grad`, but each `EmbeddingParams` in the arguments gets an `EmbeddingGrad`.

    Dense leaves get what JAX gives them. No gradient of a table's size is formed. The loss is traced twice. Lookups must
    happen in the loss itself; inside a transformation within it (`scan`, `checkpoint`, inner `jit`, `vmap` over all but the
    batch), only where JAX has `custom_vjp.defvjp_with_logs` (0.11.1 and later), and not over a mesh or in `cond`.

    Args:
      fun: a function that returns a scalar loss, or `(loss, aux)` with `has_aux`.
      argnums: which positional arguments to differentiate.
      has_aux: whether `fun` returns auxiliary data beside the loss.

    Returns:
      A function that returns `(value, gradient)`, `value` being `(loss, aux)` with `has_aux`. The gradient has the structure
      of the arguments, an `EmbeddingGrad` in place of each `EmbeddingParams`. The loss and `aux` are among its tokens, so
      what they read of a table, they read before the update.

    Raises:
      RuntimeError: a lookup inside a nested transformation of the loss.
    """

    @functools.wraps(fun)
    def wrapped(*args, **kwargs):
        numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        selected = tuple(args[i] for i in numbers)
        leaves, structure = jax.tree.flatten(selected, is_leaf=is_params)
        is_table = [is_params(leaf) for leaf in leaves]
        dense = [leaf for leaf, table in zip(leaves, is_table, strict=True) if not table]

        def run(dense, taps, log_taps=None):
            recording = Recording(taps, log_taps)
            marked = _mark(leaves, is_table, dense, recording)
            new_args = list(args)
            for i, arg in zip(numbers, jax.tree.unflatten(structure, marked), strict=True):
                new_args[i] = arg
            out = fun(*new_args, **kwargs)
            loss, aux = out if has_aux else (out, None)
            return loss, (aux, [(l.bags, l.faults) for l in recording.lookups], recording)

        lookups, log_taps = _find_lookups(run, dense)
        taps = [make_taps(l.spec, l.bags.batch_size) for l in lookups]

        nested: dict[str, tuple[int, Spec, int]] = {}

        def loss_fn(dense, taps, log_taps):
            loss, (aux, seen, recording) = run(dense, taps, log_taps)
            nested.update(recording.nested)
            return loss, (aux, seen)

        differentiate = _with_logs if log_taps else _without_logs
        (loss, (aux, seen)), (d_dense, d_taps, runs), logs = differentiate(loss_fn, dense, taps, log_taps)
        shares = [(about, _log_of(key, about[1], logs), runs[key]) for key, about in nested.items()]
        grads = _pack(is_table, d_dense, lookups, seen, d_taps, shares, after=(loss, aux))
        grad_tree = jax.tree.unflatten(structure, grads)
        value = (loss, aux) if has_aux else loss
        return value, grad_tree[0] if isinstance(argnums, int) else grad_tree

    return wrapped


def grad(fun: Callable, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable:
    """Like `jax.grad`, but each `EmbeddingParams` in the arguments gets an `EmbeddingGrad`. See `value_and_grad`.

    Returns:
      A function that returns the gradient, or `(gradient, aux)` with `has_aux`.
    """
    with_value = value_and_grad(fun, argnums, has_aux)

    @functools.wraps(fun)
    def wrapped(*args, **kwargs):
        value, gradient = with_value(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def _mark(leaves, is_table, dense, recording):
    """The leaves again, the dense ones replaced and the tables marked with their recording."""
    dense, marked, index = iter(dense), [], 0
    for leaf, table in zip(leaves, is_table, strict=True):
        if not table:
            marked.append(next(dense))
            continue
        if leaf.recording is not None:
            raise type_error(
                API,
                "arguments",
                "a loss outside any other value_and_grad",
                "a nested one",
                "Differentiate once, at the outside",
            )
        marked.append(dataclasses.replace(leaf, recording=RecordedParams(recording, index)))
        index += 1
    return marked


def _find_lookups(run, dense) -> tuple[list[_Lookup], dict[str, jax.Array]]:
    """One abstract run of the loss, to learn which taps it needs, and which of the lookups in nested transformations."""
    found: list[_Lookup] = []
    nested: dict[str, Any] = {}

    def probe(dense):
        loss, (_, _, recording) = run(dense, None)
        found.extend(recording.lookups)
        nested.update(recording.nested)
        return loss

    jax.eval_shape(probe, dense)
    return found, {key: jnp.zeros(()) for key in nested}


def _without_logs(loss_fn, dense, taps, log_taps):
    value, gradients = jax.value_and_grad(loss_fn, (0, 1, 2), has_aux=True)(dense, taps, log_taps)
    return value, gradients, {}


def _with_logs(loss_fn, dense, taps, log_taps):
    loss, vjp, aux = jax.vjp(loss_fn, dense, taps, log_taps, has_aux=True)
    gradients, logs = vjp.with_logs(jnp.ones_like(loss))  # type: ignore[attr-defined]  # of newer JAX
    return (loss, aux), gradients, logs


def _log_of(key: str, spec: Spec, logs):
    """The log of a lookup, which some transformations drop or wrap: a body that JAX traces more than once, or `cond`."""
    if not isinstance(logs.get(key), logged_lookup.Log):
        raise _unreachable(spec)
    return logs[key]


def _unreachable(spec: Spec) -> RuntimeError:
    return runtime_error(
        API,
        f"lookup of features {spec.feature_names}",
        "a lookup in the loss itself",
        "one inside a nested transformation (jit, scan, vmap, checkpoint, ...) of the loss",
        "Look up before the nested function and pass the activations in",
    )


def _pack(is_table, d_dense, lookups, seen, d_taps, nested, after):
    """Dense gradients and an `EmbeddingGrad` for each params, in the order of the leaves."""
    tokens = tuple(x for x in jax.tree.leaves(after) if hasattr(x, "dtype"))
    num_params = sum(is_table)
    shares: list[list[LookupGrad]] = [[] for _ in range(num_params)]
    reads = []
    for found, (bags, faults), taps in zip(lookups, seen, d_taps, strict=True):
        shares[found.params].append(LookupGrad(taps.acts, bags, faults, found.spec))
        reads += [faults, taps.token]
    for (params, spec, batch_size), log, runs in nested:
        share, read = logged_lookup.share_of(spec, batch_size, log, runs)
        shares[params].append(share)
        reads += read
    sparse = iter(EmbeddingGrad(tuple(s), (*tokens, *reads)) for s in shares)
    dense = iter(d_dense)
    return [next(sparse) if table else next(dense) for table in is_table]
