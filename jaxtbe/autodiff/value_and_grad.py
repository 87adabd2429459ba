"""`value_and_grad` and `grad`: JAX's, with a sparse gradient for every `EmbeddingParams`."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, ParamSpec

import jax
import jax.numpy as jnp

from jaxtbe.autodiff import logged_lookup
from jaxtbe.autodiff.dense_uses import dense_share
from jaxtbe.autodiff.embedding_grad import EmbeddingGrad, LookupGrad
from jaxtbe.autodiff.lookup import make_taps
from jaxtbe.autodiff.recording import Recording, is_recorded, refuse_nested
from jaxtbe.autodiff.table_guard import Guarded, guard
from jaxtbe.model.params import check_tables, is_params
from jaxtbe.model.spec import Spec
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.value_and_grad"
P = ParamSpec("P")


class _Static(NamedTuple):
    """What the first run of a loss told about a lookup."""

    params: int  # which EmbeddingParams of the arguments
    spec: Spec
    batch_size: int


def value_and_grad(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    dense_tables: Sequence[str] = (),
) -> Callable[P, tuple[Any, Any]]:
    """Like `jax.value_and_grad`, but each `EmbeddingParams` in the arguments gets an
    `EmbeddingGrad`.

    Dense leaves get what JAX gives them. No gradient of a table's size is formed. The loss is
    traced twice. Gradients reach a table through its lookups alone: any other use of it with a
    gradient in it (a tied output layer, an L2 term, a lookup of scaled or cast tables) is an error,
    unless `dense_tables` names the table. Reading a table without a gradient, a metric for
    instance, is allowed under `jax.lax.stop_gradient`.

    Lookups must happen in the loss itself; inside a transformation within it (`scan`, `checkpoint`,
    inner `jit`, `vmap` over all but the batch), only where JAX has `custom_vjp.defvjp_with_logs`
    (0.11.1 and later), with the parameters closed over, and not over a mesh or in `cond`.

    Args:
      fun: a function that returns a scalar loss, or `(loss, aux)` with `has_aux`.
      argnums: which positional arguments to differentiate.
      has_aux: whether `fun` returns auxiliary data beside the loss.
      dense_tables: names of tables whose uses beside lookups are differentiated too. Their gradient
        is as large as the table, and so is the cost of the step; every row of them is trained.

    Returns:
      A function that returns `(value, gradient)`, `value` being `(loss, aux)` with `has_aux`. The
      gradient has the structure of the arguments, an `EmbeddingGrad` in place of each
      `EmbeddingParams`. The loss and `aux` are among its tokens, so what they read of a table, they
      read before the update.

    Raises:
      TypeError: a gradient reaches a table beside its lookups.
      RuntimeError: a lookup inside a nested transformation of the loss.
    """
    dense_names = frozenset((dense_tables,) if isinstance(dense_tables, str) else dense_tables)

    @functools.wraps(fun)
    def wrapped(*args: P.args, **kwargs: P.kwargs):
        numbers = _positions(argnums, len(args))
        selected = tuple(args[i] for i in numbers)
        leaves, structure = jax.tree.flatten(selected, is_leaf=is_params)
        tables = _tables(leaves, dense_names)
        dense = [leaf for leaf in leaves if not is_params(leaf)]

        def run(dense, seen, taps, log_taps=None, given=None, guarded=()):
            recording = Recording(seen if given is None else given, seen, taps, log_taps, guarded)
            new_args: list[Any] = list(args)
            marked = jax.tree.unflatten(structure, _replace(leaves, dense, seen))
            for i, arg in zip(numbers, marked, strict=True):
                new_args[i] = arg
            with recording.active():
                out = fun(*new_args, **kwargs)  # type: ignore[arg-type]  # the arguments with others in places
            loss, aux = out if has_aux else (out, None)
            return loss, (aux, [(l.bags, l.faults) for l in recording.lookups], recording)

        abouts = [{name: Guarded(name) for name in of if name not in dense_names} for of in tables]
        guarded = [about for of in abouts for about in of.values()]
        lookups, log_taps = _find_lookups(run, dense, tables, guarded)
        taps = [make_taps(l.spec, l.batch_size) for l in lookups]
        nested: dict[str, tuple[int, Spec, int]] = {}

        def loss_fn(dense, taps, log_taps, guards, dense_uses):
            seen = [
                {
                    name: uses[name] if name in uses else guard(about[name], table, taps_of[name])
                    for name, table in of.items()
                }
                for of, about, taps_of, uses in zip(tables, abouts, guards, dense_uses, strict=True)
            ]
            loss, (aux, found, recording) = run(dense, seen, taps, log_taps, tables, guarded)
            nested.update(recording.nested)
            return loss, (aux, found)

        guards = [dict.fromkeys(about, jnp.zeros(())) for about in abouts]
        dense_uses = [{name: jnp.asarray(t) for name, t in of.items() if name in dense_names} for of in tables]
        differentiate = _with_logs if log_taps else _without_logs
        (loss, (aux, seen)), (d_dense, d_taps, runs, _, d_uses), logs = differentiate(
            loss_fn, dense, taps, log_taps, guards, dense_uses
        )
        shares = [(about, _log_of(key, about[1], logs), runs[key]) for key, about in nested.items()]
        # What reads a table in the backward of a dense use is among the dense gradients.
        after = (loss, aux, d_dense) if dense_names else (loss, aux)
        grads = _pack(leaves, d_dense, lookups, seen, d_taps, shares, d_uses, after)
        grad_tree = jax.tree.unflatten(structure, grads)
        value = (loss, aux) if has_aux else loss
        return value, grad_tree[0] if isinstance(argnums, int) else grad_tree

    return wrapped


def grad(
    fun: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, *, dense_tables: Sequence[str] = ()
) -> Callable[P, Any]:
    """Like `jax.grad`, but each `EmbeddingParams` in the arguments gets an `EmbeddingGrad`. See
    `value_and_grad`.

    Returns:
      A function that returns the gradient, or `(gradient, aux)` with `has_aux`.
    """
    with_value = value_and_grad(fun, argnums, has_aux, dense_tables=dense_tables)

    @functools.wraps(fun)
    def wrapped(*args: P.args, **kwargs: P.kwargs):
        value, gradient = with_value(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def _positions(argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """The positional arguments to differentiate."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    wrong = [i for i in numbers if not isinstance(i, int) or not -count <= i < count]
    if wrong or not numbers:
        raise value_error(
            API,
            "argnums",
            f"positions among the {count} positional arguments of the call",
            f"{argnums!r}",
            "Pass what is differentiated by position, and name its place in argnums",
        )
    return tuple(i % count for i in numbers)


def _tables(leaves, dense_names: frozenset[str]) -> list[dict[str, Any]]:
    """For each `EmbeddingParams` its arrays by table name."""
    for params in filter(is_params, leaves):
        check_tables(API, params)
    tables = [{n: t for n, t in p.tables.items() if hasattr(t, "dtype")} for p in leaves if is_params(p)]
    unknown = sorted(dense_names.difference(*tables)) if tables else sorted(dense_names)
    if unknown:
        raise value_error(
            API,
            "dense_tables",
            f"tables among {sorted({n for of in tables for n in of})}",
            str(unknown),
            "Correct the names",
        )
    if any(is_recorded(of) for of in tables):
        raise type_error(
            API,
            "arguments",
            "a loss outside any other value_and_grad",
            "a nested one",
            "Differentiate once, at the outside",
        )
    return tables


def _replace(leaves, dense, seen) -> list[Any]:
    """The leaves again, with other dense ones and other tables."""
    dense, seen = iter(dense), iter(seen)
    return [
        dataclasses.replace(leaf, tables={**leaf.tables, **next(seen)}) if is_params(leaf) else next(dense)
        for leaf in leaves
    ]


def _find_lookups(run, dense, tables, guarded) -> tuple[list[_Static], dict[str, jax.Array]]:
    """One abstract run of the loss, to learn which taps it needs, and which of the lookups in
    nested transformations.
    """
    found: list[_Static] = []
    nested: dict[str, Any] = {}

    def probe(dense, tables):
        loss, (_, _, recording) = run(
            dense, tables, None, guarded=guarded
        )  # JAX may not run inner jitted functions again
        found.extend(_Static(l.params, l.spec, l.bags.batch_size) for l in recording.lookups)
        nested.update(recording.nested)
        return loss

    jax.eval_shape(probe, dense, tables)
    return found, {key: jnp.zeros(()) for key in nested}


def _without_logs(loss_fn, *args):
    value, gradients = jax.value_and_grad(loss_fn, tuple(range(len(args))), has_aux=True)(*args)
    return value, gradients, {}


def _with_logs(loss_fn, *args):
    loss, vjp, aux = jax.vjp(loss_fn, *args, has_aux=True)
    gradients, logs = vjp.with_logs(jnp.ones_like(loss))  # type: ignore[attr-defined]  # of newer JAX
    return (loss, aux), gradients, logs


def _log_of(key: str, spec: Spec, logs):
    """The log of a lookup, which some transformations drop or wrap: a body that JAX traces more
    than once, or `cond`.
    """
    if not isinstance(logs.get(key), logged_lookup.Log):
        refuse_nested(spec)
    return logs[key]


def _pack(leaves, d_dense, lookups, seen, d_taps, nested, d_uses, after) -> list[Any]:
    """Dense gradients and an `EmbeddingGrad` for each params, in the order of the leaves."""
    tokens = tuple(x for x in jax.tree.leaves(after) if hasattr(x, "dtype"))
    shares: list[list[LookupGrad]] = [[] for _ in d_uses]
    reads = []
    for found, (bags, faults), taps in zip(lookups, seen, d_taps, strict=True):
        shares[found.params].append(LookupGrad.of(taps.acts, bags, faults, found.spec))
        reads += [faults, taps.token]
    for (params, spec, _), log, runs in nested:
        share, read = logged_lookup.share_of(spec, log, runs)
        shares[params].append(share)
        reads += read
    for of_params, uses in zip(shares, d_uses, strict=True):
        specs = [share.spec for share in of_params]
        of_params += [dense_share(name, gradient, specs) for name, gradient in uses.items()]
    sparse = iter(EmbeddingGrad(tuple(s), (*tokens, *reads)) for s in shares)
    dense = iter(d_dense)
    return [next(sparse) if is_params(leaf) else next(dense) for leaf in leaves]
