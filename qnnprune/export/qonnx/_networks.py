"""The layers of a fully connected network in QONNX's operators."""

from __future__ import annotations

import numpy as np

from ...integer import HiddenLayer, IntegerNetwork, OutputLayer
from ...integer._simplify import simplify
from .._float32 import LARGEST_FLOAT32_INTEGER
from ._forms import Form, integer_type

__all__ = ["add_network"]


def add_network(form: Form, network: IntegerNetwork) -> None:
    """Add the whole network to a form.

    The sums of one logit are added up by a product with a matrix of 0 and 1, as compilers of
    hardware know a ``MatMul``.

    Raises
    ------
    ValueError
        If a sum is wider than the integers that float32 holds.
    """
    half = 2 ** (network.encoding.n_bits - 1)
    codes = form.add_input((len(network.encoding.feature),), -half, half - 1)
    for index, layer in enumerate(simplify(network.layers).layers_of_bias()):
        kind = _sum_type(f"Layer {index} has sums", layer.accumulator_range, 25)
        names = f"weight_{index}", f"accumulator_{index}"
        acc = form.add_product(codes, layer.weight, network.n_w_bits, names, kind)
        if isinstance(layer, HiddenLayer):
            low, high = layer.accumulator_range.T[:, :, None]
            thresholds = np.clip(layer.thresholds, low, high + 1)
            names, shape = (str(index), f"codes_{index}"), (len(thresholds),)
            codes = form.add_codes(acc, thresholds, layer.output_low, shape, names)
    total = _add_totals(form, layer, acc)
    form.add_affine(total, layer.scale, layer.bias, (layer.n_logits,))


def _add_totals(form: Form, layer: OutputLayer, acc: str) -> str:
    """The sums of each logit added up."""
    if layer.n_sums == 1:
        return acc
    fitting = 25 - (layer.n_sums - 1).bit_length()
    kind = _sum_type("The output layer has totals", layer.total_range, fitting)
    # Two bits of either sign are the narrowest weights with a 1.
    ones = np.tile(np.eye(layer.n_logits), (layer.n_sums, 1)).T
    return form.add_product(acc, ones, 2, ("ones", "total"), kind)


def _sum_type(what: str, ranges: np.ndarray, fitting: int) -> str:
    """QONNX's name of the integers that hold all sums of a layer, if float32 does."""
    low, high = ranges[:, 0].min(), ranges[:, 1].max()
    if max(-low, high) > LARGEST_FLOAT32_INTEGER:
        raise ValueError(
            f"{what} from {low} to {high}, and QONNX's float32 holds all integers only up to "
            f"{LARGEST_FLOAT32_INTEGER}: n_accum_bits={fitting} or less would fit."
        )
    return integer_type(low, high)
