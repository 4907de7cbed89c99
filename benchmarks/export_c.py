"""The C header of a network beside emlearn's C of a float MLP with the same hidden layers.

Trains both on standardised features, compiles with gcc and runs on all held-back rows in float32:
rows on which C and ``predict`` differ (0 is what is promised), bytes at -Os (sections of code,
constants and initialised data of one object file; emlearn's expf is not counted), and instructions
per prediction (callgrind, inclusive, on the first rows; -O2).  With --arm, also Thumb-2
instructions with floats in software, of the second row, as a microcontroller without a
floating-point unit has them.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import warnings
from functools import partial
from pathlib import Path

import _data
import numpy as np
from _runner import arguments, run
from sklearn.neural_network import MLPClassifier, MLPRegressor

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import to_c

DATA_SETS = ["airfoil", "banknote", "concrete", "electricity", "isolet_1560", "pendigits"]
DATA_SETS += ["pima_diabetes", "sonar", "spambase", "steel_plates"]
MOST_TRAINING_ROWS = 10_000
COUNTED_ROWS = 20
HIDDEN = (64, 64)

# What microcontrollers without a floating-point unit run, as far as qemu-arm emulates it.
ARM = ["-mthumb", "-march=armv7-a", "-mfloat-abi=soft"]

# One object file: a row in, a value out.
ROW = """
#include <stdint.h>
#include "net.h"
double row(const float *x);
double row(const float *x) {{ return {call}; }}
"""

MAIN = """
#include <stdio.h>
double row(const float *x);
int main(void)
{{
    static float x[{n_features}];
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        const double value = row(x);
        fwrite(&value, sizeof value, 1, stdout);
    }}
    return 0;
}}
"""

EMLEARN = """
import numpy as np
import emlearn
from emlearn.net import c_generate_net_loadable
with np.load(sys.argv[1]) as file:
    n = len(file.files) // 2
    weights, biases = ([file[f"{kind}{i}"] for i in range(n)] for kind in "wb")
activations = ["relu"] * (n - 1) + [sys.argv[2]]
open(sys.argv[3], "w").write(c_generate_net_loadable(activations, weights, biases, "net"))
print(emlearn.includedir)
"""


def command(*arguments, **options):
    """A finished command, which must succeed."""
    return subprocess.run(list(map(str, arguments)), check=True, capture_output=True, **options)


class Compiled:
    """C code of a network in a folder of its own: ``net.h``, and how to call it."""

    def __init__(self, folder: Path, call: str, n_features: int, include: str | None = None):
        self.folder, self.flags = folder, [f"-I{include}"] if include else []
        (folder / "row.c").write_text(ROW.format(call=call))
        (folder / "main.c").write_text(MAIN.format(n_features=n_features))

    def predict(self, X) -> np.ndarray:
        """Values of all rows."""
        self._build("-O2")
        return np.frombuffer(command(self.folder / "main", input=X.tobytes()).stdout)

    def n_bytes(self) -> int:
        """Bytes of the sections that go to flash."""
        source, target = self.folder / "row.c", self.folder / "row.o"
        command("gcc", "-std=c99", "-Os", "-w", *self.flags, "-c", source, "-o", target)
        sections = command("size", "-A", target).stdout.decode()
        found = re.findall(r"^\.(?:text|rodata|data)\S*\s+(\d+)", sections, re.M)
        return sum(map(int, found))

    def n_instructions(self, X) -> float:
        """Instructions per prediction."""
        self._build("-O2")
        profile = f"--callgrind-out-file={self.folder / 'profile'}"
        options = ["--tool=callgrind", "--toggle-collect=row", profile]
        X = X[:COUNTED_ROWS]
        done = command("valgrind", *options, self.folder / "main", input=X.tobytes())
        return int(re.search(rb"Collected : (\d+)", done.stderr)[1]) / len(X)

    def n_arm_instructions(self, X, gcc: str, qemu: str) -> int:
        """Thumb-2 instructions that a second row takes, one traced line for each."""
        self._build("-O2", gcc, "-static", *ARM)
        traced = [qemu, "-singlestep", "-d", "nochain,exec", self.folder / "main"]
        done = [command(*traced, input=rows.tobytes()) for rows in (X[:1], X[:2])]
        one, two = (len(re.findall(rb"^Trace", trace.stderr, re.M)) for trace in done)
        return two - one

    def _build(self, level, gcc="gcc", *flags):
        sources = [self.folder / "row.c", self.folder / "main.c"]
        target = ["-o", self.folder / "main", "-lm"]
        command(gcc, "-std=c99", level, "-w", *flags, *self.flags, *sources, *target)


def ours(net, optimize: str, folder: Path) -> Compiled:
    """The header of this library."""
    to_c(net, folder / "net.h", prefix="net", optimize=optimize)
    return Compiled(folder, "net_predict(x)", net.n_features_in_)


def emlearns(mlp, python: str, folder: Path) -> Compiled:
    """The header of emlearn."""
    arrays = {f"w{i}": w for i, w in enumerate(mlp.coefs_)}
    arrays |= {f"b{i}": b for i, b in enumerate(mlp.intercepts_)}
    np.savez(folder / "mlp.npz", **arrays)
    arguments = [folder / "mlp.npz", mlp.out_activation_, folder / "net.h"]
    include = command(python, "-c", EMLEARN, *arguments).stdout.decode().strip()
    n_features = mlp.n_features_in_
    function = "predict" if hasattr(mlp, "classes_") else "regress1"
    return Compiled(folder, f"net_{function}(x, {n_features})", n_features, include)


def measure(set, *, folder, emlearn, arm) -> dict:
    """Differences, bytes and instructions on one set."""
    warnings.simplefilter("ignore")
    X_train, X, y_train, y = _data.load_numeric(set, folder)
    X_train, y_train = X_train[:MOST_TRAINING_ROWS], y_train[:MOST_TRAINING_ROWS]
    makers = (PrunedNeuralNetClassifier, MLPClassifier)
    if _data.is_regression(y):
        makers = (PrunedNeuralNetRegressor, MLPRegressor)
    net = makers[0](HIDDEN, max_epochs=30, random_state=0).fit(X_train, y_train)
    mlp = makers[1](hidden_layer_sizes=HIDDEN, random_state=0).fit(X_train, y_train)
    row = {"score": net.score(X, y), "mlp_score": mlp.score(X, y), "rows": len(X), "different": 0}
    with tempfile.TemporaryDirectory() as place:
        programs = {name: ours(net, name, new(place)) for name in ("size", "speed")}
        for program in programs.values():
            row["different"] += n_different(program.predict(X), net, X)
        if emlearn:
            programs["emlearn"] = emlearns(mlp, emlearn, new(place))
        for name, program in programs.items():
            row[f"bytes_{name}"] = program.n_bytes()
            row[f"instructions_{name}"] = program.n_instructions(X)
            if arm:
                row[f"thumb2_{name}"] = program.n_arm_instructions(X, *arm)
    return row


def n_different(found, net, X) -> int:
    """Rows on which C gives another class or value."""
    if hasattr(net, "classes_"):
        found = net.classes_[found.astype(int)]
    return int((found != net.predict(X)).sum())


def new(place: str) -> Path:
    """A new folder in a folder."""
    return Path(tempfile.mkdtemp(dir=place))


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "export_c")
    parser.add_argument("--emlearn", metavar="PYTHON", help="interpreter that has emlearn")
    parser.add_argument(
        "--arm",
        nargs=2,
        metavar=("GCC", "QEMU"),
        help="cross compiler for 32-bit ARM Linux, and qemu-arm",
    )
    options = parser.parse_args()
    sets = _data.names(options.data, options.sets or (DATA_SETS if options.data else None))
    one = partial(measure, folder=options.data, emlearn=options.emlearn, arm=options.arm)
    run(one, [{"set": name} for name in sets], options.output, ("scikit-learn", "numpy"))


if __name__ == "__main__":
    main()
