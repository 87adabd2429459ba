"""Draws floors.svg: the folders of the package, each above what it imports.

python docs/pictures/floors.py
"""

import ast
from pathlib import Path

from drawing import GREEN, GREY, OCHRE, QUIET, SKY, WHITE, Drawing

import jaxtbe

PACKAGE = Path(jaxtbe.__file__).parent
WORDS = {
    "support": "errors, text, names",
    "_native": "loads the kernels",
    "batch": "Bags: built, checked",
    "reference": "ops in jax.numpy",
    "ops": "one function per FFI target",
    "zch": "one hashed table",
    "model": "tables, features, params",
    "sharding": "tables over a mesh",
    "raw_ids": "raw ids to rows",
    "writes": "updates, assign, reset",
    "autodiff": "lookup, sparse gradient",
    "debug": "check_in_place",
    "optim": "optax transformations",
    "summary": "emb.summary",
    "module": "EmbeddingBags",
    "migrate": "from FBGEMM",
    "nnx": "Flax NNX",
}
FILLS = {
    "module": OCHRE,
    "optim": OCHRE,
    "ops": GREEN,
    "reference": GREEN,
    "_native": GREEN,
    "batch": SKY,
    "autodiff": SKY,
}


def folder_of(name: str) -> str:
    """The folder, or file at the top, of a module below the package."""
    return name.split(".")[0]


def imports() -> dict[str, set[str]]:
    """Each folder or file at the top to those that it imports, within functions too."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in ("__init__", "__main__"):
            continue
        mine = found.setdefault(parts[0], set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and folder_of(node.module) == "jaxtbe":
                inside = node.module.partition(".")[2]
                names = [inside] if inside else [alias.name for alias in node.names]
                mine |= {folder_of(name) for name in names}
    known = set(found)
    return {name: (others & known) - {name} for name, others in found.items()}


def floors(graph: dict[str, set[str]]) -> list[list[str]]:
    """Names by their floor: one above the highest that they import."""
    number: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in number:
            number[name] = 1 + max((floor(other) for other in graph[name]), default=-1)
        return number[name]

    for name in graph:
        floor(name)
    return [sorted(n for n in graph if number[n] == level) for level in range(max(number.values()) + 1)]


def without_detours(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports that no way over others stands for."""

    def reach(name: str) -> set[str]:
        return set().union(graph[name], *(reach(other) for other in graph[name]))

    return {n: {o for o in others if not any(o in reach(p) for p in others)} for n, others in graph.items()}


def main() -> None:
    graph = imports()
    levels = floors(graph)
    width, step, box = 960, 84, (190, 50)
    picture = Drawing(width, step * len(levels) + 50)
    picture.text(20, 26, "Each folder stands above what it imports", size=15, anchor="start", weight="bold")
    at = {}
    for level, names in enumerate(levels):
        y = 46 + step * (len(levels) - 1 - level)
        for i, name in enumerate(names):
            at[name] = (width * (i + 1) / (len(names) + 1), y)
    for name, others in without_detours(graph).items():
        for other in sorted(others):
            (x, y), (x2, y2) = at[name], at[other]
            picture.arrow((round(x), y + box[1]), (round(x2), y2 - 3), color=QUIET, marker="quiet", thick=1.0)
    for name, (x, y) in at.items():
        picture.box(
            round(x - box[0] / 2), y, *box, name, [WORDS[name]], FILLS.get(name, GREY if name in WORDS else WHITE)
        )
    picture.save(Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main()
