import re
import sys
from importlib import metadata

import qnnprune


def _printed(capsys):
    qnnprune.show_versions()
    return dict(re.findall(r"^(\S+): (.*)$", capsys.readouterr().out, flags=re.MULTILINE))


def test_versions_are_those_of_the_installed_distributions(capsys):
    found = _printed(capsys)
    assert found["qnnprune"] == qnnprune.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    for name in ("numpy", "scikit-learn", "torch", "brevitas", "skorch"):
        assert found[name] == metadata.version(name)
    assert set(found) >= {"platform", "machine", "onnx", "onnxruntime", "concrete-python", "pandas"}


def test_a_missing_package_is_named(capsys, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert _printed(capsys)["pandas"] == "not installed"


def test_every_required_package_is_listed(capsys):
    found = _printed(capsys)
    required = {
        re.match(r"[\w-]+", line)[0]
        for line in metadata.requires("qnnprune")
        if "extra ==" not in line
    }
    assert required <= set(found)
