"""docs/adding-an-optimizer.md, followed to the letter in a copy of the sources."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "adding-an-optimizer.md").read_text()

COMPARE = """
import sys
# Not the installed package, which an editable install would put first.
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "ScikitBuildRedirectingFinder"]
import jax, jax.numpy as jnp, numpy as np, optax, jaxtbe
assert "jaxtbe_site" in jaxtbe.__file__, jaxtbe.__file__
results = []
for implementation in ("xla", "native"):
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", 20, 37)], [jaxtbe.Feature("x", "t")], implementation=implementation)
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.momentum(0.1, weight_decay=0.1, decay="decoupled")
    start, state = params, tx.init(params)
    for _ in range(3):
        grads = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb(p, emb.bags({"x": [[1, 2, 2], [7]]}))["x"])))(params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    assert np.abs(params.tables["t"] - start.tables["t"]).max() > 0.01
    results.append((params.tables["t"], state.tables["t"]["trace"]))
for x, y in zip(*results):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
print("equal")
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def insert_after_last(path: pathlib.Path, pattern: str, text: str, prefix: str = "") -> None:
    source = path.read_text()
    last = list(re.finditer(pattern, source, re.MULTILINE))[-1]
    path.write_text(source[: last.end()] + prefix + text + source[last.end() :])


@pytest.mark.slow
def test_the_page_adds_an_optimizer(tmp_path):
    sources = tmp_path / "sources"
    for name in ("csrc", "xla_ffi", "cmake", "jaxtbe"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources / name)

    struct, include, entry = blocks("cpp")
    python, export = blocks("py")
    (sources / "csrc/common/optim/momentum.h").write_text(struct)
    (sources / "jaxtbe/optim/rules/momentum.py").write_text(python)
    insert_after_last(sources / "csrc/common/optim/rules.h", r'^#include "csrc/common/optim/.*\n', include)
    insert_after_last(sources / "csrc/common/optim/rules.h", r"^  X\(\w+\)$", entry.rstrip(), prefix=" \\\n")
    insert_after_last(sources / "jaxtbe/optim/__init__.py", r"^from jaxtbe.optim.*\n", export)

    site = tmp_path / "jaxtbe_site"
    env = {**os.environ, "JAXTBE_CUDA": "OFF", "CMAKE_ARGS": "-DJAXTBE_SIMD_LEVELS=baseline"}
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-build-isolation",
        "--no-deps",
        "--target",
        str(site),
        ".",
    ]
    done = subprocess.run(install, cwd=sources, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", COMPARE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
