"""Modules of one's own: what does a proven accumulator cost convolutions and known small networks?

Each case is a module of stock Brevitas layers, trained in a plain loop with `AccumulatorPruner`, or
without it ("dense").  Scores are those of its integer network on the test rows: accuracy, R² for
the sensors, and for the autoencoder the area under the curve that tells unknown digits from
known ones by the error of reconstruction.  Compression is weights / nonzero weights, speedup
multiply-adds / nonzero multiply-adds (Blalock et al. 2020).
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from _runner import arguments, run
from brevitas.nn import QuantConv1d, QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas_examples.bnn_pynq.models.FC import FC
from sklearn.datasets import load_digits
from sklearn.metrics import r2_score, roc_auc_score
from torch import nn
from torch.nn import functional as F

from qnnprune.nn import AccumulatorPruner, to_integer_network

# Han et al. 2015: weights of LeNet-300-100 and LeNet-5 that are left, by layer.
HAN_300 = {"1": {"sparsity": 0.92}, "4": {"sparsity": 0.91}, "7": {"sparsity": 0.74}}
HAN_5 = {name: {"sparsity": s} for name, s in zip("159", (0.34, 0.88, 0.92), strict=True)}
HAN_5["11"] = {"sparsity": 0.81}
N_MNIST = 10_000


def linear(n_in, n_out, bits=2):
    return QuantLinear(n_in, n_out, bias=False, weight_bit_width=bits)


def lenet_300_100():
    return nn.Sequential(
        QuantIdentity(bit_width=4),
        *(linear(784, 300), nn.BatchNorm1d(300), QuantReLU(bit_width=2)),
        *(linear(300, 100), nn.BatchNorm1d(100), QuantReLU(bit_width=2)),
        *(linear(100, 10), nn.BatchNorm1d(10)),
    )


def lenet_5():
    def block(n_in, n_out):
        conv = QuantConv2d(n_in, n_out, 5, bias=False, weight_bit_width=3)
        return conv, nn.BatchNorm2d(n_out), QuantReLU(bit_width=2), nn.MaxPool2d(2)

    return nn.Sequential(
        QuantIdentity(bit_width=4), *block(1, 20), *block(20, 50),
        *(linear(800, 500, 3), QuantReLU(bit_width=2), linear(500, 10, 3), nn.BatchNorm1d(10)),
    )  # fmt: skip


class Flat(nn.Module):
    """Flattens between convolutions and linear layers, without a number of its own."""

    def __init__(self, layers, at):
        super().__init__()
        self.layers, self.at = layers, at

    def forward(self, x):
        for layer in self.layers[: self.at]:
            x = layer(x)
        x = torch.flatten(x, 1)
        for layer in self.layers[self.at :]:
            x = layer(x)
        return x


def small_convolutions():
    return Flat(
        nn.Sequential(
            QuantIdentity(bit_width=4),
            QuantConv2d(1, 16, 3, padding=1, bias=False, weight_bit_width=3),
            *(nn.BatchNorm2d(16), QuantReLU(bit_width=2), nn.MaxPool2d(2)),
            QuantConv2d(16, 32, 3, bias=False, weight_bit_width=3),
            *(nn.BatchNorm2d(32), QuantReLU(bit_width=2)),
            *(linear(128, 10, 3), nn.BatchNorm1d(10)),
        ),
        8,
    )


def sensors():
    def block(n_in, n_out):
        conv = QuantConv1d(n_in, n_out, 5, stride=2, bias=False, weight_bit_width=3)
        return conv, nn.BatchNorm1d(n_out), QuantReLU(bit_width=3)

    return Flat(
        nn.Sequential(
            QuantIdentity(bit_width=4), *block(24, 32), *block(32, 32),
            QuantLinear(32 * 4, 1, bias=True, weight_bit_width=4),
        ),
        7,
    )  # fmt: skip


def autoencoder():
    return nn.Sequential(
        QuantIdentity(bit_width=4),
        *(linear(64, 48, 3), nn.BatchNorm1d(48), QuantReLU(bit_width=3)),
        *(linear(48, 8, 3), nn.BatchNorm1d(8), QuantReLU(bit_width=4)),
        *(linear(8, 48, 3), nn.BatchNorm1d(48), QuantReLU(bit_width=3)),
        QuantLinear(48, 64, bias=True, weight_bit_width=3),
    )


# -------------------------------------------------------------------------------- rows


def mnist(folder, shape=(1, 28, 28)):
    with np.load(Path(folder) / "mnist.npz") as file:
        X, y, part = file["X"], file["y"], file["part"]
    X = X.reshape(-1, *shape).astype(np.float32) / 255
    train = np.flatnonzero(part == 0)[:N_MNIST]
    return X[train], X[part == 1], y[train].astype(int), y[part == 1].astype(int)


def digits(_):
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return X[:1347], X[1347:], y[:1347], y[1347:]


def engines(folder, length=25):
    """Windows of consecutive cycles of one engine; life that is left, in units of 125 cycles."""
    with np.load(Path(folder) / "cmapss_fd001.npz") as file:
        X, y, part, unit = (file[name] for name in ("X", "y", "part", "unit"))
    mean, sd = X[part == 0].mean(axis=0), X[part == 0].std(axis=0)
    X = ((X - mean) / np.where(sd > 1e-6, sd, 1)).astype(np.float32).clip(-4, 4)
    ends = np.arange(length - 1, len(X))
    ends = ends[(unit[ends] == unit[ends - length + 1]) & (part[ends] == part[ends - length + 1])]
    windows = np.lib.stride_tricks.sliding_window_view(X, length, axis=0)[ends - length + 1]
    train = part[ends] == 0
    y = (y[ends] / 125).astype(np.float32)
    return windows[train][::2], windows[~train], y[train][::2], y[~train]


def known_digits(_):
    """Training rows are 0 to 4; test rows are all, and those from 5 on are anomalies."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    train, test = np.flatnonzero(y[:1347] < 5), np.arange(1347, len(y))
    return X[train], X[test], X[train], (y[test] >= 5).astype(int)


def flat_mnist(folder):
    return mnist(folder, (784,))


def example(hidden):
    """Brevitas's own network: weights, activations of 2 bits, inputs of 2 bits."""
    return lambda: FC(10, 2, 2, 2, 1, hidden)


# Name to module, rows, epochs, and limits by layer.
CASES = {
    "convolutions, digits": (small_convolutions, digits, 30, None),
    "autoencoder, digits": (autoencoder, known_digits, 60, None),
    "sensors, engines": (sensors, engines, 12, None),
    "TFC, MNIST": (example([64] * 3), mnist, 12, None),
    "SFC, MNIST": (example([256] * 3), mnist, 12, None),
    "LeNet-300-100, MNIST": (lenet_300_100, flat_mnist, 12, None),
    "LeNet-300-100 at Han's sparsity, MNIST": (lenet_300_100, flat_mnist, 12, HAN_300),
    "LeNet-5, MNIST": (lambda: Flat(lenet_5(), 9), mnist, 6, None),
    "LeNet-5 at Han's sparsity, MNIST": (
        lambda: Flat(lenet_5(), 9), mnist, 6, {f"layers.{k}": v for k, v in HAN_5.items()},
    ),
}  # fmt: skip


# ------------------------------------------------------------------------------ measure


def loss_of(output, target):
    if target.dtype == torch.int64:
        return F.cross_entropy(output, target)
    return F.mse_loss(output.reshape(target.shape), target)


def trained(module, X, y, n_epochs, pruner, seed):
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
    for epoch in range(n_epochs):
        module.train()
        for rows in torch.randperm(len(X), generator=generator).split(100):
            loss = loss_of(module(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if pruner is not None:
                pruner.keep_zeros()
        schedule.step()
        if pruner is not None:
            pruner.step((epoch + 1) / n_epochs)
    return module.eval()


def score_of(case, network, X, y) -> float:
    decision = network.decision(X)
    if case.startswith("autoencoder"):
        return roc_auc_score(y, np.square(decision - X).sum(axis=1))
    if case.startswith("sensors"):
        return r2_score(y, decision[:, 0])
    return float((decision.argmax(axis=1) == y).mean())


def cost(module, X) -> dict:
    """Weights and multiply-adds, of all and of those that are not 0."""
    total = dict.fromkeys(("weights", "nonzeros", "macs", "nonzero_macs"), 0)

    def add(layer, taken, made):
        codes = layer.quant_weight().value
        kept, positions = int(codes.count_nonzero()), made[0, 0].numel()
        for name, n in (("weights", codes.numel()), ("nonzeros", kept)):
            total[name] += n
        total["macs"] += codes.numel() * positions
        total["nonzero_macs"] += kept * positions

    kinds = (QuantLinear, QuantConv1d, QuantConv2d)
    hooks = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        module(X[:1])
    for hook in hooks:
        hook.remove()
    return total


def measure(case, bits, seed, folder=None) -> dict:
    make, rows, n_epochs, per_layer = CASES[case]
    X, X_test, y, y_test = rows(folder)
    X, target = torch.from_numpy(np.ascontiguousarray(X)), torch.from_numpy(y)
    torch.manual_seed(seed)
    module, pruner = make(), None
    if bits is not None:
        pruner = AccumulatorPruner(module, bits, per_layer=per_layer)
    started = time.perf_counter()
    trained(module, X, target, n_epochs, pruner, seed)
    seconds = time.perf_counter() - started
    network, found = to_integer_network(module, X[:1]), cost(module, X)
    return {
        "score": score_of(case, network, X_test, y_test),
        "proven_bits": network.proven_bits,
        "nonzeros": found["nonzeros"],
        "compression": found["weights"] / found["nonzeros"],
        "speedup": found["macs"] / found["nonzero_macs"],
        "seconds": seconds,
    }


def main():
    parser = arguments(__doc__, "custom")
    parser.add_argument("--bits", nargs="+", default=["dense", "12", "10", "8"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    cases = options.sets or [c for c in CASES if options.data or c.endswith(", digits")]
    bits = [None if b == "dense" else int(b) for b in options.bits]
    cells = [
        {"case": case, "bits": b, "seed": seed}
        for case in cases for b in bits for seed in range(options.seeds)
        if b is not None or CASES[case][3] is None
    ]  # fmt: skip

    def one(**cell):
        return measure(**cell, folder=options.data)

    run(one, cells, options.output, packages=("torch", "brevitas"))


if __name__ == "__main__":
    main()
