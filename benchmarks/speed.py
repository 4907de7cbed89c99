"""Fit, predict and simulate beside scikit-learn's MLP, torch, stock Brevitas and Concrete ML.

Every tool trains the same layers with the same batches and epochs, each time in a process of its
own, after a fit of 1,000 rows, so that imports do not count.  Rounds go through the tools in turn.
On one thread CPU seconds are measured, which other processes of a busy machine disturb less.

The sets adult, california_housing and mnist come from the folder (--data); without it only
scikit-learn's digits run.  Concrete ML pins old versions: install ``concrete-ml==1.9.0`` in an
environment of its own and pass its interpreter.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

BATCH = 128
PREDICTED_ROWS = 100_000
FEWER_ROWS = 1_000  # for the slow tools
# Set, hidden layers, epochs.
NETS = {
    "digits 64-128-10": ("digits", (128,), 30),
    "digits 64-128-128-10": ("digits", (128, 128), 30),
    "adult 128-128": ("adult", (128, 128), 4),
    "california 128-128": ("california_housing", (128, 128), 8),
    "mnist 784-256-256-10": ("mnist", (256, 256), 2),
}


class TorchLoop:
    """A plain float net in a plain loop: what training costs at least in torch."""

    def __init__(self, regression, hidden, epochs):
        self.regression, self.hidden, self.epochs = regression, hidden, epochs

    def fit(self, X, y):
        """Whole batches of tensors, the fused AdamW."""
        import torch
        from torch import nn

        widths = (X.shape[1], *self.hidden)
        layers = []
        for n_in, n_out in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        n_outputs = 1 if self.regression else int(y.max()) + 1
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], n_outputs))
        optimizer = torch.optim.AdamW(self.net.parameters(), fused=True)
        loss = nn.MSELoss() if self.regression else nn.CrossEntropyLoss()
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        y = y[:, None] if self.regression else y
        for _ in range(self.epochs):
            for index in torch.randperm(len(X)).split(BATCH):
                optimizer.zero_grad()
                loss(self.net(X[index]), y[index]).backward()
                optimizer.step()
        return self

    def predict(self, X):
        """Classes or values."""
        import torch

        with torch.no_grad():
            output = self.net(torch.from_numpy(X)).numpy()
        return output[:, 0] if self.regression else output.argmax(axis=1)


class StockBrevitas:
    """Stock Brevitas layers of the same network and widths, under skorch as it comes."""

    def __init__(self, regression, hidden, epochs):
        self.regression, self.hidden, self.epochs = regression, hidden, epochs

    def fit(self, X, y):
        """Build the layers for these columns, and train."""
        import skorch
        import torch
        from brevitas import nn as bnn
        from brevitas import quant
        from torch import nn

        weights = {"weight_quant": quant.Int8WeightPerTensorFloat, "weight_bit_width": 2}
        layers = [bnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, bit_width=2)]
        for n_in, n_out in zip((X.shape[1], *self.hidden), self.hidden, strict=False):
            relu = bnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=2)
            linear = bnn.QuantLinear(n_in, n_out, bias=True, **weights)
            layers += [linear, nn.BatchNorm1d(n_out), relu]
        n_outputs = 1 if self.regression else int(y.max()) + 1
        layers.append(bnn.QuantLinear(self.hidden[-1], n_outputs, bias=True, **weights))
        make = skorch.NeuralNetRegressor if self.regression else skorch.NeuralNetClassifier
        self.net = make(
            nn.Sequential(*layers),
            criterion=nn.MSELoss if self.regression else nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            lr=1e-3,
            batch_size=BATCH,
            max_epochs=self.epochs,
            train_split=None,
            verbose=0,
        )
        self.net.fit(X, y[:, None] if self.regression else y)
        return self

    def predict(self, X):
        """Classes or values."""
        return self.net.predict(X)


class ConcreteML:
    """Concrete ML's net; its layers are as wide as the multiplier of the inputs says."""

    def __init__(self, regression, hidden, epochs):
        from concrete.ml.sklearn import NeuralNetClassifier, NeuralNetRegressor
        from torch import nn

        self.regression = regression
        self.net = (NeuralNetRegressor if regression else NeuralNetClassifier)(
            module__n_layers=len(hidden) + 1,
            module__n_w_bits=2,
            module__n_a_bits=2,
            module__n_accum_bits=16,
            module__n_hidden_neurons_multiplier=2.0,
            module__activation_function=nn.ReLU,
            batch_size=BATCH,
            max_epochs=epochs,
            verbose=0,
        )

    def fit(self, X, y):
        """Train."""
        self.net.fit(X, y[:, None] if self.regression else y)
        return self

    def predict(self, X):
        """Classes or values."""
        return self.net.predict(X)


class Runtime:
    """scikit-learn's MLP, which predicts in ONNX Runtime in float32."""

    def __init__(self, regression, hidden, epochs):
        self.mlp = make_mlp(regression, hidden, epochs)

    def fit(self, X, y):
        """Train with scikit-learn, and convert."""
        import onnxruntime
        import skl2onnx

        self.mlp.fit(X, y)
        options = {id(self.mlp): {"zipmap": False} if hasattr(self.mlp, "classes_") else {}}
        model = skl2onnx.to_onnx(self.mlp, X[:1], options=options, target_opset=17)
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), session)
        return self

    def predict(self, X):
        """Classes or values."""
        return self.session.run(None, {self.session.get_inputs()[0].name: X})[0]


def make_mlp(regression, hidden, epochs):
    """scikit-learn's net, without its early end."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if regression else MLPClassifier
    fixed = {"batch_size": BATCH, "n_iter_no_change": epochs, "random_state": 0}
    return make(hidden_layer_sizes=hidden, max_iter=epochs, **fixed)


def make_ours(regression, hidden, epochs, **parameters):
    """This library's estimator."""
    from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

    make = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    return make(hidden, max_epochs=epochs, batch_size=BATCH, random_state=0, **parameters)


TOOLS = {
    "scikit-learn MLP": make_mlp,
    "ONNX Runtime, the same MLP": Runtime,
    "torch float loop": TorchLoop,
    "qnnprune, 1 segment": partial(make_ours, n_input_segments=1),
    "qnnprune, 1 segment, 3-bit codes": partial(
        make_ours, n_input_segments=1, n_in_bits=3, n_a_bits=3
    ),
    "qnnprune, default encoding": make_ours,
    "skorch + stock Brevitas": StockBrevitas,
    "Concrete ML": ConcreteML,
}


def seconds(function, *arguments) -> float:
    """How long a call takes, in CPU seconds where it has one thread."""
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    started = clock()
    function(*arguments)
    return clock() - started


def work(table, tool, hidden, epochs) -> dict:
    """Measure one tool on one table; runs in a process of its own."""
    warnings.simplefilter("ignore")
    with np.load(table, allow_pickle=False) as file:
        X, y, many = file["X"], file["y"], file["many"]
    new = partial(TOOLS[tool], y.dtype.kind == "f", tuple(hidden))
    new(1).fit(X[:1000], y[:1000])
    one_epoch = seconds(new(1).fit, X, y)
    estimator = new(epochs)
    found = {"fit": seconds(estimator.fit, X, y)}
    found["epoch"] = (found["fit"] - one_epoch) / max(epochs - 1, 1)
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = many[:FEWER_ROWS] if tool in ("skorch + stock Brevitas", "Concrete ML") else many
    fastest = min(seconds(estimator.predict, rows) for _ in range(7))
    found["predict"] = fastest * len(many) / len(rows)
    found["one_row_ms"] = 1000 * min(seconds(estimator.predict, many[:1]) for _ in range(50))
    if hasattr(estimator, "simulate"):
        found["simulate"] = min(seconds(estimator.simulate, many) for _ in range(7))
    return {"predict": found["predict"]} if isinstance(estimator, Runtime) else found


@lru_cache(maxsize=1)
def write_table(name: str, data: str | None, folder: str) -> str:
    """Preprocessed training rows, and 100,000 rows drawn from the held-back ones."""
    import _data

    X, X_test, y, _ = _data.load_numeric(name, data)
    if _data.is_regression(y):
        y = ((y - y.mean()) / y.std()).astype(np.float32)
    else:
        y = np.unique(y, return_inverse=True)[1]
    rows = np.random.RandomState(0).randint(len(X_test), size=PREDICTED_ROWS)
    path = Path(folder) / f"{name}.npz"
    np.savez(path, X=X, y=y, many=X_test[rows])
    return str(path)


def measure(threads, net, round, tool, *, data, folder, pythons) -> dict:
    """Run `work` in a process of its own, with that many threads."""
    name, hidden, epochs = NETS[net]
    request = {"table": write_table(name, data, folder), "tool": tool}
    request |= {"hidden": hidden, "epochs": epochs}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    command = [pythons.get(tool, sys.executable), __file__, "--work", json.dumps(request)]
    environment = os.environ | dict.fromkeys(names, str(threads))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure what is missing."""
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(work(**json.loads(sys.argv[2]))))
        return
    from _data import OWN
    from _runner import arguments, run

    parser = arguments(__doc__, "speed")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), help="some of them only")
    parser.add_argument("--concrete-ml", metavar="PYTHON", help="interpreter that has it")
    options = parser.parse_args()
    pythons = {"Concrete ML": options.concrete_ml} if options.concrete_ml else {}
    known = [net for net in NETS if options.data or NETS[net][0] in OWN]
    cells = [
        {"threads": threads, "net": net, "round": turn, "tool": tool}
        for threads in options.threads
        for net in known
        if NETS[net][0] in (options.sets or [NETS[net][0]])
        for turn in range(options.rounds)
        for tool in options.tools
        # Concrete ML takes ten minutes and more on mnist.
        if tool != "Concrete ML" or (pythons and NETS[net][0] != "mnist")
    ]
    with tempfile.TemporaryDirectory() as folder:
        one = partial(measure, data=options.data, folder=folder, pythons=pythons)
        run(one, cells, options.output, ("scikit-learn", "torch", "brevitas", "numpy"))


if __name__ == "__main__":
    main()
