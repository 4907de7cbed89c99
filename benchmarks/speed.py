"""Fit, predict and simulate beside scikit-learn's MLP, torch, stock Brevitas and Concrete ML.

    python benchmarks/speed.py [--data FOLDER] [--threads 1 2] [--rounds 3]
        [--concrete-ml PYTHON] [--output FILE]

Every tool trains the same layers with the same batches and epochs, each time in a process of its
own (one fit ahead of the measured one, so that imports do not count); the rounds go through the
tools in turn.  Prints Markdown tables: median seconds and their range, ratios to scikit-learn's
MLP, the largest resident memory, and where the time of a training step of ours goes.

FOLDER holds ``load.py`` (adult, california_housing, mnist); without it only scikit-learn's digits
run.  Concrete ML pins old versions: install ``concrete-ml==1.9.0`` in an environment of its own and
pass its interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections import defaultdict

import numpy as np

BATCH = 128
PREDICTED_ROWS = 100_000
# Set, hidden layers, epochs.
CASES = {
    "digits 64-128-10": ("digits", (128,), 30),
    "digits 64-128-128-10": ("digits", (128, 128), 30),
    "adult 128-128": ("adult", (128, 128), 4),
    "california 128-128": ("california_housing", (128, 128), 8),
    "mnist 784-256-256-10": ("mnist", (256, 256), 2),
}
MLP, OURS = "scikit-learn MLP", "qnnprune, 1 segment"
BY_DEFAULT, LOOP = "qnnprune, default encoding", "torch float loop"
STOCK, CONCRETE = "skorch + stock Brevitas", "Concrete ML"


def make_mlp(regression, hidden, epochs):
    """scikit-learn's net, without its early end."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if regression else MLPClassifier
    return make(
        hidden_layer_sizes=hidden,
        batch_size=BATCH,
        max_iter=epochs,
        n_iter_no_change=epochs,
        random_state=0,
    )


def make_ours(regression, hidden, epochs, n_input_segments=1):
    """This library's."""
    from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

    make = PrunedNeuralNetRegressor if regression else PrunedNeuralNetClassifier
    return make(
        hidden,
        batch_size=BATCH,
        max_epochs=epochs,
        n_input_segments=n_input_segments,
        random_state=0,
    )


class TorchLoop:
    """A plain float net in a plain loop: what training costs at least in torch."""

    def __init__(self, regression, hidden, epochs):
        self.regression, self.hidden, self.epochs = regression, hidden, epochs

    def fit(self, X, y):
        """Whole batches of tensors, the fused AdamW."""
        import torch
        from torch import nn

        n_outputs = 1 if self.regression else int(y.max()) + 1
        sizes = (X.shape[1], *self.hidden)
        layers = []
        for n_in, n_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))
        optimizer = torch.optim.AdamW(self.net.parameters(), fused=True)
        loss = nn.MSELoss() if self.regression else nn.CrossEntropyLoss()
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        if self.regression:
            y = y.float()[:, None]
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


def make_stock(regression, hidden, epochs, n_features, n_outputs):
    """Stock Brevitas layers of the same network and widths, under skorch as it comes."""
    import torch
    from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
    from brevitas.quant import (
        Int8ActPerTensorFloat,
        Int8WeightPerTensorFloat,
        Uint8ActPerTensorFloat,
    )
    from skorch import NeuralNetClassifier, NeuralNetRegressor
    from torch import nn

    def linear(n_in, n_out):
        return QuantLinear(
            n_in, n_out, bias=True, weight_quant=Int8WeightPerTensorFloat, weight_bit_width=2
        )

    layers = [QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=2)]
    for n_in, n_out in zip((n_features, *hidden), hidden, strict=False):
        relu = QuantReLU(act_quant=Uint8ActPerTensorFloat, bit_width=2)
        layers += [linear(n_in, n_out), nn.BatchNorm1d(n_out), relu]
    module = nn.Sequential(*layers, linear(hidden[-1], n_outputs))
    make = NeuralNetRegressor if regression else NeuralNetClassifier
    return make(
        module,
        criterion=nn.MSELoss if regression else nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=1e-3,
        batch_size=BATCH,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
    )


def make_concrete(regression, hidden, epochs):
    """Concrete ML's net: its layers are as wide as the multiplier of the inputs says."""
    from concrete.ml.sklearn import NeuralNetClassifier, NeuralNetRegressor
    from torch import nn

    make = NeuralNetRegressor if regression else NeuralNetClassifier
    return make(
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


def make(tool, regression, hidden, epochs, n_features, n_outputs):
    """A new estimator."""
    if tool == STOCK:
        return make_stock(regression, hidden, epochs, n_features, n_outputs)
    if tool == BY_DEFAULT:
        return make_ours(regression, hidden, epochs, "auto")
    makers = {MLP: make_mlp, OURS: make_ours, LOOP: TorchLoop, CONCRETE: make_concrete}
    return makers[tool](regression, hidden, epochs)


def seconds(function, *arguments):
    """How long a call takes, and what it returns."""
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def work(request: dict) -> dict:
    """Measure one tool on one case; runs in a process of its own."""
    import threadpoolctl

    warnings.simplefilter("ignore")
    threadpoolctl.threadpool_limits(request["threads"])
    with np.load(request["table"], allow_pickle=False) as table:
        X, y, many = table["X"], table["y"], table["many"]
    tool, regression = request["tool"], y.dtype.kind == "f"
    shape = (X.shape[1], 1 if regression else int(y.max()) + 1)

    def new(epochs):
        return make(tool, regression, tuple(request["hidden"]), epochs, *shape)

    if tool in (STOCK, CONCRETE) and regression:
        y = y[:, None]
    new(1).fit(X[:1000], y[:1000])
    one_epoch, _ = seconds(new(1).fit, X, y)
    whole, estimator = seconds(new(request["epochs"]).fit, X, y)
    found = {"fit": whole, "epoch": (whole - one_epoch) / max(request["epochs"] - 1, 1)}
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = many[: PREDICTED_ROWS // 100] if tool in (STOCK, CONCRETE) else many
    scale = len(many) / len(rows)
    found["predict"] = min(seconds(estimator.predict, rows)[0] for _ in range(3)) * scale
    found["one row"] = min(seconds(estimator.predict, many[:1])[0] for _ in range(50)) * 1000
    if tool == MLP:
        found["runtime"] = runtime_seconds(estimator, many, request["threads"])
    if tool in (OURS, BY_DEFAULT):
        found["simulate"] = min(seconds(estimator.simulate, many)[0] for _ in range(3))
        found["parts"] = parts(new(request["epochs"]), X, y)
    return found


def runtime_seconds(mlp, rows, threads: int) -> float:
    """Labels or values of a float net in ONNX Runtime."""
    import onnxruntime
    import skl2onnx

    options = {"zipmap": False} if hasattr(mlp, "classes_") else {}
    model = skl2onnx.to_onnx(mlp, rows[:1], options={id(mlp): options}, target_opset=17)
    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), session_options)
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    return min(seconds(session.run, [output], {name: rows})[0] for _ in range(3))


def parts(estimator, X, y) -> dict:
    """Milliseconds of a training step by what they are spent on."""
    from qnnprune.pruning import pruner as pruning
    from qnnprune.training import module as network
    from qnnprune.training import net as training
    from qnnprune.training import step as gradients

    spent: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)

    def timed(owner, name, part):
        inner = getattr(owner, name)

        def outer(*arguments, **options):
            started = time.perf_counter()
            result = inner(*arguments, **options)
            spent[part] += time.perf_counter() - started
            calls[part] += 1
            return result

        setattr(owner, name, outer)
        return owner, name, inner

    patched = [
        timed(training.TrainingTable, "levels", "rows"),
        timed(network.InputCodes, "forward", "codes"),
        timed(gradients.TrainingStep, "_drop", "codes"),
        timed(gradients._Hidden, "forward", "forward"),
        timed(gradients._Output, "forward", "forward"),
        timed(gradients._Hidden, "backward", "backward"),
        timed(gradients._Output, "backward", "backward"),
        timed(gradients.TrainingStep, "__call__", "step"),
        timed(training.TrainingNet, "train_step", "train_step"),
        timed(training.TrainingNet, "fit_loop", "fit_loop"),
        timed(pruning.Pruner, "prune", "pruning"),
    ]
    whole, _ = seconds(estimator.fit, X, y)
    for owner, name, inner in patched:
        setattr(owner, name, inner)
    steps = calls["train_step"]  # equal rows are merged: fewer than the rows would make
    beside = spent["train_step"] + spent["pruning"] + spent["rows"]
    shares = {
        "data": spent["rows"] + spent["codes"],
        "forward": spent["forward"],
        "loss": spent["step"] - spent["forward"] - spent["backward"] - spent["codes"],
        "backward": spent["backward"],
        "optimizer": spent["train_step"] - spent["step"],
        "pruning": spent["pruning"],
        "callbacks, history": spent["fit_loop"] - beside,
        "outside of training": whole - spent["fit_loop"],
    }
    return {part: 1000 * value / steps for part, value in shares.items()} | {
        "whole": 1000 * whole / steps
    }


def measure(request: dict, python: str) -> dict:
    """Run `work` in a process of its own."""
    threads = str(request["threads"])
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, threads)
    done = subprocess.run(
        [python, __file__, "--work", json.dumps(request)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"{request['tool']} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def write_table(name: str, folder: str | None, path: str) -> None:
    """Preprocessed training rows, and 100,000 rows drawn from the held-back ones."""
    import sets

    X, X_test, y, _ = sets.load_numeric(name, folder)
    if sets.is_regression(y):
        y = ((y - y.mean()) / y.std()).astype(np.float32)
    else:
        y = np.unique(y, return_inverse=True)[1]
    rows = np.random.RandomState(0).randint(len(X_test), size=PREDICTED_ROWS)
    np.savez(path, X=X, y=y, many=X_test[rows])


def cell(values, digits=2) -> str:
    """Median and range."""
    low, high = min(values), max(values)
    return f"{np.median(values):.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def timing_table(results: dict, threads: int) -> str:
    """Markdown: one row a case and tool."""
    lines = [
        "| net | tool | fit, s | × MLP | epoch, s | predict 100,000 rows, s | × MLP "
        "| simulate, s | one row, ms | memory, MB |",
        "|---" * 10 + "|",
    ]
    for case in CASES:
        mine = {t: r for (c, t, n), r in results.items() if c == case and n == threads}
        for tool, rounds in mine.items():
            columns = {key: [r[key] for r in rounds] for key in rounds[0] if key != "parts"}
            base = {key: [r[key] for r in mine[MLP]] for key in ("fit", "predict")}
            ratio = {k: np.median(columns[k]) / np.median(base[k]) for k in base}
            if tool == MLP:
                runtime = columns.pop("runtime")
            simulate = f"{np.median(columns['simulate']):.3f}" if "simulate" in columns else ""
            lines.append(
                f"| {case} | {tool} | {cell(columns['fit'])} | {ratio['fit']:.2f} "
                f"| {np.median(columns['epoch']):.3f} | {cell(columns['predict'], 3)} "
                f"| {ratio['predict']:.2f} | {simulate} | {np.median(columns['one row']):.3f} "
                f"| {np.median(columns['memory']):.0f} |"
            )
            if tool == MLP:
                share = np.median(runtime) / np.median(base["predict"])
                lines.append(
                    f"| {case} | the same MLP in ONNX Runtime, float32 | | | "
                    f"| {cell(runtime, 3)} | {share:.2f} | | | |"
                )
    return "\n".join(lines)


def parts_table(results: dict) -> str:
    """Markdown: milliseconds of a step of ours, on one thread."""
    rows = {
        (case, tool): rounds[0]["parts"]
        for (case, tool, threads), rounds in results.items()
        if threads == 1 and tool in (OURS, BY_DEFAULT)
    }
    if not rows:
        return ""
    titles = list(next(iter(rows.values())))
    lines = ["| net | tool | " + " | ".join(titles) + " |", "|---" * (len(titles) + 2) + "|"]
    for (case, tool), values in rows.items():
        cells = [f"{values[t]:.3f}" for t in titles]
        lines.append(f"| {case} | {tool} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder with load.py")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--concrete-ml", help="interpreter of an environment that has it")
    parser.add_argument("--output", help="also write the tables to this file")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(json.loads(options.work))))
        return
    run(options)


def run(options) -> None:
    """All cases, tools and rounds."""
    import tempfile

    import sets

    tools = {tool: sys.executable for tool in (MLP, LOOP, OURS, BY_DEFAULT, STOCK)}
    if options.concrete_ml:
        tools[CONCRETE] = options.concrete_ml
    results: dict[tuple, list] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases:
            name, hidden, epochs = CASES[case]
            if options.data is None and name not in sets.OWN:
                continue
            path = os.path.join(folder, f"{name}.npz")
            write_table(name, options.data, path)
            request = {"table": path, "hidden": hidden, "epochs": epochs}
            for threads in options.threads:
                for _ in range(options.rounds):
                    for tool, python in tools.items():
                        if tool == CONCRETE and name == "mnist":
                            continue  # ten minutes and more
                        found = measure(request | {"tool": tool, "threads": threads}, python)
                        results[case, tool, threads].append(found)
                        print(case, tool, threads, found, file=sys.stderr, flush=True)
    text = report(results, options)
    print(text)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(f"# Speed\n\n{text}\n")


def report(results, options) -> str:
    """All tables."""
    import sets

    parts = [
        f"On {sets.machine()}; batches of {BATCH} rows, {options.rounds} rounds, median (range). "
        "Stock Brevitas and Concrete ML predict 1,000 rows; their times are scaled to 100,000. "
        "Concrete ML is left out on mnist: it was stopped after nine minutes."
    ]
    for threads in options.threads:
        title = f"## {threads} thread" + ("s" if threads > 1 else "")
        parts += [title, timing_table(results, threads)]
    parts += ["## Milliseconds of a training step", parts_table(results)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
