"""What a wheel holds."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_files_that_are_no_modules_are_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = {
        ROOT.joinpath(*package.split("."), name)
        for package, names in setup["options.package_data"].items()
        for name in names.split()
    }
    files = (
        path for path in (ROOT / "qnnprune").rglob("*") if path.is_file() and path.suffix != ".py"
    )
    assert listed == {path for path in files if "__pycache__" not in path.parts}
    assert ROOT / "qnnprune" / "py.typed" in listed
