"""Sizes and proven widths of a network, from its arrays and with numpy alone.

Nothing here calls the library that is measured: what it proves is computed anew.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

__all__ = ["float_measures", "integer_measures", "proven_bits"]


def proven_bits(weight, input_range) -> np.ndarray:
    """Bits that hold every sum of each row's products, whatever the inputs are."""
    ends = zip(*_worst_case(weight, input_range), strict=True)
    return np.array([_register(int(bottom), int(top)) for bottom, top in ends])


def _worst_case(weight, input_range) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest sum of each row's products."""
    weight = weight.astype(np.int64)
    low, high = input_range.astype(np.int64).T
    bottom = np.minimum(weight * low, weight * high).sum(axis=1)
    return bottom, np.maximum(weight * low, weight * high).sum(axis=1)


def _register(bottom: int, top: int) -> int:
    """Unsigned where no sum is negative, else two's complement."""
    bits = 1
    if bottom >= 0:
        while top > 2**bits - 1:
            bits += 1
        return bits
    while top > 2 ** (bits - 1) - 1 or bottom < -(2 ** (bits - 1)):
        bits += 1
    return bits


def dead_neurons(layer) -> int:
    """Neurons of a layer whose output is the same over their whole range of sums."""
    bottom, top = _worst_case(layer.weight, layer.input_range)
    if layer.thresholds is None:
        return int(((top == bottom) | (layer.scale == 0)).sum())
    reached = [(layer.thresholds <= end[:, None]).sum(axis=1) for end in (bottom, top)]
    return int((reached[0] == reached[1]).sum())


def integer_measures(network, model) -> dict:
    """Sizes of an integer network, beside those of the dense one that training began with.

    Compression ratio and theoretical speedup as Blalock et al. 2020 define them, "What is the
    State of Neural Network Pruning?": size over size left, and multiply-adds over those left.
    A size counts weights and, for every neuron, its thresholds or its scale and bias.
    """
    layers = network.layers
    hidden = model.hidden_layer_sizes
    hidden = tuple(hidden) if np.iterable(hidden) else (hidden,)
    widths = (layers[0].weight.shape[1], *hidden, len(layers[-1].weight))
    dense = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    per_hidden = layers[0].thresholds.shape[1]
    dense_size = dense + per_hidden * sum(hidden) + 2 * widths[-1]
    per_neuron = np.concatenate([np.count_nonzero(layer.weight, axis=1) for layer in layers])
    neurons = sum(len(layer.weight) for layer in layers[:-1])
    size = int(per_neuron.sum()) + per_hidden * neurons + 2 * widths[-1]
    return {
        "proven_bits": max(int(proven_bits(x.weight, x.input_range).max()) for x in layers),
        "nonzeros": int(per_neuron.sum()),
        "nonzeros_mean": float(per_neuron.mean()),
        "nonzeros_max": int(per_neuron.max()),
        "compression": dense_size / size,
        "speedup": dense / max(int(per_neuron.sum()), 1),
        "fan_in": max(widths[:-1]),
        "neurons": len(per_neuron),
        "dead": sum(map(dead_neurons, layers)),
        "file_bytes": _file_bytes(network),
        "packed_bytes": math.ceil(network.n_w_bits * sum(x.weight.size for x in layers) / 8),
    }


def _file_bytes(network) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.npz"
        network.save(path)
        return path.stat().st_size


def float_measures(model) -> dict:
    """Weights of a float model in float32; nothing for trees."""
    model = getattr(model, "regressor_", model)
    if hasattr(model, "module_"):
        weights = [linear.weight.detach().numpy() for linear in model.module_.linears]
    elif hasattr(model, "coefs_"):
        weights = [w.T for w in model.coefs_]
    elif hasattr(model, "coef_"):
        weights = [np.atleast_2d(model.coef_)]
    else:
        return {}
    per_neuron = np.concatenate([np.count_nonzero(w, axis=1) for w in weights])
    return {
        "nonzeros": int(per_neuron.sum()),
        "nonzeros_mean": float(per_neuron.mean()),
        "nonzeros_max": int(per_neuron.max()),
        "packed_bytes": 4 * sum(w.size for w in weights),
    }
