"""Hidden neurons that make no difference leave the integer layers, exactly.

A neuron whose output no code of its inputs can change is a constant, which moves the
thresholds of the next layer; a neuron that no other reads is not needed at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ._layer import HiddenLayer, IntegerLayer, OutputLayer

__all__ = ["trim_layers"]


def trim_layers(layers: Sequence[IntegerLayer], step: int = 1) -> tuple[IntegerLayer, ...]:
    """Remove constant and unread neurons; every hidden layer keeps at least one.

    Parameters
    ----------
    layers : sequence of IntegerLayer
        Hidden layers, then the output layer.
    step : int
        Constants stay where they would move thresholds by less than a multiple of it.

    Returns
    -------
    tuple of IntegerLayer
        The same function of the first layer's inputs: the same integers, and the same
        output up to float rounding of a bias that took a constant in.

    Examples
    --------
    >>> codes = np.array([[-2, 1], [-2, 1]])
    >>> first = HiddenLayer(np.array([[1, 0], [0, 1]]), codes, np.array([[-1, 0, 1]] * 2), -2)
    >>> last = OutputLayer(np.array([[0, 1]]), codes, scale=np.ones(1), bias=np.zeros(1))
    >>> [layer.weight.tolist() for layer in trim_layers([first, last])]
    [[[0, 1]], [[1]]]
    """
    layers = list(layers)
    for index in range(len(layers) - 1):
        layers[index + 1] = _without_constants(layers[index + 1], layers[index], step)
    for index in reversed(range(len(layers) - 1)):
        layers[index : index + 2] = _without_unread(*layers[index : index + 2])
    return tuple(layers)


def _without_constants(layer: IntegerLayer, before: HiddenLayer, step: int) -> IntegerLayer:
    """Take the constant outputs of the layer before out of the sums."""
    low, high = before.accumulator_range.T[:, :, None]
    always, never = before.thresholds <= low, before.thresholds > high
    constant = (always | never).all(axis=1)
    if not layer.weight[:, constant].any():
        return layer
    value = before.output_low + always.sum(axis=1)
    part = layer.weight[:, constant].astype(np.int64) @ value[constant]
    weight = np.where(constant, 0, layer.weight).astype(layer.weight.dtype)
    if isinstance(layer, OutputLayer):
        return replace(layer, weight=weight, bias=layer.bias + part * layer.scale)
    if (part % step).any():
        return layer
    layer = replace(layer, weight=weight, thresholds=layer.thresholds - part[:, None])
    # Beyond the range a threshold says no more than at its end.
    low, high = layer.accumulator_range.T[:, :, None]
    beyond = -(-(high + 1) // step) * step
    return replace(layer, thresholds=np.clip(layer.thresholds, low // step * step, beyond))


def _without_unread(layer: HiddenLayer, after: IntegerLayer):
    read = after.weight.any(axis=0)
    if read.all():
        return layer, after
    read[0] |= not read.any()
    return layer.with_neurons(read), after.with_inputs(read)
