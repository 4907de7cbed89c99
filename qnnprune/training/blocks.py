"""Parts of the torch module: input codes, hidden layers, and the output layer."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ..accumulators import code_range
from ..encoding import InputEncoding
from .activations import activation_of
from .quantizers import activation_quantizer, weight_quantizer
from .spec import NetworkShape

__all__ = ["HiddenBlock", "InputCodes", "OutputBlock", "SkippedCodes", "quantizer"]


def member_of(n: int, n_members: int) -> np.ndarray:
    """Which member each of `n` neurons, or sums, belongs to: parts of nearly equal size."""
    return np.arange(n) * n_members // n


class InputCodes(nn.Module):
    """Levels of the features to values of the input codes, from -1 to 1."""

    def __init__(self, encoding: InputEncoding):
        super().__init__()
        self.steps = encoding.steps
        self.low = code_range(encoding.n_bits)[0]
        feature, offset = torch.from_numpy(encoding.feature), torch.from_numpy(encoding.offset)
        self.register_buffer("feature", feature, persistent=False)
        self.register_buffer("offset", offset.to(torch.float32), persistent=False)
        # Segments a feature has; None if that depends on the feature.
        counts, tables = np.unique(encoding.n_codes), encoding.tables
        all_ramps = all(table is None for table in tables)
        self.n_segments = int(counts[0]) if len(counts) == 1 and all_ramps else None
        self._add_tables(encoding)

    def _add_tables(self, encoding: InputEncoding):
        """Values of codes by level, those of one code after the other, for features with a table."""
        codes = [np.empty(0, np.int8)]
        codes += [
            t[:, place] for t in encoding.tables if t is not None for place in range(t.shape[1])
        ]
        values = (np.concatenate(codes) - self.zero_point) * self.scale
        tabled = np.array([encoding.tables[f] is not None for f in encoding.feature], dtype=bool)
        start = np.cumsum([0, *map(len, codes[1:-1])])[: tabled.sum()]
        self.register_buffer("tabled", torch.from_numpy(np.flatnonzero(tabled)), persistent=False)
        self.register_buffer("start", torch.from_numpy(start), persistent=False)
        self.register_buffer(
            "values", torch.from_numpy(values.astype(np.float32)), persistent=False
        )

    @property
    def n_values(self) -> int:
        """Input codes of a row."""
        return len(self.feature)

    @property
    def scale(self) -> float:
        """Value of one code step."""
        return 2.0 / self.steps

    @property
    def zero_point(self) -> float:
        """The code whose value is 0: value = (code - zero_point) * scale."""
        return self.low + self.steps / 2

    def forward(self, levels: Tensor) -> Tensor:
        """(n, n_features) integer levels, on any device, to (n, n_in) values."""
        levels = levels.to(self.offset.device)
        risen = levels.to(self.offset.dtype)
        if self.n_segments is None:
            risen = risen.index_select(1, self.feature).sub_(self.offset)
        elif self.n_segments > 1:
            risen = (risen[:, :, None] - self.offset[: self.n_segments]).flatten(1)
        values = risen.clamp_(0, self.steps).mul_(self.scale).sub_(1.0)
        if len(self.tabled):
            found = levels.to(torch.int64).index_select(1, self.feature[self.tabled])
            values[:, self.tabled] = self.values[found + self.start].to(values.dtype)
        return values


class HiddenBlock(nn.Module):
    """Linear, batch normalisation, activation; the linear layer is what gets pruned.

    Neurons read those of their own member; in the first layer all input codes.
    """

    def __init__(self, n_in: int, n_out: int, shape: NetworkShape, source):
        super().__init__()
        self.input_scale, self.input_zero_point = source.scale, source.zero_point
        self.cell = 2**shape.n_rounding_bits
        self.rounds = False  # in training; in evaluation it always does
        self.connected: np.ndarray | bool = True
        n_members = 1 if isinstance(source, InputCodes) else shape.n_members
        if n_members > 1:
            own = member_of(n_out, n_members)
            self.connected = own[:, None] == member_of(n_in, n_members)
        # Along the diagonal of the weights, where they are of one size: neurons read their own.
        self.n_blocks = 1 if n_out % n_members or n_in % n_members else n_members
        self.linear = _linear(n_in, n_out, shape.n_w_bits, connected=self.connected)
        self.norm = nn.BatchNorm1d(n_out)
        self.function = activation_of(shape.activation)
        self.activation = self.function.module()
        self.requantize = nn.Identity()
        if shape.n_a_bits is not None:
            self.requantize = QuantIdentity(
                activation_quantizer(shape.n_a_bits, self.function.window)
            )
            self.requantize.act_quant.skip_create_quant_tensor = True

    @property
    def quantizer(self):
        """The `ActivationQuant` at the end of the layer; None if the layer is not quantized."""
        if not isinstance(self.requantize, QuantIdentity):
            return None
        return self.requantize.act_quant.fused_activation_quant_proxy.tensor_quant

    @property
    def slope_sign(self) -> Tensor:
        """Tensor of shape (n_out,): -1 where the output falls as the sum rises, else 1.

        Output codes count the thresholds that a sum reaches, so they must rise with it: the
        integer network stores a row of sign -1 negated.
        """
        weight = self.norm.weight.detach()
        return 1 - 2 * (weight < 0).to(weight.dtype)

    def codes_of(self, value: Tensor) -> Tensor:
        """Output codes, counted from 0, of the linear layer's values.

        Parameters
        ----------
        value : float64 tensor of shape (n_out, n)
            One row a neuron; on the CPU, wherever the module is.
        """
        norm = self.norm
        mean, var, gain, offset = (
            t.detach().cpu().double()[:, None]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        value = (value - mean) / torch.sqrt(var + norm.eps) * gain + offset
        # A function of the user's own may have tensors, where the module is.
        activation = deepcopy(self.activation).cpu()
        return self.quantizer.codes(activation(value))

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) values to (n, n_out) values."""
        value = self.linear(x)
        if self.cell > 1:
            value = self.rounded(value, quantizer(self.linear).value(self.linear.weight))
        return self.requantize(self.activation(self.norm(value)))

    def rounded(self, value: Tensor, weight: Tensor) -> Tensor:
        """Values of sums whose low `n_rounding_bits` are forgotten.

        Each takes the middle of its cell, the ``2**n_rounding_bits`` sums that only these
        bits tell apart, so all thresholds come to lie between cells.  The gradient goes
        straight through.

        Parameters
        ----------
        value : tensor of shape (n, n_out)
            What the linear layer puts out.
        weight : tensor of shape (n_out, n_in) or (n_blocks, n_own, n_read)
            Its quantized weights.
        """
        if self.cell == 1 or (self.training and not self.rounds):
            return value
        weight = weight.detach()
        # As the integer network has it: rows of negative slope are negated.
        scale = quantizer(self.linear).scale[:, 0] * self.input_scale * self.slope_sign
        shift = self.input_scale * self.input_zero_point * weight.sum(dim=-1).flatten()
        acc = (value.detach() + shift) / scale
        # The half is for float errors: without dropout the sums are integers.
        middle = torch.floor((acc + 0.5) / self.cell) * self.cell + (self.cell - 1) / 2
        return value + (middle - acc) * scale


class SkippedCodes(nn.Module):
    """Input codes beside those of the last hidden layer, in steps of the same value.

    Both then share the scale of the output layer, and one code is as good as another to the proof.
    A step between two input codes is `stride` steps of the others, as many as fit, and the values
    of input codes stay centred on zero.

    Parameters
    ----------
    codes : InputCodes
    last : HiddenBlock
    """

    def __init__(self, codes: InputCodes, last: HiddenBlock):
        super().__init__()
        self.n_before, n_in = last.linear.out_features, len(codes.feature)
        self.gain = 1.0
        if last.quantizer is None:
            return
        self.scale, n_steps = last.quantizer.scale, last.quantizer.n_steps
        self.stride = n_steps // codes.steps
        self.gain = self.stride * codes.steps / 2 * self.scale
        own = code_range(last.quantizer.n_bits)[0] + self.stride * codes.steps / 2
        self.zero_point = np.repeat([last.quantizer.zero_point, own], [self.n_before, n_in])

    def forward(self, values: Tensor, inputs: Tensor) -> Tensor:
        """(n, n_before) values of the last hidden layer, and (n, n_in) of the input codes."""
        return torch.cat([values, inputs * self.gain], dim=1)


class OutputBlock(nn.Module):
    """Linear, sums of the sums of each output, then a gain and a bias for each output.

    Row ``s * n_outputs + j`` of the weight is sum ``s`` of output ``j``.  The sums of one output
    share a scale, so that adding them up is exact in integers.  Each reads the last hidden layer's
    neurons of one member; what all members read comes after these.
    """

    def __init__(self, n_in: int, n_own: int, shape: NetworkShape):
        super().__init__()
        n_out, self.n_sums, self.n_members = shape.n_outputs, shape.n_output_sums, shape.n_members
        self.connected: np.ndarray | bool = True
        if self.n_members > 1:
            own = member_of(self.n_sums, self.n_members).repeat(n_out)[:, None]
            self.connected = np.ones((len(own), n_in), bool)
            self.connected[:, :n_own] = own == member_of(n_own, self.n_members)
        self.n_blocks = self.n_members if n_own == n_in and not n_in % self.n_members else 1
        self.linear = _linear(
            n_in, n_out * self.n_sums, shape.n_w_bits, n_shared=self.n_sums,
            connected=self.connected,
        )  # fmt: skip
        # The logits of a member are as large as those of a network of its own.
        self.gain = nn.Parameter(torch.full((n_out,), (self.n_sums * self.n_members) ** -0.5))
        self.bias = nn.Parameter(torch.zeros(n_out))

    @property
    def slope_sign(self) -> Tensor:
        """Tensor of shape (n_out,): 1, as sums leave the network as they are."""
        return torch.ones_like(self.linear.weight[:, 0]).detach()

    def added_up(self, sums: Tensor) -> Tensor:
        """(..., n_sums * n_outputs) values to (..., n_outputs)."""
        if self.n_sums == 1:
            return sums
        return sums.unflatten(-1, (self.n_sums, -1)).sum(dim=-2)

    def added_up_by_member(self, sums: Tensor) -> Tensor:
        """(..., n, n_sums * n_outputs) values to (..., n_members * n, n_outputs)."""
        each = sums.unflatten(-1, (self.n_members, self.n_sums // self.n_members, -1))
        return each.sum(dim=-2).movedim(-2, -3).flatten(-3, -2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) values to (n, n_out) logits."""
        return torch.addcmul(self.bias, self.added_up(self.linear(x)), self.gain)


def _linear(
    n_in: int, n_out: int, n_w_bits: int | None, n_shared: int = 1, connected=True
) -> nn.Linear:
    if n_w_bits is None:
        return nn.Linear(n_in, n_out, bias=False)
    weight_quant = weight_quantizer(n_w_bits, n_shared)
    layer = QuantLinear(n_in, n_out, bias=False, weight_quant=weight_quant)
    layer.weight_quant.skip_create_quant_tensor = True
    quantizer(layer).set_mask(connected)
    quantizer(layer).refresh_scale(layer.weight)
    return layer


def quantizer(linear: nn.Linear):
    """The `MaskedWeightQuant` inside a linear layer; None if it is not quantized."""
    return getattr(getattr(linear, "weight_quant", None), "tensor_quant", None)
