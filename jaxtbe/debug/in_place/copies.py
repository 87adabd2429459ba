"""Why a compiled program copies an array: what else uses the old value, found from the instructions
around the copy.
"""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtbe.debug.in_place.hlo import Computation, Instruction, Program, Shape

_COPIES = ("copy", "copy-start")
_CHANGERS = ("while", "conditional", "call")


class Reason(NamedTuple):
    why: str
    remedy: str
    source: str = ""


def find_copies(program: Program, shapes: set[Shape]) -> Iterator[tuple[Computation, Instruction]]:
    """The copies of arrays of these shapes."""
    for computation in program.executed():
        for instruction in computation.instructions.values():
            if instruction.opcode in _COPIES and instruction.shapes[0] in shapes:
                yield computation, instruction


def why_copied(program: Program, computation: Computation, copy: Instruction) -> Reason | None:
    """The reason, where the instructions tell it."""
    members = _same_value(computation, copy)
    uses = _Uses(program, computation, members)
    if uses.returned > 1:
        return Reason("one table is returned more than once", "Return it once")
    if uses.returned and uses.changers:
        return Reason(
            "the table as it was before the update is returned as well",
            "Return the updated table only, or copy rows of it",
        )
    if len(uses.changers) > 1:
        second = uses.changers[-1]
        return Reason(
            f"two updates start from the same table: {_title(uses.changers[0])} and {_title(second)}",
            "Add the gradients up and update once, or let the second update start from what the first returned",
            program.source(second),
        )
    for changer in uses.changers:
        before = computation.ancestors(changer)
        late = [reader for reader in uses.readers if reader.name not in before]
        if late:
            return _late_read(program, max(late, key=_chooses))
    return None


def place_of(program: Program, computation: Computation) -> str:
    """Where a computation runs: empty for the program itself, else the loop or branch."""
    if computation.name not in program.callers:
        return ""
    _, caller = program.callers[computation.name]
    words = {"while": "inside a loop (scan, while_loop, fori_loop)", "conditional": "inside a branch (cond, switch)"}
    return words.get(caller.opcode, "")


def _late_read(program: Program, reader: Instruction) -> Reason:
    title, source = _title(reader), program.source(reader)
    if _chooses(reader):
        return Reason(
            f"{title} chooses between the old and the new table",
            "Skip a step with jax.lax.cond, or with a learning rate of 0",
            source,
        )
    return Reason(
        f"{title} reads the table, and the update does not wait for it",
        "Pass what it computes to grads.after(...), return it from the loss as aux, or read the new table",
        source,
    )


def _chooses(reader: Instruction) -> bool:
    return "select" in reader.op_name or reader.opcode == "select"


def _title(instruction: Instruction) -> str:
    return instruction.op_name or instruction.opcode


def _same_value(computation: Computation, copy: Instruction) -> set[str]:
    """The value that is copied, under all its names in this computation: the copies' source, and
    the copies.
    """
    source = copy
    while source.opcode in _COPIES and source.operands[0] in computation.instructions:
        source = computation.instructions[source.operands[0]]
    members, todo = set(), [source]
    while todo:
        instruction = todo.pop()
        members.add(instruction.name)
        todo += [u for u in computation.users[instruction.name] if u.opcode in _COPIES]
    return members


class _Uses:
    """What is done with a value: how often it is returned, what changes it in place, what reads it."""

    def __init__(self, program: Program, computation: Computation, members: set[str]):
        self.returned = 0
        self.changers: list[Instruction] = []
        self.readers: list[Instruction] = []
        for name in computation.instructions:  # in the order in which they run
            if name in members:
                self._add(program, computation, name, members)
        self.changers = list({changer.name: changer for changer in self.changers}.values())

    def _add(self, program: Program, computation: Computation, name: str, members: set[str]) -> None:
        if computation.instructions[name].is_root:
            self.returned += 1
        for user in computation.users[name]:
            if user.opcode == "tuple":
                self.returned += user.is_root * user.operands.count(name)
                self.changers += [u for u in computation.users[user.name] if u.opcode in _CHANGERS]
            elif user.name in members:
                continue
            elif name in user.aliased_operands or user.opcode in _CHANGERS or program.stored_operand(user) == name:
                self.changers.append(user)
            else:
                self.readers.append(user)
