"""Small networks to prune, and what an optimizer may do to them."""

import numpy as np
import oracles
import torch

from qnnprune.accumulators import code_range
from qnnprune.encoding._fit import fit_encoding
from qnnprune.pruning.limits import LayerLimits
from qnnprune.training.module import PrunableMLP
from qnnprune.training.spec import NetworkShape


def make_network(n_w_bits=3, n_a_bits=2, hidden=(6, 5), n_features=7, seed=0, n_output_sums=1):
    """A network on features of which the last is constant, with slopes of either sign."""
    rng = np.random.default_rng(seed)
    columns = [*rng.normal(size=(n_features - 1, 40)), np.ones(40)]
    encoding = fit_encoding(columns, None, n_segments=2, n_bits=n_a_bits)
    torch.manual_seed(seed)
    shape = NetworkShape(hidden, 3, "relu", n_w_bits, n_a_bits, n_output_sums=n_output_sums)
    return PrunableMLP(encoding, shape), encoding


def make_limits(network, encoding, n_a_bits=2, n_accum_bits=None, budget=None):
    ranges = [encoding.input_range]
    ranges += [np.tile(code_range(n_a_bits), (len(h.norm.weight), 1)) for h in network.hidden]
    return [LayerLimits(r, n_accum_bits, budget) for r in ranges]


def integer_weights(network):
    """Kept codes, with the sign that rows get in the integer network."""
    for layer in (*network.hidden, network.output):
        quantizer = layer.linear.weight_quant.tensor_quant
        codes = (quantizer.codes(layer.linear.weight) * quantizer.mask).numpy().astype(int)
        if hasattr(layer, "norm"):
            codes = codes * np.where(layer.norm.weight.detach().numpy() < 0, -1, 1)[:, None]
        yield codes


def masks(network):
    return [linear.weight_quant.tensor_quant.mask.numpy() > 0 for linear in network.linears]


@torch.no_grad()
def drift(network, rng):
    """What an optimizer step may do, and worse."""
    for layer in (*network.hidden, network.output):
        weight = layer.linear.weight
        noise = rng.normal(scale=rng.choice([0.01, 1, 50]), size=weight.shape)
        weight.add_(torch.from_numpy(noise).float())
        weight[int(rng.integers(len(weight)))] *= 1e-6  # a row that rounds to 0
        if hasattr(layer, "norm"):
            sign = rng.choice([-1.0, 1.0], len(weight))
            layer.norm.weight.mul_(torch.from_numpy(sign).float())


def assert_limits_hold(network, limits):
    for codes, limit in zip(integer_weights(network), limits, strict=True):
        for row in codes.tolist():
            low_high = oracles.accumulator_range(row, limit.input_range.tolist())
            n_bits = limit.n_accum_bits
            assert n_bits is None or oracles.fits(*low_high, n_bits, always_signed=True)
            assert limit.budget is None or np.count_nonzero(row) <= limit.budget
