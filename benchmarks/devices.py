"""Score against flash, RAM and time on microcontrollers, beside emlearn's forests and networks.

Every model sees the same training rows, at most 2,000, and the same features: int16, as
emlearn's forests take them, scaled by column.  emlearn's networks are float: they get the same
features standardised.  The score is that of the compiled C on all held-back rows.  Flash and RAM are
what the program takes more than one that predicts nothing, at -Os on a Cortex-M3, libraries
included; RAM counts static data and the stack, of 256 bytes at least.  Instructions per row are QEMU's; cycles per row are
those of an ATmega328P in simavr, where the program fits its 32 kB and 2 kB.
"""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from functools import partial
from pathlib import Path

import _data
import joblib
import numpy as np
from _device import Program
from _device import measure as measured
from _runner import arguments, run
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import to_c

SETS = ["wine", "sonar", "banknote", "ionosphere", "breast_cancer", "pima_diabetes"]
SETS += ["steel_plates", "digits"]
MOST_TRAINING_ROWS = 2_000
NETS = {
    "qnnprune 32, 6 bits": ((32,), 6, "size"),
    "qnnprune 32, 8 bits": ((32,), 8, "size"),
    "qnnprune 32, 8 bits, speed": ((32,), 8, "speed"),
    "qnnprune 64-32, 8 bits": ((64, 32), 8, "size"),
}
FORESTS = {
    f"forest {n} x {leaves}": (n, leaves) for n, leaves in [(3, 16), (10, 16), (10, 64), (30, 64)]
}
MLPS = {"MLP 16": (16,)}

EMLEARN = """
import sys, joblib, emlearn
model = emlearn.convert(joblib.load(sys.argv[1]), method=sys.argv[3], **eval(sys.argv[4]))
model.save(file=sys.argv[2], name="net")
print(emlearn.includedir)
"""


def features(X_train: np.ndarray, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both parts in int16, the range of each training column spread over half of it."""
    low, high = X_train.min(axis=0), X_train.max(axis=0)
    factor = 32_000 / np.where(high > low, high - low, 1)
    parts = [
        np.clip(np.rint((part - (low + high) / 2) * factor), -32_768, 32_767)
        for part in (X_train, X)
    ]
    return parts[0].astype(np.int16), parts[1].astype(np.int16)


def measure(set, model, *, folder, emlearn) -> dict:
    """Score and costs of one model on one set."""
    warnings.simplefilter("ignore")
    X_train, X, y_train, y = _data.load_numeric(set, folder)
    chosen = np.random.default_rng(0).permutation(len(X_train))[:MOST_TRAINING_ROWS]
    train, test = features(X_train[chosen], X)
    classes, y_train = np.unique(y_train[chosen], return_inverse=True)
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        if model in NETS:
            program = ours(*NETS[model], train, y_train, test, place)
        elif model in FORESTS:
            program = forest(*FORESTS[model], train, y_train, test, place, emlearn)
        else:
            program = mlp(MLPS[model], train, y_train, test, place, emlearn)
        return {"score": float((classes[program.predict()] == y).mean()), **measured(program)}


def ours(hidden, bits, optimize, train, y, test, place) -> Program:
    """This library's network on int16."""
    net = PrunedNeuralNetClassifier(hidden, n_accum_bits=bits, max_epochs=40, random_state=0)
    to_c(
        net.fit(train.astype(np.float32), y),
        place / "net.h",
        prefix="net",
        input="int16",
        optimize=optimize,
    )
    return Program(place, "net_predict(x)", test)


def forest(n_trees, leaves, train, y, test, place, emlearn) -> Program:
    """emlearn's forest on int16, as nested conditions or as tables, whichever is smaller."""
    model = RandomForestClassifier(n_trees, max_leaf_nodes=leaves, random_state=0).fit(train, y)
    programs = []
    for method in ("inline", "loadable"):
        (place / method).mkdir()
        include = converted(model, place / method, method, {"dtype": "int16_t"}, emlearn)
        call = f"net_predict(x, {train.shape[1]})"
        programs.append(Program(place / method, call, test, include))
    return min(programs, key=lambda program: program.on_cortex_m3()["flash"])


def mlp(hidden, train, y, test, place, emlearn) -> Program:
    """emlearn's float network on standardised features."""
    mean, spread = train.mean(axis=0), np.maximum(train.std(axis=0), 1)
    scaled = [((part - mean) / spread).astype(np.float32) for part in (train, test)]
    model = MLPClassifier(hidden, random_state=0, max_iter=100).fit(scaled[0], y)
    include = converted(model, place, "inline", {}, emlearn)
    return Program(place, f"net_predict(x, {train.shape[1]})", scaled[1], include)


def converted(model, place: Path, method: str, options: dict, python: str) -> str:
    """Write ``net.h`` by emlearn, in an environment of its own; return its folder of headers."""
    joblib.dump(model, place / "model.joblib")
    command = [
        python,
        "-W",
        "ignore",
        "-c",
        EMLEARN,
        place / "model.joblib",
        place / "net.h",
        method,
    ]
    # emlearn compiles into the folder that it runs in.
    done = subprocess.run(
        [*command, repr(options)], check=True, capture_output=True, text=True, cwd=place
    )
    return done.stdout.split()[-1]


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "devices")
    every = [*NETS, *FORESTS, *MLPS]
    parser.add_argument("--models", nargs="+", choices=every, default=every, metavar="MODEL")
    parser.add_argument("--jobs", type=int, default=1, help="cells measured at the same time")
    parser.add_argument(
        "--emlearn", metavar="PYTHON", required=True, help="interpreter with emlearn 0.23.2"
    )
    options = parser.parse_args()
    sets = options.sets or (SETS if options.data else None)
    own = [name for name in sets or _data.OWN if name in _data.OWN and name != "diabetes"]
    names = own if options.data is None else own + [name for name in sets if name not in own]
    cells = [{"set": name, "model": model} for name in names for model in options.models]
    one = partial(measure, folder=options.data, emlearn=options.emlearn)
    run(one, cells, options.output, ("scikit-learn", "numpy"), options.jobs)


if __name__ == "__main__":
    main()
