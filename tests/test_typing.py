"""The program that type checkers read (`make types`) is one that runs."""

import pathlib
import runpy

PROGRAM = pathlib.Path(__file__).parent / "typing" / "user_program.py"


def test_the_typed_program_runs(capsys):
    runpy.run_path(str(PROGRAM), run_name="__main__")
    assert not capsys.readouterr().out
