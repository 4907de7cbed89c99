"""A2Q and A2Q+ of Brevitas on the same network, started from its trained weights.

A2Q (Colbert et al. 2023, "A2Q: Accumulator-Aware Quantization with Guaranteed Overflow
Avoidance") bounds the L1 norm of every neuron's integer weights.  A2Q+ (Colbert et al. 2024,
"A2Q+: Improving Accumulator-Aware Weight Quantization") centres them on zero first, which doubles
the norm that fits unsigned inputs, and starts from the Euclidean projection of trained weights
onto the L1 ball that the accumulator allows.  Both get that start here.

Encoding, architecture, batch normalisation, activation quantizers, dropout, batches and
compilation are those of the estimator.  So are the codes centred on zero, for which A2Q's bound
for signed inputs applies, and the bias that no accumulator has to hold.  Every layer is bounded,
the output too.  Training is that of the unpruned quantized network, and then as many epochs again
with the bound.

From 7 bits down scores fall; at 6 bits most are near those of a constant.  Where that was looked
into (banknote, spambase, concrete), the start was already poor, and training left the one output
row with few weights or none, because the methods round toward zero.  None of the learning rates
tried (1e-5 to 1e-2) prevented it.  Narrower networks or other schedules may do better: these rows
are this recipe's, not the best that the methods can reach.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from brevitas.nn import QuantLinear
from brevitas.quant import (
    Int8AccumulatorAwareWeightQuant,
    Int8AccumulatorAwareZeroCenterWeightQuant,
)
from brevitas.quant_tensor import IntQuantTensor
from sklearn.base import is_regressor
from torch import nn

from qnnprune import IntegerNetwork
from qnnprune.accumulators import weight_max
from qnnprune.training.auto import auto_batch_size
from qnnprune.training.compilation import compile_layers

__all__ = ["START", "start_bounded", "train_bounded"]

# From a partial look at validation splits of two to four small sets, one seed each: 2, 3, 4 and 6
# bits, rates from 1e-4 to 1e-2.  At 8 bits of accumulator 3 or 4 bits and 1e-3 or 3e-3 did about
# equally well, at 6 bits nothing did.  Not a search as thorough as that for our own defaults.
LEARNING_RATE = 3e-3
START = {"n_w_bits": 4, "accumulator_guarantee": False, "n_accum_bits": 32}


class BoundedLinear(nn.Module):
    """A Brevitas layer in the place of a trained one; inputs that never change stay out."""

    def __init__(self, linear, varies, n_in_bits, n_accum_bits, quantizer):
        super().__init__()
        self.live = torch.from_numpy(np.flatnonzero(varies))
        start = linear.weight_quant.tensor_quant
        self.linear = QuantLinear(
            len(self.live),
            linear.out_features,
            bias=False,
            weight_quant=quantizer,
            weight_bit_width=int(start.bit_width),
            weight_accumulator_bit_width=n_accum_bits,
        )
        zero, one = torch.tensor(0.0), torch.tensor(1.0)
        # The quantizer asks its input for no more than width and sign.
        self.stub = IntQuantTensor(
            torch.zeros(1), one, zero, torch.tensor(float(n_in_bits)), signed=True, training=True
        )
        weight = linear.weight.detach()[:, self.live]
        start_bounded(self.linear, weight, start.scale, self.stub.bit_width, True)

    def quantized(self):
        """Weights as a Brevitas quant tensor."""
        return self.linear.weight_quant(self.linear.weight, self.stub)

    def forward(self, x):
        return x.index_select(1, self.live) @ self.quantized().value.t()

    @torch.no_grad()
    def codes(self, n_in):
        """Integer weights of all inputs, and the step of each row."""
        found = self.quantized()
        codes = torch.zeros(self.linear.out_features, n_in)
        codes[:, self.live] = (found.value / found.scale).round()
        return codes, found.scale


@torch.no_grad()
def start_bounded(layer, weight, step, n_in_bits, signed):
    """Start from trained weights: project the rows onto their L1 balls.

    The radius of a ball is in steps, and weights are rounded toward zero: with a step as large
    as that of unbounded weights hardly any would be left.  The normalisation that follows
    makes the step free, so each row takes the one with which its integers point most nearly
    where its weights did.

    Parameters
    ----------
    layer : QuantLinear or convolution
        With a quantizer of A2Q or A2Q+.
    weight, step : tensor
        Trained weights, and the step of each row, or of all.
    n_in_bits : tensor of shape ()
        Width of the input codes.
    signed : bool
        Whether these have a sign.
    """
    quantizer = layer.weight_quant.tensor_quant
    bound, shape = quantizer.pre_scaling_impl, weight.shape
    weight = weight.flatten(1)
    if hasattr(bound, "pre_zero_point"):
        weight = weight - weight.mean(dim=1, keepdim=True)
    largest = bound.calc_max_l1_norm(n_in_bits, signed)
    code = weight_max(int(quantizer.msb_clamp_bit_width_impl()))
    step = best_step(weight, step.reshape(-1, 1).expand(len(weight), 1), largest, code)
    weight = project(weight, largest * step)
    layer.weight.copy_(weight.view(shape))
    # One step for both of its uses, as in the papers; Brevitas makes two parameters.
    bound.scaling_impl, value = quantizer.scaling_impl, quantizer.scaling_impl.value
    value.copy_(step.log2().view_as(value))
    norm = weight.abs().sum(dim=1).clamp_(min=1e-6).log2()
    bound.value.copy_(norm.view_as(bound.value))


def project(weight, radius):
    """The nearest row within an L1 ball, for every row: all magnitudes fall by the same amount.

    Duchi et al. 2008, "Efficient Projections onto the L1-Ball for Learning in High Dimensions".

    Parameters
    ----------
    weight : tensor of shape (n_out, n_in)
    radius : tensor of shape (n_out, 1)
    """
    size = weight.abs()
    ranked = size.sort(dim=1, descending=True).values
    count = torch.arange(1, size.shape[1] + 1)
    fall = (ranked.cumsum(dim=1) - radius) / count
    last = (ranked > fall).sum(dim=1, keepdim=True).clamp_(min=1) - 1
    fall = torch.where(size.sum(dim=1, keepdim=True) > radius, fall.gather(1, last), 0.0)
    return weight.sign() * (size - fall).clamp_(min=0)


def best_step(weight, step, largest, largest_code):
    """The step of each row, of a grid below and above `step`, by the cosine that it leads to."""
    best, chosen = torch.full_like(step, -1.0), step.clone()
    for factor in 2.0 ** np.linspace(-6, 1, 29):
        tried = step * factor
        codes = (project(weight, largest * tried) / tried).trunc()
        codes = codes.clamp_(-largest_code, largest_code)
        cosine = nn.functional.cosine_similarity(codes, weight)[:, None]
        chosen = torch.where(cosine > best, tried, chosen)
        best = torch.maximum(cosine, best)
    return chosen


class BoundedNetwork(nn.Module):
    """A trained network with `BoundedLinear` layers; all else is shared with it."""

    def __init__(self, network, layers, dropout):
        super().__init__()
        self.network, self.layers, self.dropout = network, nn.ModuleList(layers), dropout

    def forward(self, levels):
        """(n, n_features) integer levels to (n, n_outputs) logits."""
        x = nn.functional.dropout(self.network.input(levels), self.dropout, self.training)
        for hidden, linear in zip(self.network.hidden, self.layers, strict=False):
            x = hidden.requantize(hidden.activation(hidden.norm(linear(x))))
        output = self.network.output
        return torch.addcmul(output.bias, self.layers[-1](x), output.gain)

    @torch.no_grad()
    def write_back(self):
        """Give the trained network the integer weights, from which it is compiled."""
        for linear, bounded in zip(self.network.linears, self.layers, strict=True):
            codes, step = bounded.codes(linear.in_features)
            linear.weight_quant.tensor_quant.scale.copy_(step)
            linear.weight.copy_(codes * step)
        return self.network.eval()


class Bounded:
    """What the benchmark asks of a model."""

    def __init__(self, network: IntegerNetwork, hidden_layer_sizes):
        self.integer_network_, self.hidden_layer_sizes = network, hidden_layer_sizes
        self.predict = network.predict


def train_bounded(start, X, y, *, n_accum_bits: int, centred: bool) -> Bounded:
    """Go on with bounded weights from a trained estimator, and compile.

    Parameters
    ----------
    start : estimator
        Fitted with the parameters `START`; its module is trained further.
    X, y : arrays
        What it was fitted on.
    n_accum_bits : int
        Width to reach, in bits.
    centred : bool
        A2Q+ rather than A2Q.
    """
    trained = start.integer_network_
    target, loss, mean, scale = _target(start, y)
    with torch.random.fork_rng():
        torch.manual_seed(start.random_state)
        network = _bounded(start, n_accum_bits, centred)
        levels = torch.from_numpy(trained.encoding.levels(X))
        _train(network, levels, target, loss, start)
    layers = compile_layers(network.write_back(), trained.encoding.input_range, mean, scale)
    widths = {"n_w_bits": start.n_w_bits, "n_accum_bits": n_accum_bits}
    integer = IntegerNetwork(trained.encoding, layers, classes=trained.classes, **widths)
    return Bounded(integer, start.hidden_layer_sizes)


def _target(model, y):
    """Targets, their loss, and the map from the network's outputs to the target's units."""
    if is_regressor(model):
        y = np.asarray(y, np.float64).reshape(-1, 1)
        mean, scale = y.mean(axis=0), y.std(axis=0)
        target = torch.from_numpy((y - mean) / scale).float()
        return target, nn.functional.mse_loss, mean, scale
    target = torch.from_numpy(np.searchsorted(model.classes_, y))
    n_outputs = model.integer_network_.layers[-1].n_logits
    unit = np.zeros(n_outputs), np.ones(n_outputs)
    if n_outputs > 1:
        return target, nn.functional.cross_entropy, *unit
    return target[:, None].float(), nn.functional.binary_cross_entropy_with_logits, *unit


def _bounded(model, n_accum_bits, centred):
    trained, encoding = model.module_.train(), model.integer_network_.encoding
    quantizer = Int8AccumulatorAwareWeightQuant
    if centred:
        quantizer = Int8AccumulatorAwareZeroCenterWeightQuant
    low, high = encoding.input_range.T
    n_bits, varies, bounded = encoding.n_bits, low < high, []
    for linear in trained.linears:
        bounded.append(BoundedLinear(linear, varies, n_bits, n_accum_bits, quantizer))
        n_bits, varies = model.n_a_bits, np.ones(linear.out_features, bool)
    return BoundedNetwork(trained, bounded, model.dropout_)


def _train(network, levels, target, loss, model):
    """As many epochs again; the learning rate falls along half a cosine."""
    torch.set_num_threads(1)
    weights = [layer.linear.weight for layer in network.layers]
    taken = {id(w) for w in weights} | {id(linear.weight) for linear in network.network.linears}
    others = [p for p in network.parameters() if id(p) not in taken]
    groups = [{"params": weights, "weight_decay": model.alpha}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, LEARNING_RATE, weight_decay=0.0, fused=True)
    batch_size = auto_batch_size(len(levels), None)
    n_batches = max(1, min(math.ceil(len(levels) / batch_size), len(levels) // 2))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_batches * model.n_iter_)
    network.train()
    for _ in range(model.n_iter_):
        for rows in torch.randperm(len(levels)).tensor_split(n_batches):
            optimizer.zero_grad()
            loss(network(levels[rows]), target[rows]).backward()
            optimizer.step()
            schedule.step()
