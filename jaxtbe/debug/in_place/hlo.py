"""A compiled program's HLO text as instructions: what produces which shape from what, and which
line of source asked for it.
"""

import dataclasses
import functools
import math
import os
import pathlib
import re
from collections.abc import Iterator

Shape = tuple[str, tuple[int, ...]]  # dtype as HLO spells it, and dimensions

_SHAPE = re.compile(r"([a-z]\w*)\[([\d,]*)\]")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|branch_computations|\w+_computation)=\{?((?:%[\w.\-]+(?:, )?)+)"
)
_STORES = ("scatter", "dynamic-update-slice")
_CONTROL = ("while", "conditional", "call", "async-start")


def shape_bytes(shape: Shape) -> int:
    """Bytes of an array of this shape."""
    dtype, dims = shape
    bits = int("".join(re.findall(r"\d+", dtype)[:1]) or 8)
    return math.prod(dims) * max(bits, 8) // 8


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]  # one, or those of a tuple
    operands: tuple[str, ...]
    rest: str  # attributes and metadata
    is_root: bool
    argument: str  # what stands in the parentheses: for a parameter its number

    @functools.cached_property
    def op_name(self) -> str:
        found = re.search(r'op_name="((?:[^"\\]|\\.)*)"', self.rest)
        return found.group(1).replace("\\'", "'") if found else ""

    @functools.cached_property
    def frame(self) -> int | None:
        found = re.search(r"stack_frame_id=(\d+)", self.rest)
        return int(found.group(1)) if found else None

    @functools.cached_property
    def called(self) -> tuple[str, ...]:
        return tuple(name for group in _CALLED.findall(self.rest) for name in _NAME.findall(group))

    @functools.cached_property
    def aliased_operands(self) -> tuple[str, ...]:
        """The operands that a custom call changes in place."""
        found = re.search(r"output_to_operand_aliasing=\{((?:\{[\d,]*\}: \(\d+, \{[\d,]*\}\)(?:, )?)*)\}", self.rest)
        numbers = re.findall(r": \((\d+),", found.group(1)) if found else []
        return tuple(self.operands[int(n)] for n in numbers)


@dataclasses.dataclass
class Computation:
    name: str
    instructions: dict[str, Instruction] = dataclasses.field(default_factory=dict)

    @property
    def root(self) -> Instruction:
        return next(i for i in reversed(self.instructions.values()) if i.is_root)

    @functools.cached_property
    def users(self) -> dict[str, list[Instruction]]:
        """Instruction name to the instructions that take it."""
        users: dict[str, list[Instruction]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for operand in dict.fromkeys(instruction.operands):
                users.setdefault(operand, []).append(instruction)
        return users

    def ancestors(self, instruction: Instruction) -> set[str]:
        """Names of all that the instruction is computed from."""
        seen: set[str] = set()
        todo = list(instruction.operands)
        while todo:
            name = todo.pop()
            if name not in seen and name in self.instructions:
                seen.add(name)
                todo += self.instructions[name].operands
        return seen


class Program:
    """The HLO module of a compiled program."""

    def __init__(self, text: str):
        self.computations: dict[str, Computation] = {}
        self.entry = Computation("")
        self.callers: dict[str, tuple[Computation, Instruction]] = {}
        header = text.split("\n", 1)[0]
        self.aliased_parameters = frozenset(int(n) for n in re.findall(r"\}: \((\d+), \{", _alias_list(header)))
        self._tables: dict[str, dict[int, str]] = {}
        self._parse(text)
        for computation in self.computations.values():
            for instruction in computation.instructions.values():
                for name in instruction.called:
                    self.callers[name] = computation, instruction

    def _parse(self, text: str) -> None:
        current, table = None, None
        for line in text.splitlines():
            if line.endswith("{") and " -> " in line:
                name = line.removeprefix("ENTRY ").split(" ", 1)[0].lstrip("%")
                current, table = Computation(name), None
                self.computations[name] = current
                if line.startswith("ENTRY "):
                    self.entry = current
            elif line.startswith("}"):
                current = None
            elif current is not None:
                instruction = _instruction(line)
                if instruction is not None:
                    current.instructions[instruction.name] = instruction
            elif line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
                table = self._tables.setdefault(line, {})
            elif table is not None and line[:1].isdigit():
                number, _, value = line.partition(" ")
                table[int(number)] = value.strip('"')

    def executed(self) -> Iterator[Computation]:
        """The computations whose instructions have buffers of their own: not those inside a fusion."""
        todo, seen = [self.entry], set()
        while todo:
            computation = todo.pop()
            if computation.name in seen:
                continue
            seen.add(computation.name)
            yield computation
            for instruction in computation.instructions.values():
                if instruction.opcode in _CONTROL:
                    todo += [self.computations[n] for n in instruction.called if n in self.computations]

    def stored_operand(self, instruction: Instruction) -> str | None:
        """The operand that an instruction stores some elements into, in place where it can: of
        itself or of a fusion's root.
        """
        if instruction.opcode in _STORES:
            return instruction.operands[0]
        if instruction.opcode != "fusion":
            return None
        inside = self.computations[instruction.called[0]]
        if inside.root.opcode not in _STORES:
            return None
        into = inside.instructions[inside.root.operands[0]]
        while into.opcode == "bitcast":
            into = inside.instructions[into.operands[0]]
        return instruction.operands[int(into.argument)] if into.opcode == "parameter" else None

    def source(self, instruction: Instruction) -> str:
        """`file:line` of the innermost frame that is no library's, or an empty string."""
        for file, line in self._frames(instruction):
            if not _is_library(file):
                return f"{file}:{line}"
        return ""

    def _frames(self, instruction: Instruction) -> Iterator[tuple[str, str]]:
        """File and line of each stack frame, from the inside. Some versions of XLA write them out,
        others number them.
        """
        written = re.search(r'source_file="([^"]*)" source_line=(\d+)', instruction.rest)
        if written:
            yield written.group(1), written.group(2)
        frame = instruction.frame
        while frame:
            fields = _numbers(self._tables.get("StackFrames", {}).get(frame, ""))
            place = _numbers(self._tables.get("FileLocations", {}).get(fields.get("file_location_id", 0), ""))
            file = self._tables.get("FileNames", {}).get(place.get("file_name_id", 0), "")
            if file:
                yield file, str(place.get("line", "?"))
            frame = fields.get("parent_frame_id", 0) - self._first_parent

    @functools.cached_property
    def _first_parent(self) -> int:
        """What the parent of an outermost frame is called: 1 (then all parents are one too high),
        or 0.
        """
        frames = self._tables.get("StackFrames", {})
        return int(any(_numbers(text).get("parent_frame_id") == number for number, text in frames.items()))


def _numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text)}


def _is_library(file: str) -> bool:
    package = str(pathlib.Path(__file__).resolve().parents[2])
    return file.startswith(package + os.sep) or "site-packages" in file


def _alias_list(header: str) -> str:
    found = re.search(r"input_output_alias=\{(.*?) \}", header)
    return found.group(1) if found else ""


def _instruction(line: str) -> Instruction | None:
    match = re.match(r"\s*(ROOT )?%?([\w.\-]+) = ", line)
    if match is None:
        return None
    end = _type_end(line, match.end())
    call = re.match(r" ([\w\-]+)\(", line[end:])
    if call is None:
        return None
    opened = end + call.end() - 1
    closed = _closing(line, opened)
    return Instruction(
        name=match.group(2),
        opcode=call.group(1),
        shapes=tuple(
            (d, tuple(int(n) for n in dims.split(",") if n)) for d, dims in _SHAPE.findall(line[match.end() : end])
        ),
        operands=tuple(_NAME.findall(line[opened:closed])),
        rest=line[closed + 1 :],
        is_root=match.group(1) is not None,
        argument=line[opened + 1 : closed],
    )


def _type_end(line: str, start: int) -> int:
    """Where the type that begins at `start` ends."""
    if line[start] == "(":
        return _closing(line, start) + 1
    end = line.find(" ", start)
    return len(line) if end < 0 else end


def _closing(line: str, opened: int) -> int:
    depth = 0
    for at in range(opened, len(line)):
        depth += {"(": 1, ")": -1}.get(line[at], 0)
        if depth == 0:
            return at
    return len(line)
