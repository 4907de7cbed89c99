"""Trained module to integer layers: exact thresholds, exact affine output.

A hidden neuron's output code is a monotone step function of its accumulator, so it is
2**a - 1 integer thresholds and nothing else.  Each is found by bisection on the module's
own formula, evaluated in float64, and then checked against it on both sides.
"""

from __future__ import annotations

import numpy as np
import torch

from ..accumulators import accumulator_range, code_range
from ..exceptions import AccumulatorProofError
from ..integer import HiddenLayer, IntegerLayer, IntegerNetwork, OutputLayer
from ..integer._consistency import check_network
from ..integer._proof import verify_layers
from ..integer._simplify import simplify
from .blocks import quantizer as quantizer_of
from .spec import Trained
from .state import module_of
from .threads import one_thread

__all__ = ["compile_layers", "compile_network", "thresholds_of"]


def compile_network(trained: Trained, *, classes=None, feature_names=None) -> IntegerNetwork:
    """Turn what training left behind into an integer network, and prove its accumulators.

    Parameters
    ----------
    trained : Trained
    classes : array of shape (n_classes,), optional
        Labels of a classifier.
    feature_names : array of str of shape (n_features,), optional

    Returns
    -------
    IntegerNetwork

    Raises
    ------
    AccumulatorProofError
        If a limit does not hold: a defect.
    """
    spec, encoding = trained.spec, trained.encoding
    with one_thread():
        module = trained.cache.get("spare") or module_of(trained)
        layers = compile_layers(
            module, encoding.input_range, trained.output_mean, trained.output_scale
        )
    layers = simplify(layers, step=2**spec.n_rounding_bits).layers_of_bias()
    network = IntegerNetwork(
        encoding,
        layers,
        n_w_bits=spec.n_w_bits,
        n_accum_bits=spec.n_accum_bits,
        classes=classes,
        feature_names=feature_names,
        outcome=spec.outcome,
    )
    check_network(network)
    budgets = [limit.budget for limit in trained.limits]
    verify_layers(network.layers, network.n_w_bits, spec.guaranteed_bits, budgets)
    return network


@torch.no_grad()
def compile_layers(network, input_range, target_mean, target_scale) -> tuple[IntegerLayer, ...]:
    """Turn a trained, pruned `PrunableMLP` into integer layers.

    Parameters
    ----------
    network : PrunableMLP
        On any device; it is not changed.
    input_range : integer array of shape (n_in, 2)
    target_mean, target_scale : float64 arrays of shape (n_outputs,)
        The map from the network's outputs to the target's units; 0 and 1 for logits.

    Returns
    -------
    tuple of IntegerLayer
    """
    layers, source = [], network.input
    for hidden in network.hidden:
        layers.append(_hidden_layer(hidden, source, input_range))
        source, input_range = hidden.quantizer, _output_range(layers[-1])
    if network.skipped is not None:
        layers = pass_on(layers, network.input.low, network.skipped.stride)
        source, input_range = network.skipped, _output_range(layers[-1])
    layers.append(_output_layer(network.output, source, input_range, target_mean, target_scale))
    return tuple(layers)


def pass_on(layers, input_low: int, stride: int) -> list[HiddenLayer]:
    """Hidden layers that also put the input codes out, after their own.

    One more neuron for each code, with a single weight of 1.  Its thresholds make `stride` steps
    of one step between input codes.

    Parameters
    ----------
    layers : sequence of HiddenLayer
    input_low : int
        The smallest input code of that width, which becomes the smallest output code.
    stride : int
    """
    n_passed, n_thresholds = layers[0].weight.shape[1], layers[0].thresholds.shape[1]
    # The smallest code that reaches each output step; beyond the last one where none does.
    steps = -(-np.arange(1, n_thresholds + 1) // stride)
    low, high = layers[0].input_range.T[:, :, None]
    thresholds, found = np.clip(input_low + steps, low, high + 1), []
    one = np.eye(n_passed, dtype=np.int8)
    for index, layer in enumerate(layers):
        weight, passing, input_range = layer.weight, one, layer.input_range
        if index:
            weight = np.pad(weight, [(0, 0), (0, n_passed)])
            passing = np.pad(one, [(0, 0), (len(input_range), 0)])
            input_range = _output_range(found[-1])
            thresholds = np.tile(layer.output_low + np.arange(1, n_thresholds + 1), (n_passed, 1))
        found.append(
            HiddenLayer(
                weight=np.concatenate([weight, passing]),
                input_range=input_range,
                thresholds=np.concatenate([layer.thresholds, thresholds]),
                output_low=layer.output_low,
            )
        )
    return found


def _output_range(layer: HiddenLayer) -> np.ndarray:
    """Smallest and largest code of each neuron, inclusive."""
    low = layer.output_low
    return np.tile(np.array([low, low + layer.thresholds.shape[1]]), (len(layer.weight), 1))


def _double(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _linear_map(linear, source):
    """Codes, and the affine map from each neuron's accumulator to the layer's value.

    Inputs are (code - zero_point) * scale, so the shift is a constant of the row.  There may be a
    zero point for each of them.
    """
    quantizer = quantizer_of(linear)
    codes = _double(quantizer.codes(linear.weight) * quantizer.mask).astype(np.int64)
    scale = _double(quantizer.scale)[:, 0] * source.scale
    return codes, scale, -scale * (codes * source.zero_point).sum(axis=1)


def _hidden_layer(hidden, source, input_range) -> HiddenLayer:
    codes, scale, shift = _linear_map(hidden.linear, source)
    sign = _double(hidden.slope_sign).astype(np.int64)
    codes = codes * sign[:, None]

    def reached(index):  # of a cell: integer (n_out, n_thresholds) -> codes counted from 0
        acc = index * hidden.cell + (hidden.cell - 1) / 2
        value = acc * (scale * sign)[:, None] + shift[:, None]
        return hidden.codes_of(torch.from_numpy(value)).numpy()

    low, high = accumulator_range(codes, input_range).T // hidden.cell
    return HiddenLayer(
        weight=codes.astype(np.int8),
        input_range=input_range,
        thresholds=thresholds_of(reached, low, high, hidden.quantizer.n_steps) * hidden.cell,
        output_low=code_range(hidden.quantizer.n_bits)[0],
    )


def thresholds_of(reached, low, high, n_thresholds) -> np.ndarray:
    """Smallest accumulator, or cell of accumulators, that reaches each output step.

    One row a neuron; `high` + 1 where none within the proven range reaches it.
    """
    wanted = np.arange(1, n_thresholds + 1)
    bottom = np.repeat(low[:, None], n_thresholds, axis=1)
    top = np.repeat(high[:, None] + 1, n_thresholds, axis=1)
    while (bottom < top).any():
        middle = (bottom + top) // 2
        there = reached(middle) >= wanted
        top = np.where(there & (bottom < top), middle, top)
        bottom = np.where(there | (bottom >= top), bottom, middle + 1)
    at = (reached(top) >= wanted) | (top > high[:, None])
    before = (reached(top - 1) < wanted) | (top <= low[:, None])
    if not (at & before).all():
        raise AccumulatorProofError("A neuron's output is not a monotone function of its sum.")
    return top


def _output_layer(output, source, input_range, target_mean, target_scale) -> OutputLayer:
    codes, scale, shift = _linear_map(output.linear, source)
    gain, bias = _double(output.gain), _double(output.bias)
    # The sums of one output share a scale; each brings a shift of its own.
    scale, shift = scale[: len(gain)], shift.reshape(output.n_sums, -1).sum(axis=0)
    return OutputLayer(
        weight=codes.astype(np.int8),
        input_range=input_range,
        scale=scale * gain * target_scale,
        bias=(shift * gain + bias) * target_scale + target_mean,
    )
