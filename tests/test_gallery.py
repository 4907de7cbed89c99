"""Programs of the gallery run as they are."""

import runpy
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parents[1] / "examples" / "gallery").glob("plot_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_draws_something(program, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("onnx")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    pyplot.close("all")
    runpy.run_path(str(program), run_name="__main__")
    assert pyplot.get_fignums()
    pyplot.close("all")
