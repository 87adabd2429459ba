"""`check_in_place`: does a step copy its tables, and why?"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from jaxtbe.debug.in_place.copies import find_copies, place_of, why_copied
from jaxtbe.debug.in_place.dense import find_dense
from jaxtbe.debug.in_place.hlo import Program, shape_bytes
from jaxtbe.debug.in_place.leaves import Leaf, find_leaves, with_parameters
from jaxtbe.debug.in_place.lost import Outputs, find_lost
from jaxtbe.debug.in_place.memory import Memory
from jaxtbe.debug.in_place.report import Finding, InPlaceReport
from jaxtbe.debug.in_place.trace import origin_of
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.debug.check_in_place"
_LARGE = 2**20  # bytes from which arrays count as tables, where no container of jaxtbe says so
_LOOK = "Look at the instructions around it: step.lower(...).compile().as_text()"


def check_in_place(step: Any, *args: Any, **kwargs: Any) -> InPlaceReport:
    """Says whether a jitted step copies tables, or computes arrays of their size, and why.

    The step is lowered and compiled, not run: nothing is donated and no array is read. It looks at
    the tables of `EmbeddingParams`, at the states of the optimizers of `jaxtbe.optim` and at ZCH
    states; where there are none of them, at all arrays of 1 MiB or more that come back with the
    same shape. What compilation cannot see is a NumPy view of a table that is alive when the step
    is called: it turns donation into a copy as well.

    Args:
      step: what `jax.jit` returned, with its `donate_argnums`.
      *args, **kwargs: what it is called with: arrays, or `jax.ShapeDtypeStruct`s in place of them.

    Returns:
      An `InPlaceReport`: `print(report)` shows everything, and `assert report.in_place, report`
      suits a test.

    Raises:
      TypeError: a function that is not jitted.
      ValueError: no array to look at.

    Example:
      >>> import jax, jax.numpy as jnp, optax, jaxtbe
      >>> emb = jaxtbe.EmbeddingBags([jaxtbe.Table("item", rows=1000, dim=8)], [jaxtbe.Feature("seen", table="item")])
      >>> tx, params = jaxtbe.optim.sgd(0.1), emb.init(jax.random.key(0))
      >>> def step(params, opt_state, bags):
      ...     loss, grads = jaxtbe.value_and_grad(lambda p: jnp.sum(emb(p, bags)["seen"] ** 2))(params)
      ...     updates, opt_state = tx.update(grads, opt_state, params)
      ...     return optax.apply_updates(params, updates), opt_state, loss
      >>> args = params, tx.init(params), emb.bags({"seen": [[1, 2], [3]]})
      >>> jaxtbe.debug.check_in_place(jax.jit(step, donate_argnums=(0, 1)), *args).in_place
      True
      >>> [finding.kind for finding in jaxtbe.debug.check_in_place(jax.jit(step), *args).findings]
      ['not donated']
    """
    if not hasattr(step, "lower"):
        raise type_error(
            API,
            "step",
            "a jitted function",
            f"a {type(step).__name__}",
            "Pass jax.jit(step, donate_argnums=...) with the arguments that hold tables and optimizer states",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some donated buffers were not usable")
        lowered = step.lower(*args, **kwargs)
        while hasattr(lowered, "lowered"):  # as Equinox and Flax wrap it
            lowered = lowered.lowered
        compiled = lowered.compile()
    outputs, memory = Outputs(lowered.out_info), Memory.of(compiled)
    named, unread = find_leaves(step, lowered.args_info), ""
    findings: list[Finding] = []
    try:
        program = Program(compiled.as_text())
        everything, constants = with_parameters(named, program), list(_constants(program))
    except Exception as error:  # the text of a compiled program has no form that anybody promised
        everything, constants, unread = memory.with_shares(named), [], f"{type(error).__name__}: {error}"
    leaves = _watched(everything, outputs, constants)
    if not unread:
        try:
            lost = list(find_lost(leaves, outputs))
            findings = [*constants, *lost, *_copies(program, leaves, lost), *_dense(program, leaves, everything)]
        except Exception as error:
            unread = f"{type(error).__name__}: {error}"
    if not findings:
        findings = list(memory.find_lost(leaves, outputs))
    name = getattr(step, "__name__", type(step).__name__)
    return InPlaceReport(name, tuple(leaves), tuple(findings), memory.temp_bytes, unread)


def _watched(everything: list[Leaf], outputs: Outputs, constants: list[Finding]) -> list[Leaf]:
    leaves = [leaf for leaf in everything if leaf.kind != "argument"]
    leaves = leaves or [leaf for leaf in everything if leaf.nbytes >= _LARGE and leaf.text in outputs.count]
    if not leaves and not constants:
        raise value_error(
            API,
            "arguments",
            "an EmbeddingParams, or large arrays that the step returns",
            f"{len(everything)} other arrays",
            "Pass tables as arguments: the step cannot change in place what it closes over",
        )
    return leaves


def _constants(program: Program) -> Iterator[Finding]:
    """Large arrays that are part of the program."""
    for computation in program.executed():
        for instruction in computation.instructions.values():
            if instruction.opcode == "constant" and shape_bytes(instruction.shapes[0]) >= _LARGE:
                name = f"{instruction.shapes[0][0]}{list(instruction.shapes[0][1])}"
                why = "the step closes over it: it is part of the program, and cannot change in place"
                nbytes = shape_bytes(instruction.shapes[0])
                yield Finding("constant", (name,), nbytes, why, "Pass it as an argument, and donate it if it changes")


def _copies(program: Program, leaves: list[Leaf], lost: list[Finding]) -> list[Finding]:
    """One finding for each array and reason; what is lost anyway is not told again."""
    by_parameter: dict[int | None, Leaf] = {leaf.parameter: leaf for leaf in leaves}
    by_shape: dict[Any, list[Leaf]] = {}
    for leaf in leaves:
        by_shape.setdefault(leaf.shape, []).append(leaf)
    lost_names = {name for finding in lost for name in finding.names}
    lost_shapes = {leaf.shape for leaf in leaves if leaf.name in lost_names}
    found: dict[tuple, list[Finding]] = {}
    for computation, copy in find_copies(program, {leaf.shape for leaf in leaves if leaf.shape is not None}):
        origin = origin_of(program, computation, copy.name)
        names = _names(by_shape[copy.shapes[0]])
        if origin.instruction.opcode == "parameter":
            watched = by_parameter.get(int(origin.instruction.argument))
            if watched is None or not watched.aliased:
                continue
            names = (watched.name,)
        elif not origin.updated:
            continue  # of a constant, or of an array that happens to have a table's shape
        reason = why_copied(program, computation, copy)
        if reason is None and copy.shapes[0] in lost_shapes:
            continue  # outputs that take each other's memory, because one is missing
        why, remedy, source = reason or ("XLA copies it, for a reason that was not recognised", _LOOK, "")
        place = place_of(program, computation)
        nbytes = by_shape[copy.shapes[0]][0].device_bytes
        finding = Finding("copy", names, nbytes, f"{why}{', ' + place if place else ''}", remedy, source)
        found.setdefault(names, []).append(finding)
    return [_merge(findings) for findings in found.values()]


def _merge(findings: list[Finding]) -> Finding:
    """The first with a source, which says most; several copies of one array have one cause."""
    return next((f for f in findings if f.source), findings[0])


def _dense(program: Program, leaves: list[Leaf], everything: list[Leaf]) -> list[Finding]:
    """Table-sized arrays. Tables no longer than some other argument are left out: activations may
    have their shape.
    """
    longest = max((x.shape[1][0] for x in everything if x.kind == "argument" and x.shape and x.shape[1]), default=0)
    leaves = [x for x in leaves if x.shape is not None and len(x.shape[1]) > 1 and x.shape[1][0] > longest]
    by_dims: dict[tuple[int, ...], list[Leaf]] = {}
    for leaf in leaves:
        by_dims.setdefault(leaf.shape[1] if leaf.shape else (), []).append(leaf)
    found: dict[tuple, Finding] = {}
    for dense in find_dense(program, set(by_dims)):
        same = by_dims[dense.dims]
        finding = Finding("dense", _names(same), same[0].device_bytes, dense.why, dense.remedy, dense.source)
        key = dense.dims
        if key not in found or (dense.gradient and "gradient" not in found[key].why):
            found[key] = finding  # a gradient explains what else is computed with it
    return list(found.values())


def _names(leaves: Iterable[Leaf]) -> tuple[str, ...]:
    return tuple(leaf.name for leaf in leaves)
