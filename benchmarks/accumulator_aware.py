"""A2Q and A2Q+ of Brevitas on the same network, started from its trained weights.

A2Q (Colbert et al. 2023, "A2Q: Accumulator-Aware Quantization with Guaranteed Overflow
Avoidance") bounds the L1 norm of every neuron's integer weights; A2Q+ (Colbert et al. 2024,
"A2Q+: Improving Accumulator-Aware Weight Quantization") centres them on zero first, which doubles
the norm that fits unsigned inputs, and starts from the Euclidean projection of trained weights
onto the L1 ball that the accumulator allows.  Both get that start here.

Encoding, architecture, batch normalisation, activation quantizers, loss, dropout, batches and
compilation are those of the estimator; so are the codes centred on zero, with which A2Q's bound
for signed inputs applies, and the bias that no accumulator has to hold.  Every layer is bounded,
the output too.  Training is that of the unpruned quantized network, and then as many epochs again
with the bound.

From 7 bits down scores fall, at 6 bits most are near those of a constant.  Where that was looked
into (banknote, spambase, concrete), the start was already poor, and training left the one output
row with few weights or none, as the methods round toward zero; none of the rates tried (1e-5 to
1e-2) prevented it.  Narrower networks or other schedules may do better: take these rows as this
recipe's, not as the best that the methods can reach.
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

from qnnprune.accumulators import weight_max
from qnnprune.integer._network import IntegerNetwork
from qnnprune.training.auto import auto_batch_size
from qnnprune.training.compilation import compile_layers
from qnnprune.training.losses import binary_loss, multiclass_loss, squared_loss

__all__ = ["SETTINGS", "fit_accumulator_aware", "fit_start"]

# From a partial look at validation splits of two to four small sets, one seed each: 2, 3, 4 and 6
# bits, rates from 1e-4 to 1e-2.  At 8 bits of accumulator 3 or 4 bits and 1e-3 or 3e-3 did about
# equally well, at 6 bits nothing did.  Not a search as thorough as that for our own defaults.
SETTINGS = {"a2q_lr": 3e-3, "a2q_n_w_bits": 4}


class BoundedLinear(nn.Module):
    """A Brevitas layer in the place of a trained one; inputs that never change stay out."""

    def __init__(self, linear, input_range, n_in_bits, n_accum_bits, quantizer):
        super().__init__()
        self.live = torch.from_numpy(np.flatnonzero(input_range[:, 0] < input_range[:, 1]))
        start = linear.weight_quant.tensor_quant
        n_w_bits = int(start.bit_width)
        self.linear = QuantLinear(
            len(self.live),
            linear.out_features,
            bias=False,
            weight_quant=quantizer,
            weight_bit_width=n_w_bits,
            weight_accumulator_bit_width=n_accum_bits,
        )
        zero, one = torch.tensor(0.0), torch.tensor(1.0)
        # The quantizer asks its input for no more than width and sign.
        self.stub = IntQuantTensor(
            torch.zeros(1), one, zero, torch.tensor(float(n_in_bits)), signed=True, training=True
        )
        self._start(linear.weight.detach()[:, self.live], start.scale)

    @torch.no_grad()
    def _start(self, weight, step):
        """Project the rows onto their L1 balls; the norms and steps are what they then are.

        The radius of a ball is in steps, and weights are rounded toward zero: with a step as large
        as that of unbounded weights hardly any would be left.  The normalisation that follows
        makes the step free, so each row takes the one with which its integers point most nearly
        where its weights did.
        """
        quantizer = self.linear.weight_quant.tensor_quant
        bound = quantizer.pre_scaling_impl
        if hasattr(bound, "pre_zero_point"):
            weight = weight - weight.mean(dim=1, keepdim=True)
        largest = bound.calc_max_l1_norm(self.stub.bit_width, True)
        code = weight_max(int(quantizer.msb_clamp_bit_width_impl()))
        step = best_step(weight, step, largest, code)
        weight = project(weight, largest * step)
        self.linear.weight.copy_(weight)
        # One step for both of its uses, as in the papers; Brevitas makes two parameters.
        bound.scaling_impl = quantizer.scaling_impl
        quantizer.scaling_impl.value.copy_(step.log2())
        bound.value.copy_(weight.abs().sum(dim=1, keepdim=True).clamp_(min=1e-6).log2())

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


class Fitted:
    """What the benchmark asks of a model."""

    def __init__(self, network: IntegerNetwork, hidden_layer_sizes):
        self.integer_network_, self.hidden_layer_sizes = network, hidden_layer_sizes

    def predict(self, X):
        """Labels or values, in integers."""
        return self.integer_network_.predict(X)


def fit_start(model, X, y):
    """Train the estimator unpruned: where both methods start, whatever the width."""
    bits = {"n_accum_bits": 32, "n_w_bits": SETTINGS["a2q_n_w_bits"]}
    return model.set_params(accumulator_guarantee=False, **bits).fit(X, y)


def fit_accumulator_aware(model, X, y, *, n_accum_bits: int, centred: bool):
    """Go on with bounded weights from what `fit_start` trained, and compile.

    Parameters
    ----------
    model : estimator
        Fitted; its module is trained further.
    X, y : arrays
    n_accum_bits : int
        Width to reach, in bits.
    centred : bool
        A2Q+ rather than A2Q.

    Returns
    -------
    Fitted, dict
        The dict holds the epochs of both trainings.
    """
    start = model.integer_network_
    levels = start.encoding.levels(X)
    target, mean, scale = _target(model, y)
    with torch.random.fork_rng():
        torch.manual_seed(model.random_state)
        network = _bounded(model, n_accum_bits, centred)
        _train(network, torch.from_numpy(levels), target, _batch_size(model, len(X)), model)
    layers = compile_layers(network.write_back(), start.encoding.input_range, mean, scale)
    widths = {"n_w_bits": model.n_w_bits, "n_accum_bits": n_accum_bits}
    integer = IntegerNetwork(start.encoding, layers, classes=start.classes, **widths)
    return Fitted(integer, model.hidden_layer_sizes), {"n_epochs": 2 * model.n_iter_}


def _target(model, y):
    """Targets for the loss, and the map from the network's outputs to the target's units."""
    n_outputs = len(model.integer_network_.layers[-1].weight)
    if not is_regressor(model):
        return torch.from_numpy(np.searchsorted(model.classes_, y)), *_unit(n_outputs)
    y = np.asarray(y, np.float64).reshape(-1, 1)
    mean, scale = y.mean(axis=0), y.std(axis=0)
    return torch.from_numpy((y - mean) / scale), mean, scale


def _unit(n_outputs):
    return np.zeros(n_outputs), np.ones(n_outputs)


def _bounded(model, n_accum_bits, centred):
    trained, layers = model.module_.train(), model.integer_network_.layers
    quantizer = Int8AccumulatorAwareWeightQuant
    if centred:
        quantizer = Int8AccumulatorAwareZeroCenterWeightQuant
    in_bits = model.n_a_bits if model.n_in_bits is None else model.n_in_bits
    bits = [in_bits] + [model.n_a_bits] * (len(layers) - 1)
    bounded = [
        BoundedLinear(linear, layer.input_range, n_bits, n_accum_bits, quantizer)
        for linear, layer, n_bits in zip(trained.linears, layers, bits, strict=True)
    ]
    return BoundedNetwork(trained, bounded, model.dropout_)


def _batch_size(model, n_rows):
    return auto_batch_size(n_rows) if model.batch_size == "auto" else model.batch_size


def _loss(model, n_outputs):
    if is_regressor(model):
        return squared_loss
    return binary_loss if n_outputs == 1 else multiclass_loss


def _train(network, levels, target, batch_size, model):
    """As many epochs again; the learning rate falls along half a cosine."""
    torch.set_num_threads(1)
    loss = _loss(model, len(network.layers[-1].linear.weight))
    weights = [layer.linear.weight for layer in network.layers]
    taken = {id(w) for w in weights} | {id(linear.weight) for linear in network.network.linears}
    others = [p for p in network.parameters() if id(p) not in taken]
    groups = [{"params": weights, "weight_decay": model.alpha}, {"params": others}]
    optimizer = torch.optim.AdamW(groups, SETTINGS["a2q_lr"], weight_decay=0.0, fused=True)
    n_batches = max(1, min(math.ceil(len(levels) / batch_size), len(levels) // 2))
    steps = n_batches * model.n_iter_
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for _ in range(model.n_iter_):
        for rows in torch.randperm(len(levels)).tensor_split(n_batches):
            output = network(levels[rows])
            with torch.no_grad():
                _, gradient = loss(output.detach(), target[rows], torch.ones(len(rows)))
            optimizer.zero_grad()
            output.backward(gradient)
            optimizer.step()
            schedule.step()
