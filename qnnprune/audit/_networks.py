"""Networks of this package, as sums and as something to search through."""

from __future__ import annotations

import numpy as np

from ..integer import HiddenLayer, IntegerNetwork
from ._search import Subject
from ._sums import Operands, Sums

__all__ = ["network_subject"]


def network_subject(network: IntegerNetwork):
    """Sums of every layer, nothing unknown, and the network from its codes on."""
    ranges = [layer.input_range.T[:, None].astype(np.float64) for layer in network.layers]
    sums = [
        _sums(index, layer, Operands(*ends))
        for index, (layer, ends) in enumerate(zip(network.layers, ranges, strict=True))
    ]

    def run(inputs, n_sums):
        codes, found = inputs["codes"], []
        for index, layer in enumerate(network.layers):
            known = codes.astype(np.float64)
            found.append(_sums(index, layer, Operands(known, known)))
            if isinstance(layer, HiddenLayer):
                codes = layer.requantize(layer.accumulate(codes))
        return found

    low, high = (end.astype(np.int8) for end in ranges[0])
    return sums, [], Subject({"codes": (low, high)}, run, True, sum(s.weight.size for s in sums))


def _sums(index: int, layer, operands: Operands) -> Sums:
    weight = layer.weight.T[None].astype(np.float64)
    n_terms = weight.shape[1]
    return Sums(
        f"layers[{index}]", type(layer).__name__, (operands,), weight, np.zeros((1, weight.shape[2])),
        lambda t, pad: t.reshape(1, 1, -1, n_terms), (np.arange(n_terms),),
    )  # fmt: skip
