"""Where a value of a compiled program comes from: back through copies, tuples, loops, branches and
in-place updates.
"""

import re
from typing import NamedTuple

from jaxtbe.debug.in_place.hlo import Computation, Instruction, Program

_SAME = ("copy", "bitcast", "copy-start", "copy-done", "optimization-barrier")


class Origin(NamedTuple):
    """A parameter or constant, or the instruction at which the trace ends, and what it passed."""

    computation: Computation
    instruction: Instruction
    updated: bool  # on the way the value was changed in place


def origin_of(program: Program, computation: Computation, name: str) -> Origin:
    """The origin of a value of one array."""
    wanted: list[int] = []  # indices into tuples that the way back still has to take
    updated = False
    for _ in range(10_000):
        instruction = computation.instructions[name]
        operands = instruction.operands
        if instruction.opcode in _SAME:
            name = operands[0]
        elif instruction.opcode == "get-tuple-element":
            wanted.append(int(re.findall(r"index=(\d+)", instruction.rest)[0]))
            name = operands[0]
        elif instruction.opcode == "tuple" and wanted:
            name = operands[wanted.pop()]
        elif instruction.opcode == "while":
            name, updated = operands[0], True
        elif instruction.opcode == "custom-call" and instruction.aliased_operands:
            operand = _aliased_operand(instruction, str(wanted.pop()) if wanted else "")
            if operand is None:
                break
            name, updated = operand, True
        elif (stored := program.stored_operand(instruction)) is not None:
            name, updated = stored, True
        elif instruction.opcode == "parameter" and computation.name in program.callers:
            caller, call = program.callers[computation.name]
            if call.opcode == "fusion":
                break
            name, computation = _passed(call, computation, instruction), caller
        elif instruction.opcode == "conditional":
            branch = program.computations[instruction.called[-1]]
            computation, name, updated = branch, branch.root.name, True
        else:
            break
    return Origin(computation, computation.instructions[name], updated)


def _aliased_operand(call: Instruction, output: str) -> str | None:
    """The operand whose memory an output takes: its number in the tuple, or nothing for the only
    one.
    """
    for index, operand in re.findall(r"\{(\d*)\}: \((\d+), ", call.rest):
        if index == output:
            return call.operands[int(operand)]
    return None


def _passed(call: Instruction, computation: Computation, parameter: Instruction) -> str:
    """The operand of a call that becomes a parameter of the computation."""
    if call.opcode == "conditional":  # the first operand chooses the branch
        return call.operands[1 + call.called.index(computation.name)]
    return call.operands[int(parameter.argument)]
