"""The C header of a network beside emlearn's C of a float MLP with the same hidden layers.

    python benchmarks/export_c.py [--data FOLDER] [--emlearn PYTHON] [--arm GCC QEMU]
        [--output FILE]

Trains both on standardised features, compiles with gcc and runs on all held-back rows in float32: rows
on which C and ``predict`` differ (0 is what is promised), bytes at -Os (sections of code, constants
and initialised data of one object file; emlearn's expf not counted), and instructions per
prediction (callgrind, inclusive, on the first rows; -O2).  With --arm, also Thumb-2 instructions with
floats in software, of the second row, as a microcontroller without a floating-point unit has them:
GCC is a cross compiler for 32-bit ARM Linux, QEMU is qemu-arm.  FOLDER holds ``load.py``;
without it the sets are scikit-learn's own.  PYTHON is an interpreter that has emlearn, if not this one.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import sets
from sklearn.neural_network import MLPClassifier, MLPRegressor

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import to_c

DATA_SETS = ["airfoil", "banknote", "concrete", "electricity", "isolet_1560", "pendigits"]
DATA_SETS += ["pima_diabetes", "sonar", "spambase", "steel_plates"]
MOST_TRAINING_ROWS = 10_000
COUNTED_ROWS = 20

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
import sys
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


def command(*arguments, **options) -> bytes:
    """Standard output of a command, which must succeed."""
    return subprocess.run(
        list(map(str, arguments)), check=True, capture_output=True, **options
    ).stdout


class Compiled:
    """C code of a network in a folder of its own: ``net.h``, and how to call it."""

    def __init__(self, folder: Path, call: str, n_features: int, include: str | None = None):
        self.folder, self.flags = folder, [f"-I{include}"] if include else []
        (folder / "row.c").write_text(ROW.format(call=call))
        (folder / "main.c").write_text(MAIN.format(n_features=n_features))

    def predict(self, X) -> np.ndarray:
        """Values of all rows."""
        self._build("-O2")
        return np.frombuffer(command(self.folder / "main", input=X.tobytes()))

    def n_bytes(self) -> int:
        """Bytes of the sections that go to flash."""
        target = self.folder / "row.o"
        command(
            "gcc", "-std=c99", "-Os", "-w", *self.flags, "-c", self.folder / "row.c", "-o", target
        )
        sections = re.findall(
            r"^\.(text|rodata|data)\S*\s+(\d+)", command("size", "-A", target).decode(), re.M
        )
        return sum(int(size) for _, size in sections)

    def n_instructions(self, X) -> float:
        """Instructions per prediction."""
        self._build("-O2")
        profile = f"--callgrind-out-file={self.folder / 'profile'}"
        options = ["--tool=callgrind", "--toggle-collect=row", profile]
        X = X[:COUNTED_ROWS]
        done = subprocess.run(
            ["valgrind", *options, str(self.folder / "main")],
            check=True,
            capture_output=True,
            input=X.tobytes(),
        )
        return int(re.search(rb"Collected : (\d+)", done.stderr)[1]) / len(X)

    def n_arm_instructions(self, X, gcc: str, qemu: str) -> int:
        """Thumb-2 instructions that a second row takes, one traced line for each."""
        self._build("-O2", gcc, "-static", *ARM)
        traced = [qemu, "-singlestep", "-d", "nochain,exec", str(self.folder / "main")]
        counts = []
        for rows in (X[:1], X[:2]):
            done = subprocess.run(traced, check=True, capture_output=True, input=rows.tobytes())
            counts.append(len(re.findall(rb"^Trace", done.stderr, re.M)))
        return counts[1] - counts[0]

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
    include = command(python, "-c", EMLEARN, *arguments).decode().strip()
    n_features = mlp.n_features_in_
    function = "predict" if hasattr(mlp, "classes_") else "regress1"
    return Compiled(folder, f"net_{function}(x, {n_features})", n_features, include)


def measure(split, hidden, python, arm, folder: Path) -> dict:
    """One row of the table."""
    X_train, X_test, y_train, y_test = split
    X_train, y_train = X_train[:MOST_TRAINING_ROWS], y_train[:MOST_TRAINING_ROWS]
    regression = sets.is_regression(y_train)
    estimators = [PrunedNeuralNetRegressor, MLPRegressor]
    if not regression:
        estimators = [PrunedNeuralNetClassifier, MLPClassifier]
    net = estimators[0](hidden, max_epochs=30, random_state=0).fit(X_train, y_train)
    mlp = estimators[1](hidden_layer_sizes=hidden, random_state=0).fit(X_train, y_train)
    row = {"score": net.score(X_test, y_test), "MLP's": mlp.score(X_test, y_test)}
    programs = {"size": ours(net, "size", new(folder)), "speed": ours(net, "speed", new(folder))}
    expected = net.predict(X_test)
    row |= {"rows": len(X_test), "different": 0}
    for program in programs.values():
        found = program.predict(X_test)
        found = found if regression else net.classes_[found.astype(int)]
        row["different"] += int((found != expected).sum())
    programs["emlearn"] = emlearns(mlp, python, new(folder))
    for name, program in programs.items():
        row[f"bytes, {name}"] = program.n_bytes()
        row[f"instructions, {name}"] = program.n_instructions(X_test)
        if arm:
            row[f"Thumb-2, {name}"] = program.n_arm_instructions(X_test, *arm)
    return row


def new(folder: Path) -> Path:
    """A new folder in a folder."""
    return Path(tempfile.mkdtemp(dir=folder))


def table(results: dict[str, dict]) -> str:
    """Markdown, one row a set, and the mean of what emlearn takes times as much of."""
    columns = list(next(iter(results.values())))
    kinds = [name for name in columns if "," in name]
    columns = [name for name in columns if "," not in name] + sorted(kinds)
    lines = ["| set | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in results.items():
        lines.append(f"| {name} | " + " | ".join(cell(row[c]) for c in columns) + " |")
    for kind in dict.fromkeys(name.split(",")[0] for name in kinds):
        for own in ("size", "speed"):
            ratios = [row[f"{kind}, emlearn"] / row[f"{kind}, {own}"] for row in results.values()]
            lines += [
                "",
                f"{kind[0].upper()}{kind[1:]}, emlearn / {own}: mean {np.mean(ratios):.1f}, ",
            ]
            lines[-1] += f"from {min(ratios):.1f} to {max(ratios):.1f}."
    return "\n".join(lines)


def cell(value) -> str:
    """A share or a count."""
    return f"{value:.3f}" if isinstance(value, float) and abs(value) <= 1 else f"{value:,.0f}"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with load.py")
    parser.add_argument("--emlearn", default=sys.executable, help="Python that has emlearn")
    parser.add_argument("--arm", nargs=2, metavar=("GCC", "QEMU"), help="also count Thumb-2")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 64])
    parser.add_argument("--output", help="also write the table to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in sets.OWN if options.data is None else DATA_SETS:
            split = sets.load_numeric(name, options.data)
            results[name] = measure(
                split, tuple(options.hidden), options.emlearn, options.arm, Path(folder)
            )
            print(name, results[name], file=sys.stderr, flush=True)
    hidden = ", ".join(map(str, options.hidden))
    text = (
        f"Hidden layers of {hidden}; ternary weights, 8-bit accumulators proven; one seed, 30 epochs. "
        f"emlearn: the float MLP of scikit-learn. gcc on {sets.machine()}.\n\n{table(results)}"
    )
    print(text)
    if options.output:
        Path(options.output).write_text(f"# C\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
