"""The integer network in standard ONNX operators.

Codes travel as uint8, counted from 0; ``MatMulInteger`` subtracts the zero point, so that
its int32 sums are the network's own accumulators, and a hidden neuron is a few comparisons
of them.  Which operators, and why, was measured with ONNX Runtime 1.31 on one thread
(10,000 rows, 192 codes into 512 neurons, milliseconds):

- sums: ``MatMulInteger`` of unsigned codes 2.3, a float32 ``MatMul`` 8.2, of signed codes 45;
- 3, 15, 63 and 255 thresholds: compared one by one 5, 25, 80 and 289, by bisection 24, 67,
  111 and 160; a table of all accumulators takes 18 at any width, but 2**bits entries a neuron;
- counts: chosen by ``Where`` 5, summed as uint8 4, but ONNX Runtime before 1.21 has no
  such sum; summed as int32 11;
- inputs: compared feature by feature 1.1, row by row 5.8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...accumulators import code_range
from ...integer import HiddenLayer, IntegerLayer, OutputLayer
from ._graph import Graph

__all__ = ["add_logits", "bisect", "count_reached"]

# Up to here, comparing with every threshold beats bisection, in time or in nodes.
_COMPARED_THRESHOLDS = 15
# Vector units without an instruction for the whole dot product add the products of an unsigned
# and a signed byte in pairs, and clip each pair to int16.
_LARGEST_PAIR = 2**15 - 1
_LARGEST_SUM = 2**31 - 1


def add_logits(
    graph: Graph, layers: Sequence[IntegerLayer], constant: np.ndarray, codes: str, n_bits: int
) -> str:
    """Add all layers to a graph.

    Parameters
    ----------
    graph : Graph
    layers : sequence of HiddenLayer, and an OutputLayer at the end
    constant : int64 array of shape (n_logits,)
        Added to the total of each logit.
    codes : str
        Name of the input codes, uint8 of shape (n_samples, n_in), counted from 0.
    n_bits : int
        Their width, in bits.

    Returns
    -------
    str
        Name of the output layer's values: float64, of shape (n_samples, n_logits), the same
        bits as ``network.decision``.

    Raises
    ------
    ValueError
        If a sum of products could leave int32.
    """
    *hidden, output = layers
    for index, layer in enumerate(hidden):
        acc = _add_sums(graph, index, layer, codes, n_bits)
        codes = count_reached(graph, acc, _hidden_thresholds(layer))
        n_bits = len(layer.thresholds[0]).bit_length()
    total = _add_up(graph, output, _add_sums(graph, len(hidden), output, codes, n_bits))
    exact = graph.add("Cast", total, to=np.dtype(np.float64))
    if constant.any():
        exact = graph.add("Add", exact, constant.astype(np.float64))
    return graph.add("Add", graph.add("Mul", exact, output.scale), output.bias)


def _hidden_thresholds(layer: HiddenLayer) -> np.ndarray:
    """int32 of shape (n_thresholds, n_out); one above the proven range is never reached."""
    low, high = layer.accumulator_range.T[:, :, None]
    return np.clip(layer.thresholds, low, high + 1).T.astype(np.int32)


def _add_sums(graph: Graph, index: int, layer: IntegerLayer, codes: str, n_bits: int) -> str:
    """The accumulators, int32 of shape (n_samples, n_out)."""
    weight, shift = layer.weight.T.astype(np.int64), 0
    if 2 * (2**n_bits - 1) * np.abs(weight).max(initial=0) > _LARGEST_PAIR:
        shift = 128  # products of two unsigned bytes are not clipped anywhere
    weight = weight + shift
    largest = (2**n_bits - 1) * int(np.abs(weight).sum(axis=0).max())
    if largest > _LARGEST_SUM:
        raise ValueError(
            f"Layer {index} has {len(weight)} inputs of {n_bits} bits: its sums could reach "
            f"{largest}, and those of ONNX's MatMulInteger end at {_LARGEST_SUM}. Fewer inputs, "
            "n_w_bits or n_a_bits (n_in_bits), or a smaller n_accum_bits, would fit."
        )
    weight = weight.astype(np.uint8 if shift else np.int8)
    zero_points = np.uint8(-code_range(n_bits)[0]), weight.dtype.type(shift)
    return graph.add("MatMulInteger", codes, weight, *zero_points)


def _add_up(graph: Graph, layer: OutputLayer, acc: str) -> str:
    """The sums of each logit added up, int32 or int64 of shape (n_samples, n_logits)."""
    if layer.n_sums == 1:
        return acc
    if np.abs(layer.total_range).max() > _LARGEST_SUM:
        acc = graph.add("Cast", acc, to=np.dtype(np.int64))
    # The 0 stands for as many rows as there are.
    parts = graph.add("Reshape", acc, np.array([0, layer.n_sums, layer.n_logits]))
    return graph.add("ReduceSum", parts, np.array([1]), keepdims=0)


def count_reached(graph: Graph, value: str, thresholds: np.ndarray) -> str:
    """Count the thresholds that each value reaches: ``#{t : value >= threshold_t}``.

    Parameters
    ----------
    graph : Graph
    value : str
    thresholds : array of shape (n_thresholds, ...)
        Of the type of `value`, ascending along the first axis; 2**a - 1 of them, at most
        255.  The other axes broadcast against `value`.

    Returns
    -------
    str
        Name of the counts, uint8.
    """
    if len(thresholds) > _COMPARED_THRESHOLDS:
        return graph.add("Cast", bisect(graph, value, thresholds), to=np.dtype(np.uint8))
    total = np.uint8(0)
    for count, threshold in enumerate(thresholds, start=1):
        reached = graph.add("GreaterOrEqual", value, threshold)
        total = graph.add("Where", reached, np.uint8(count), total)
    return total


def bisect(graph: Graph, value: str, thresholds: np.ndarray) -> str:
    """`count_reached` in as many comparisons as the count has bits, which may be any number.

    Parameters
    ----------
    graph, value, thresholds
        As there, without the limit of 255.

    Returns
    -------
    str
        Name of the counts, int32.
    """
    n_thresholds, shape = len(thresholds), thresholds.shape[1:]
    first = np.arange(np.prod(shape), dtype=np.int32).reshape(shape) * np.int32(n_thresholds)
    each = graph.constant(thresholds.reshape(n_thresholds, -1).T.ravel())
    probe, step = first + np.int32(n_thresholds // 2), (n_thresholds + 1) // 4
    while step:
        reached = graph.add("GreaterOrEqual", value, graph.add("Gather", each, probe))
        move = graph.add("Where", reached, np.int32(step), np.int32(-step))
        probe, step = graph.add("Add", probe, move), step // 2
    reached = graph.add("GreaterOrEqual", value, graph.add("Gather", each, probe))
    last = graph.add("Cast", reached, to=np.dtype(np.int32))
    return graph.add("Sub", graph.add("Add", probe, last), first)
