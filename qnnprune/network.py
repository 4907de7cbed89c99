"""The torch module: a multilayer perceptron of Brevitas layers on input levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from .accumulators import code_range
from .encoding import InputEncoding
from .quantizers import activation_quantizer, weight_quantizer
from .shape import NetworkShape

__all__ = ["ACTIVATIONS", "PrunableMLP"]


@dataclass(frozen=True)
class Activation:
    """An activation: float module, the window its quantizer covers, and whether the
    quantizer's clipping is the whole of it."""

    module: type[nn.Module]
    window: tuple[float, float]
    clips: bool


ACTIVATIONS = {
    "relu": Activation(nn.ReLU, (0.0, 2.0), True),
    "identity": Activation(nn.Identity, (-2.0, 2.0), True),
    "hardtanh": Activation(nn.Hardtanh, (-1.0, 1.0), True),
    "sigmoid": Activation(nn.Sigmoid, (0.0, 1.0), False),
    "tanh": Activation(nn.Tanh, (-1.0, 1.0), False),
}


class InputCodes(nn.Module):
    """Levels of the features to values of the input codes, from -1 to 1.

    Training drops a share of them at random, so that no neuron leans on a few.
    """

    def __init__(self, encoding: InputEncoding):
        super().__init__()
        self.dropout = 0.0
        self.generator: torch.Generator | None = None
        self.steps = encoding.steps
        self.low = code_range(encoding.n_bits)[0]
        feature, offset = torch.from_numpy(encoding.feature), torch.from_numpy(encoding.offset)
        self.register_buffer("feature", feature, persistent=False)
        self.register_buffer("offset", offset.to(torch.float32), persistent=False)
        self.plain = bool((encoding.feature == np.arange(len(encoding.feature))).all())

    @property
    def scale(self) -> float:
        """Value of one code step."""
        return 2.0 / self.steps

    @property
    def zero_point(self) -> float:
        """The code whose value is 0: value = (code - zero_point) * scale."""
        return self.low + self.steps / 2

    def forward(self, levels: Tensor) -> Tensor:
        """(n, n_features) integer levels to (n, n_in) values."""
        risen = levels.to(self.offset.dtype)
        if not self.plain:
            risen = risen.index_select(1, self.feature).sub_(self.offset)
        value = risen.clamp_(0, self.steps).mul_(self.scale).sub_(1.0)
        if self.training and self.dropout:
            kept = torch.empty_like(value).bernoulli_(1 - self.dropout, generator=self.generator)
            value.mul_(kept.div_(1 - self.dropout))
        return value


class HiddenLayer(nn.Module):
    """Linear, batch normalisation, activation; the linear layer is what gets pruned."""

    def __init__(self, n_in: int, n_out: int, shape: NetworkShape):
        super().__init__()
        self.linear = _linear(n_in, n_out, shape.n_w_bits)
        self.norm = nn.BatchNorm1d(n_out)
        activation = ACTIVATIONS[shape.activation]
        if shape.n_a_bits is None:
            self.activation = activation.module()
        else:
            quantizer = activation_quantizer(shape.n_a_bits, activation.window)
            self.activation = QuantIdentity(quantizer)
            self.activation.act_quant.skip_create_quant_tensor = True
            if not activation.clips:
                self.activation = nn.Sequential(activation.module(), self.activation)

    @property
    def quantizer(self):
        """The `ActivationQuant` at the end of the layer."""
        quantized = (
            self.activation if isinstance(self.activation, QuantIdentity) else self.activation[-1]
        )
        return quantized.act_quant.fused_activation_quant_proxy.tensor_quant

    def codes_of(self, value: Tensor) -> Tensor:
        """Output codes, counted from 0, of the linear layer's values.

        Parameters
        ----------
        value : float64 tensor of shape (n_out, n)
            One row a neuron.
        """
        norm = self.norm
        mean, var, gain, offset = (
            t.detach().cpu().double()[:, None]
            for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        value = (value - mean) / torch.sqrt(var + norm.eps) * gain + offset
        if isinstance(self.activation, nn.Sequential):
            value = self.activation[0](value)
        return self.quantizer.codes(value)

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) values to (n, n_out) values."""
        return self.activation(self.norm(self.linear(x)))


class OutputLayer(nn.Module):
    """Linear, then a gain and a bias for each output."""

    def __init__(self, n_in: int, n_out: int, shape: NetworkShape):
        super().__init__()
        self.linear = _linear(n_in, n_out, shape.n_w_bits)
        self.gain = nn.Parameter(torch.ones(n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """(n, n_in) values to (n, n_out) logits."""
        return torch.addcmul(self.bias, self.linear(x), self.gain)


class PrunableMLP(nn.Module):
    """Input codes, hidden layers and an output layer.

    Parameters
    ----------
    encoding : InputEncoding
    shape : NetworkShape
    """

    def __init__(self, encoding: InputEncoding, shape: NetworkShape):
        super().__init__()
        self.input = InputCodes(encoding)
        widths = (len(encoding.feature), *shape.hidden_layer_sizes)
        self.hidden = nn.ModuleList(
            HiddenLayer(n_in, n_out, shape) for n_in, n_out in zip(widths, widths[1:], strict=False)
        )
        self.output = OutputLayer(widths[-1], shape.n_outputs, shape)

    @torch.no_grad()
    def seed(self, seed: int) -> PrunableMLP:
        """Draw the initial weights from a generator of its own.

        The global one serves all threads, and is left alone.
        """
        generator = torch.Generator().manual_seed(seed)
        for linear in self.linears:
            nn.init.kaiming_uniform_(linear.weight, a=5**0.5, generator=generator)
            if isinstance(linear, QuantLinear):
                quantizer(linear).refresh_scale(linear.weight)
        return self

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers, from the input to the output."""
        return [layer.linear for layer in (*self.hidden, self.output)]

    def show_codes(self) -> PrunableMLP:
        """Let the weights come as Brevitas quant tensors, which know their integers.

        Training does without: plain tensors are faster.
        """
        for linear in self.linears:
            if isinstance(linear, QuantLinear):
                linear.weight_quant.skip_create_quant_tensor = False
        return self

    def forward(self, levels: Tensor, weight: Tensor | None = None) -> Tensor:
        """(n, n_features) integer levels to (n, n_outputs) logits.

        `weight` is what skorch hands on beside the levels; only the loss needs it.
        """
        x = self.input(levels)
        for layer in self.hidden:
            x = layer(x)
        return self.output(x)


def _linear(n_in: int, n_out: int, n_w_bits: int | None) -> nn.Linear:
    if n_w_bits is None:
        return nn.Linear(n_in, n_out, bias=False)
    layer = QuantLinear(n_in, n_out, bias=False, weight_quant=weight_quantizer(n_w_bits))
    layer.weight_quant.skip_create_quant_tensor = True
    quantizer(layer).refresh_scale(layer.weight)
    return layer


def quantizer(linear: QuantLinear):
    """The `MaskedWeightQuant` inside a quantized linear layer."""
    return linear.weight_quant.tensor_quant
