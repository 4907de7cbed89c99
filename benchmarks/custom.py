"""Modules of one's own: what does a proven accumulator cost convolutions and known small networks?

Each case is a module of stock Brevitas layers, trained in a plain loop ("dense"), and then for as many
epochs again with `AccumulatorPruner` ("pruned"), or as A2Q+ of Brevitas with weights of 4 bits (see
`accumulator_aware`).  Scores are those of its integer network on the test rows: accuracy, R² for
the sensors, and for the autoencoder the area under the curve that tells unknown digits from
known ones by the error of reconstruction.  Compression is weights / nonzero weights, speedup
multiply-adds / nonzero multiply-adds (Blalock et al. 2020).
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from _runner import arguments, run
from accumulator_aware import start_bounded
from brevitas.nn import QuantConv1d, QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8AccumulatorAwareZeroCenterWeightQuant
from brevitas.quant_tensor import IntQuantTensor
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
N_MNIST = 20_000
WEIGHTED = QuantLinear, QuantConv1d, QuantConv2d


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
    y = y.astype(int)
    train = np.flatnonzero(part == 0)[:N_MNIST]
    return X[train], X[part == 1], y[train], y[part == 1]


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
    return np.ascontiguousarray(windows[train][::2]), windows[~train], y[train][::2], y[~train]


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
    "LFC, MNIST": (example([1024] * 3), mnist, 6, None),
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

    hooks = [m.register_forward_hook(add) for m in module.modules() if isinstance(m, WEIGHTED)]
    with torch.no_grad():
        module(X[:1])
    for hook in hooks:
        hook.remove()
    return total


def bounded(module, n_accum_bits):
    """Put layers of A2Q+ into the place of trained ones."""
    n_bits = signed = None
    for name, layer in list(module.named_modules()):
        if isinstance(layer, (QuantIdentity, QuantReLU)):
            n_bits, signed = layer.act_quant.bit_width().detach(), bool(layer.act_quant.is_signed)
        if isinstance(layer, WEIGHTED):
            parent, _, own = name.rpartition(".")
            made = bounded_layer(layer, n_bits, signed, n_accum_bits)
            setattr(module.get_submodule(parent), own, made)
    return module


def bounded_layer(layer, n_bits, signed, n_accum_bits):
    given = {
        "bias": layer.bias is not None, "weight_bit_width": 4,
        "weight_quant": Int8AccumulatorAwareZeroCenterWeightQuant,
        "weight_accumulator_bit_width": n_accum_bits,
    }  # fmt: skip
    if isinstance(layer, QuantLinear):
        made = QuantLinear(layer.in_features, layer.out_features, **given)
    else:
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size
        made = type(layer)(*sizes, stride=layer.stride, padding=layer.padding, **given)
    # The quantizer asks its input for width and sign, which conversion wants to know again.
    zero, one = torch.tensor(0.0), torch.tensor(1.0)

    def tell(module, args):
        return (
            IntQuantTensor(args[0], one, zero, n_bits, signed=signed, training=module.training),
        )

    made.register_forward_pre_hook(tell)
    made.weight_quant.cache_inference_quant_act = True
    start_bounded(made, layer.weight.detach(), layer.quant_weight().scale, n_bits, signed)
    if layer.bias is not None:
        made.bias.data.copy_(layer.bias.detach())
    return made


@cache
def dense_state(case, seed, folder):
    """Tensors of the trained dense module, and seconds."""
    make, rows, n_epochs, _ = CASES[case]
    X, _, y, _ = rows(folder)
    torch.manual_seed(seed)
    module, started = make(), time.process_time()
    trained(module, torch.from_numpy(X), torch.from_numpy(y), n_epochs, None, seed)
    return module.state_dict(), time.process_time() - started


def measure(case, method, bits, seed, folder=None) -> dict:
    """Train the dense module; go on from it for as many epochs under a limit."""
    make, rows, n_epochs, per_layer = CASES[case]
    X, X_test, y, y_test = rows(folder)
    state, seconds = dense_state(case, seed, folder)
    module, pruner, started = make(), None, time.process_time()
    module.load_state_dict(state)
    if method == "A2Q+":
        module = bounded(module, bits)
    if method == "pruned":
        pruner = AccumulatorPruner(module, bits, per_layer=per_layer)
    if method != "dense":
        trained(module, torch.from_numpy(X), torch.from_numpy(y), n_epochs, pruner, seed)
    seconds += time.process_time() - started
    example = torch.from_numpy(X[:1])
    module.eval()(example)
    network, found = to_integer_network(module, example), cost(module, example)
    return {
        "score": score_of(case, network, X_test, y_test),
        "proven_bits": network.proven_bits,
        "nonzeros": found["nonzeros"],
        "compression": found["weights"] / found["nonzeros"],
        "speedup": found["macs"] / found["nonzero_macs"],
        "cpu_seconds": seconds,
    }


def main():
    parser = arguments(__doc__, "custom")
    parser.add_argument("--bits", type=int, nargs="+", default=[12, 10, 8])
    parser.add_argument("--methods", nargs="+", default=["dense", "pruned", "A2Q+"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    cases = options.sets or [c for c in CASES if options.data or c.endswith(", digits")]
    cells = [
        {"case": case, "method": method, "bits": bits, "seed": seed}
        for case in cases
        for method in options.methods
        if method == "pruned" or CASES[case][3] is None
        for bits in ([None] if method == "dense" else options.bits)
        for seed in range(options.seeds)
    ]

    def one(**cell):
        return measure(**cell, folder=options.data)

    run(one, cells, options.output, packages=("torch", "brevitas"))


if __name__ == "__main__":
    main()
