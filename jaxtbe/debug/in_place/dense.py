"""Arrays as large as a table that a step computes anew, such as dense gradients."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtbe.debug.in_place.hlo import Instruction, Program

# These make no new array, or (copies, constants) are reported as what they are.
_NOT_COMPUTED = (
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "copy",
    "copy-start",
    "copy-done",
    "optimization-barrier",
    "while",
    "conditional",
    "call",
    "async-start",
    "async-update",
    "async-done",
)


class Dense(NamedTuple):
    dims: tuple[int, ...]
    why: str
    remedy: str
    source: str
    gradient: bool


def find_dense(program: Program, dims: set[tuple[int, ...]]) -> Iterator[Dense]:
    """The instructions that compute an array of these dimensions, of any dtype."""
    for computation in program.executed():
        for instruction in computation.instructions.values():
            shape = instruction.shapes[0][1] if len(instruction.shapes) == 1 else None
            if shape in dims and instruction.opcode not in _NOT_COMPUTED and not _stores(program, instruction):
                yield Dense(shape, *_why(instruction, program.source(instruction)))
            for _, of_tuple in instruction.shapes if instruction.opcode == "custom-call" else ():
                if of_tuple in dims and not instruction.aliased_operands:
                    yield Dense(of_tuple, *_why(instruction, program.source(instruction)))
                    break


def _stores(program: Program, instruction: Instruction) -> bool:
    """Whether it changes some rows of an array; custom calls are looked at apart."""
    return instruction.opcode == "custom-call" or program.stored_operand(instruction) is not None


def _why(instruction: Instruction, source: str) -> tuple[str, str, str, bool]:
    title = instruction.op_name or instruction.opcode
    if "transpose(" in instruction.op_name:
        remedy = "Take the gradient with jaxtbe.value_and_grad, and give it to an optimizer of jaxtbe.optim"
        return f"{title} makes a dense gradient", remedy, source, True
    if "select" in instruction.op_name:
        remedy = "Skip a step with jax.lax.cond, or with a learning rate of 0"
        return f"{title} chooses over the whole table", remedy, source, False
    remedy = "Compute with the rows of the batch, or leave this to an optimizer of jaxtbe.optim"
    return f"{title} goes over the whole table", remedy, source, False
