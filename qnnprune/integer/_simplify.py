"""Layers without the parts that make no difference: same sums, fewer weights and neurons.

Two passes, each with one purpose:

=====================  =========================================================================
pass                   what goes
=====================  =========================================================================
`without_constants`    Weights on inputs and neurons whose code never changes.  The thresholds of
                       the next layer take in what they added, or constants of the last sums do.
`without_unread`       Hidden neurons whose code no other neuron reads.
=====================  =========================================================================

Both are exact in integers.  Weights only become 0, and input ranges hold 0, so accumulator
ranges only shrink: widths that were proven before are still enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ._layer import AnyLayer, HiddenLayer, IntegerLayer, OutputLayer

__all__ = ["Simplified", "simplify", "without_constants", "without_unread"]


@dataclass(frozen=True, eq=False)
class Simplified:
    """What `simplify` leaves of the layers of a network.

    Attributes
    ----------
    layers : tuple of HiddenLayer, and an OutputLayer at the end
        They take the same input codes as before.
    constant : int64 array of shape (n_out,)
        What each of the output layer's sums lacks of what it was before.
    """

    layers: tuple[HiddenLayer | OutputLayer, ...]
    constant: np.ndarray

    @property
    def inputs(self) -> np.ndarray:
        """int64 array: input codes that are read, ascending; code 0 alone where none is."""
        read = np.flatnonzero(self.layers[0].weight.any(axis=0))
        return read if len(read) else np.array([0])

    @property
    def total_constant(self) -> np.ndarray:
        """int64 array of shape (n_logits,): what the total of each logit's sums lacks."""
        return cast(OutputLayer, self.layers[-1]).added_up(self.constant[None])[0]

    def layers_of_inputs(self, columns) -> tuple[HiddenLayer | OutputLayer, ...]:
        """The layers, of which the first takes some of the input codes.

        Parameters
        ----------
        columns : index or boolean array
            With all of `inputs` among them.
        """
        return (self.layers[0].with_inputs(columns), *self.layers[1:])

    def layers_of_bias(self) -> tuple[HiddenLayer | OutputLayer, ...]:
        """The layers, of which the last has the constant in its bias.

        Outputs are equal to those before up to the float rounding of that bias.
        """
        if not self.total_constant.any():
            return self.layers
        *hidden, output = self.layers
        return (*hidden, replace(output, bias=output.bias + self.total_constant * output.scale))


def simplify(layers: Sequence[HiddenLayer | OutputLayer], step: int = 1) -> Simplified:
    """Remove constant and unread neurons; every hidden layer keeps at least one.

    Parameters
    ----------
    layers : sequence of HiddenLayer, and an OutputLayer at the end
    step : int
        Thresholds move only by multiples of it.  If a layer would need another shift, its
        constants stay in its sums.

    Returns
    -------
    Simplified

    Examples
    --------
    >>> codes = np.array([[-2, 1], [-2, 1]])
    >>> thresholds = np.array([[-9, -9, 9], [-1, 0, 1]])  # the first neuron always gives 0
    >>> first = HiddenLayer(np.array([[1, 0], [0, 1]]), codes, thresholds, output_low=-2)
    >>> last = OutputLayer(np.array([[3, 2]]), codes, scale=np.ones(1), bias=np.zeros(1))
    >>> simplified = simplify([first, last])
    >>> [layer.weight.tolist() for layer in simplified.layers], simplified.inputs
    ([[[0, 1]], [[2]]], array([1]))
    """
    kept, constant = without_constants(layers, step)
    return Simplified(without_unread(kept), constant)


def without_constants(layers, step: int = 1) -> tuple[tuple, np.ndarray]:
    """Take codes that never change out of the sums, from the first layer to the last.

    Parameters
    ----------
    layers, step
        As in `simplify`.

    Returns
    -------
    layers : tuple
        With as many neurons as before.
    constant : int64 array of shape (n_out,)
        What each of the output layer's sums lacks of what it was before.
    """
    *hidden, output = layers
    low, high = layers[0].input_range.T
    fixed, code = low == high, low
    kept: list[IntegerLayer] = []
    for layer in hidden:
        part = _part(layer, fixed, code)
        if layer.weight[:, fixed].any() and not (part % step).any():
            layer = _moved(_cleared(layer, fixed), part, step)
        kept.append(layer)
        fixed, code = _constant_codes(layer)
    part = _part(output, fixed, code)
    if output.weight[:, fixed].any():
        output = _cleared(output, fixed)
    return (*kept, output), part


def _part(layer: IntegerLayer, fixed: np.ndarray, code: np.ndarray) -> np.ndarray:
    """What inputs that never change add to each sum."""
    return layer.weight[:, fixed].astype(np.int64) @ code[fixed]


def _cleared(layer: AnyLayer, inputs: np.ndarray | bool) -> AnyLayer:
    """The layer without its weights on some inputs, or on all."""
    return replace(layer, weight=np.where(inputs, 0, layer.weight).astype(layer.weight.dtype))


def _moved(layer: HiddenLayer, part: np.ndarray, step: int) -> HiddenLayer:
    """The layer with thresholds lower by what its sums lack, and none far out of their range."""
    low, high = layer.accumulator_range.T[:, :, None]
    least, most = low // step * step, -(-(high + 1) // step) * step
    # Clipped before they move, as far ones could leave int64.
    part = part[:, None]
    return replace(layer, thresholds=np.clip(layer.thresholds, least + part, most + part) - part)


def _constant_codes(layer: HiddenLayer) -> tuple[np.ndarray, np.ndarray]:
    """Which neurons no sum within the proven range can switch, and the codes that they give."""
    low, high = layer.accumulator_range.T[:, :, None]
    always, never = layer.thresholds <= low, layer.thresholds > high
    return (always | never).all(axis=1), layer.output_low + always.sum(axis=1)


def without_unread(layers) -> tuple:
    """Drop hidden neurons that no other reads, from the last layer to the first.

    One stays in each layer: the first, without weights, where none is read.
    """
    *hidden, output = layers
    kept = [output]
    for layer in reversed(hidden):
        read = kept[0].weight.any(axis=0)
        if not read.any():
            layer, read = _cleared(layer, True), np.arange(len(read)) == 0
        if not read.all():
            layer, kept[0] = layer.with_neurons(read), kept[0].with_inputs(read)
        kept.insert(0, layer)
    return tuple(kept)
