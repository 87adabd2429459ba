"""docs/compatibility.md, written from the tables that the tests run: python tests/composition/page.py"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from composition.cells import AROUND_TOOLS, EQUAL, PLACES, cure_of  # noqa: E402
from composition.idioms import IDIOMS  # noqa: E402
from composition.transformations import AROUND, ELSEWHERE, PLAIN  # noqa: E402

PAGE = ROOT / "docs" / "compatibility.md"
HEAD = """# What works with what

jaxtbe beside JAX and optax is equal to the dense computation with the same optimizer, or a clear error while the program is
traced. The tests run every line of this page: what is called equal is trained beside `jnp.take` and dense gradients, what is
refused must name jaxtbe or one of its types (`jaxtbe row ids`, `EmbeddingGrad`, `Overwrite`), and what stands under "instead" is
run and compared.

`python tests/composition/page.py` writes this page.

## What people write around a step

| what | | instead |
|---|---|---|
"""
OPTAX = """
## Transformations of optax

Where they stand:

"""
NOTES = """
Functions of leaves that are no arithmetic are seen at the update: where elements of a gradient were moved (`jnp.flip`, `jnp.roll`
over its leaves), or NaNs and infinities replaced (`optax.zero_nans`, `jnp.nan_to_num`), tables stay as they are, and
`jaxtbe.check` of the optimizer state says so. So `optax.zero_nans` in front of a table optimizer is equal as long as no gradient
is NaN; `jaxtbe.optim.skip_nonfinite` leaves out the step. A function that is mapped over the floating-point leaves alone, by a
user's own choice, gets the gradients of activations, bag by bag: what is linear there is right.

`optax.set_to_zero` leaves tables as they are; `jaxtbe.optim.freeze` does so without sorting the batch.

`optax.inject_hyperparams(jaxtbe.optim.adam)` works; with 16-bit tables alone optax rounds 0.999 to 1, which is refused, and
`jaxtbe.optim.inject_hyperparams` keeps the numbers.

## Around a whole optimizer

"""


CONTRIB = """
## Contributed to optax

The same of `optax.contrib`.

"""
RATES = """
What learns its rate from norms over all parameters (`dog`, `prodigy`, `mechanize` and others) has no meaning for the rows of a
batch, and `jaxtbe.optim.lazy` refuses it when the state is made. `schedule_free` is element by element: the parameters for
evaluation are those of `optax.contrib.schedule_free_eval_params`, which for a table takes the state within that of `lazy`.

"""


def transformations(prefix: str) -> str:
    """The table of those whose names begin with `prefix`, or with "" of those without one."""
    lines = [f"| `optax.{prefix}` | {' | '.join(PLACES)} | instead, in front | instead, behind |\n", "|---" * 9 + "|\n"]
    for name in PLAIN:
        if is_of(prefix, name):
            marks = ["equal" if name in EQUAL[place] else "refused" for place in PLACES]
            cures = ["" if name in EQUAL[place] else cure_of(name, place)[0] for place in ("front", "behind")]
            lines.append(f"| `{name.removeprefix(prefix)}` | " + " | ".join([*marks, *cures]) + " |\n")
    return "".join(lines)


def wrappers(prefix: str) -> str:
    """The table of those around an optimizer."""
    lines = [f"| `optax.{prefix}` | | instead |\n|---|---|---|\n"]
    for name in AROUND:
        if is_of(prefix, name):
            cure = AROUND_TOOLS.get(name)
            lines.append(
                f"| `{name.removeprefix(prefix)}` | {'refused' if cure else 'equal'} | {cure[0] if cure else ''} |\n"
            )
    return "".join(lines)


def elsewhere(prefix: str) -> str:
    """The list of what has no place in a step."""
    lines = ["\nNot part of a step over one gradient:\n\n"]
    lines += [f"* `optax.{name}`: {why}.\n" for name, why in ELSEWHERE.items() if is_of(prefix, name)]
    return "".join(lines)


def is_of(prefix: str, name: str) -> bool:
    return name.startswith("contrib.") == (prefix == "contrib.")


def text() -> str:
    """The page."""
    parts = [HEAD]
    for idiom in IDIOMS.values():
        parts.append(f"| {idiom.words} | {'equal' if idiom.refused is None else 'refused'} | {idiom.cure} |\n")
    parts.append(OPTAX)
    parts += [f"* {name}: {place.words};\n" for name, place in PLACES.items()]
    parts += ["\n", transformations(""), NOTES, wrappers(""), elsewhere("")]
    parts += [CONTRIB, transformations("contrib."), RATES, wrappers("contrib."), elsewhere("contrib.")]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text())
