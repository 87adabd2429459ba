"""The committed pictures are what their scripts draw."""

import pathlib
import shutil
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs" / "pictures"
SCRIPTS = sorted(p for p in FOLDER.glob("*.py") if "__main__" in p.read_text())


def test_every_picture_has_a_script():
    assert {p.stem for p in FOLDER.glob("*.svg")} == {p.stem for p in SCRIPTS} >= {"bags", "probe_window", "step"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_picture_is_what_its_script_draws(script, tmp_path):
    for source in FOLDER.glob("*.py"):
        shutil.copy(source, tmp_path)
    subprocess.run([sys.executable, tmp_path / script.name], check=True, cwd=tmp_path)
    drawn = (tmp_path / script.name).with_suffix(".svg").read_text()
    assert drawn == script.with_suffix(".svg").read_text(), f"run python docs/pictures/{script.name}, and look at it"
