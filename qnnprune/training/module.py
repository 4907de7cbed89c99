"""The torch module: a multilayer perceptron of Brevitas layers on input levels."""

from __future__ import annotations

import numpy as np
import torch
from brevitas.nn import QuantLinear
from torch import Tensor, nn

from ..encoding import InputEncoding
from .blocks import HiddenBlock, InputCodes, OutputBlock, SkippedCodes, quantizer
from .prunable import PrunableLayer
from .spec import NetworkShape

__all__ = ["PrunableMLP"]


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
        self.hidden, source = nn.ModuleList(), self.input
        for n_in, n_out in zip(widths, widths[1:], strict=False):
            self.hidden.append(HiddenBlock(n_in, n_out, shape, source))
            source = self.hidden[-1].quantizer or source
        self.skipped = SkippedCodes(self.input, self.hidden[-1]) if shape.skips else None
        n_own = widths[-1] if self.hidden else 0
        self.output = OutputBlock(widths[-1] + shape.skips * widths[0], n_own, shape)

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
    def layers(self) -> list[PrunableLayer]:
        """The layers as the pruner sees them, from the input to the output."""
        return [PrunableLayer(block) for block in (*self.hidden, self.output)]

    @property
    def removable(self) -> list[bool]:
        """Which layers may lose neurons: all but the output layer."""
        return [True] * len(self.hidden) + [False]

    def fed(self, index: int, kept) -> np.ndarray | bool:
        """Inputs of a layer that kept neurons feed: those of the layer before, and input codes.

        Of shape (n_out, n_in) where neurons read only those of their own member.
        """
        if not index:
            return True
        skipped = len(self.input.feature) if self.skipped and index == len(self.hidden) else 0
        fed = np.append(kept[index - 1], np.ones(skipped, bool))
        return fed & (*self.hidden, self.output)[index].connected

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers, from the input to the output."""
        return [layer.linear for layer in (*self.hidden, self.output)]

    def tensors(self) -> list[Tensor]:
        """What training changes: weights, scales, masks, and what normalises and shifts."""
        found: list[Tensor] = []
        for layer in (*self.hidden, self.output):
            found.append(layer.linear.weight)
            if isinstance(layer.linear, QuantLinear):
                found += [quantizer(layer.linear).scale, quantizer(layer.linear).mask]
        for norm in (layer.norm for layer in self.hidden):
            found += [norm.weight, norm.bias, norm.running_mean, norm.running_var]
        return [*found, self.output.gain, self.output.bias]

    @torch.no_grad()
    def layer_inputs(self, levels: np.ndarray) -> list[np.ndarray]:
        """What every layer gets in eval mode.

        Parameters
        ----------
        levels : unsigned integer array of shape (n, n_features)

        Returns
        -------
        list of float32 arrays of shape (n, n_in)
        """
        was_training = self.training
        self.eval()
        values = [self.input(torch.from_numpy(levels))]
        for layer in self.hidden:
            values.append(layer(values[-1]))
        values[-1] = self.read(values[-1], values[0])
        self.train(was_training)
        return [value.cpu().numpy() for value in values]

    def neuron_outputs(self, levels: np.ndarray) -> list[np.ndarray]:
        """What the neurons of each hidden layer put out in eval mode; see `layer_inputs`."""
        pairs = zip(self.layer_inputs(levels)[1:], self.hidden, strict=True)
        return [values[:, : layer.linear.out_features] for values, layer in pairs]

    @torch.no_grad()
    def turn(self, index: int, rows) -> None:
        """Change the sign of all weights of some neurons, and of whoever reads them.

        Parameters
        ----------
        index : int
            Of the layer.  Outputs stay what they were; a hidden neuron rises where it fell, and
            is read negated.
        rows : int array
            Neurons; of the output layer, logits, all of whose sums are turned.
        """
        if not len(rows):
            return
        if index == len(self.hidden):
            self.output.gain[rows] *= -1
            self.output.linear.weight.view(self.output.n_sums, -1, self.output.linear.in_features)[
                :, rows
            ] *= -1
        else:
            self.linears[index].weight[rows] *= -1
            self.hidden[index].norm.running_mean[rows] *= -1
            self.linears[index + 1].weight[:, rows] *= -1

    def show_codes(self) -> PrunableMLP:
        """Let the weights come as Brevitas quant tensors, which know their integers.

        Training does without: plain tensors are faster.
        """
        for linear in self.linears:
            if isinstance(linear, QuantLinear):
                linear.weight_quant.skip_create_quant_tensor = False
        return self

    def read(self, values: Tensor, inputs: Tensor) -> Tensor:
        """What the output layer reads: values of the last layer, and perhaps input codes."""
        return values if self.skipped is None else self.skipped(values, inputs)

    def forward(self, levels: Tensor) -> Tensor:
        """(n, n_features) integer levels, on any device, to (n, n_outputs) logits."""
        return self.logits(self.input(levels))

    def logits(self, values: Tensor) -> Tensor:
        """(n, n_in) values of input codes to (n, n_outputs) logits."""
        x = values
        for layer in self.hidden:
            x = layer(x)
        return self.output(self.read(x, values))
