import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import qnnprune

_BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
"""
_TRAINING = ("torch", "brevitas", "skorch")
_ALL = (*_TRAINING, "sklearn", "scipy", "pandas", "matplotlib", "tqdm")


def _python(code, *arguments, blocked=()):
    """Standard output of a fresh interpreter that cannot import some packages."""
    root = str(Path(qnnprune.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-c", _BLOCKED.replace("{names}", repr(blocked)) + code, *arguments],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_block_works():
    code = "\ntry:\n    import torch\nexcept ImportError as error:\n    print(error)"
    assert _python(code, blocked=_ALL) == "torch is blocked\n"


def test_a_saved_network_needs_numpy_alone(tiny_network, tmp_path):
    rng = np.random.default_rng(9)
    network = tiny_network(rng, n_outputs=3, classes=np.array(["a", "b", "c"]))
    X = rng.normal(size=(20, 3))
    network.save(tmp_path / "network.npz")
    np.save(tmp_path / "X.npy", X)
    code = """
import numpy as np
import qnnprune
from qnnprune.exceptions import AccumulatorOverflowError

network = qnnprune.IntegerNetwork.load(sys.argv[1])
X = np.load(sys.argv[2])
print(*network.predict(X))
print(*network.simulate(X, n_accum_bits=3).predictions)
network.save(sys.argv[1] + ".again")
assert not hasattr(qnnprune, "nothing")
"""
    paths = (str(tmp_path / "network.npz"), str(tmp_path / "X.npy"))
    exact, wrapped = _python(code, *paths, blocked=_ALL).splitlines()
    assert exact.split() == network.predict(X).tolist()
    assert wrapped.split() == network.simulate(X, n_accum_bits=3).predictions.tolist()


@pytest.mark.parametrize(
    "code",
    [
        "import qnnprune",
        "import qnnprune; dir(qnnprune); qnnprune.PrunedNeuralNetClassifier().get_params()",
        pytest.param("from qnnprune import *", marks=pytest.mark.slow),
    ],
)
def test_importing_does_not_import_the_training_stack(code):
    loaded = _python(f"{code}\nprint(*sys.modules)", blocked=()).split()
    assert "qnnprune" in loaded
    assert not set(_TRAINING) & set(loaded)


def test_public_names():
    assert set(qnnprune.__all__) <= set(dir(qnnprune))
    assert all(
        getattr(qnnprune, name).__name__ == name
        for name in qnnprune.__all__
        if name != "__version__"
    )
    with pytest.raises(AttributeError, match="'qnnprune' has no attribute 'missing'"):
        _ = qnnprune.missing
    assert qnnprune.__version__
