"""The arrays of a step's arguments that should change in place."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.tree_util import SequenceKey, keystr

from jaxtbe.debug.in_place.hlo import Program, Shape, shape_bytes
from jaxtbe.model.params import is_params
from jaxtbe.support.text import array_bytes, array_text
from jaxtbe.zch.state import ZchState


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An array of the arguments.

    Args:
      name: its path, as in `params['emb'].tables['item']`.
      path: the same within its argument; empty if it is the argument.
      kind: "table", "optimizer state", "ZCH state"; or "argument": anything else.
      text: dtype[shape].
      nbytes: bytes of the whole array, on all devices.
      donated: whether the jitted step donates it.
      parameter: its number among the parameters of the compiled program; None: unused there.
      shape: the dtype and the shape on one device, as the compiled program has it.
      aliased: whether an output takes its memory.
    """

    name: str
    path: str
    kind: str
    text: str
    nbytes: int
    donated: bool
    parameter: int | None = None
    shape: Shape | None = None
    aliased: bool = False

    @property
    def device_bytes(self) -> int:
        """Bytes on each device."""
        return self.nbytes if self.shape is None else shape_bytes(self.shape)

    @property
    def argument(self) -> str:
        """The name of the argument that holds it."""
        return self.name.replace(".", "[").split("[", 1)[0]


def find_leaves(step: Callable, args_info: Any) -> list[Leaf]:
    """All arrays of the arguments, in their order."""
    kinds = _kinds(args_info)
    names = _argument_names(step, args_info)
    leaves = []
    for path, info in jax.tree_util.tree_leaves_with_path(args_info):
        name = names.get(path[:2], f"args{keystr(path[1:2])}" if path[0] == SequenceKey(0) else path[1].key)
        inner, kind = keystr(path[2:]), kinds.get(path, "argument")
        leaves.append(Leaf(name + inner, inner, kind, array_text(info), array_bytes([info]), info.donated))
    return leaves


def _kinds(args_info: Any) -> dict[tuple, str]:
    """Path to kind, of the arrays that jaxtbe's own containers hold."""
    from jaxtbe.writes.optimizer_state import is_optimizer

    def is_container(x):
        return is_params(x) or is_optimizer(x) or isinstance(x, ZchState)

    def arrays(path, tree) -> Iterator[tuple]:
        for inner, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if len(leaf.shape):
                yield (*path, *inner)

    kinds: dict[tuple, str] = {}
    for path, container in jax.tree_util.tree_leaves_with_path(args_info, is_leaf=is_container):
        if is_params(container):
            kinds |= dict.fromkeys(arrays(path, container), "table")
        elif isinstance(container, ZchState):
            kinds |= dict.fromkeys(arrays(path, container), "ZCH state")
        elif is_optimizer(container):
            states = (p for p in arrays(path, container) if getattr(p[len(path)], "name", "") == "tables")
            kinds |= dict.fromkeys(states, "optimizer state")
    return kinds


def _argument_names(step: Callable, args_info: Any) -> dict[tuple, str]:
    """The first two keys of a path to the argument's name, where the step's signature gives them."""
    positional, _ = args_info
    try:
        parameters = list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):
        return {}
    names = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(len(positional) - len(names))]
    return {(SequenceKey(0), SequenceKey(i)): name for i, name in enumerate(names[: len(positional)])}


def with_parameters(leaves: list[Leaf], program: Program) -> list[Leaf]:
    """The leaves with their places in the compiled program: parameters come in the leaves' order,
    without those that the program does not use.
    """
    leaves = list(leaves)
    parameters = [i for i in program.entry.instructions.values() if i.opcode == "parameter"]
    known, at = {leaf.name for leaf in leaves}, 0
    for parameter in sorted(parameters, key=lambda i: int(i.argument)):
        for k in range(at, len(leaves)):
            same = leaves[k].name == parameter.op_name
            if same or (parameter.op_name not in known and parameter.op_name.endswith(leaves[k].path)):
                number = int(parameter.argument)
                leaves[k] = dataclasses.replace(
                    leaves[k],
                    name=parameter.op_name,
                    parameter=number,
                    shape=parameter.shapes[0],
                    aliased=number in program.aliased_parameters,
                )
                at = k + 1
                break
    return leaves
