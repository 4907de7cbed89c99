"""The proof that `fit` ends with: every neuron within its limits, from the integer arrays alone.

The arithmetic of ranges and widths is that of `qnnprune.accumulators`.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import accumulator_bits, accumulator_range, weight_max
from ..exceptions import AccumulatorProofError

__all__ = ["verify_layers"]


def verify_layers(layers, n_w_bits, n_accum_bits=None, budgets=None) -> None:
    """Check an integer network against its limits, from its arrays alone.

    Parameters
    ----------
    layers : sequence of objects with ``weight``, ``input_range``, ``accumulator_range``
        and ``accumulator_bits``
    n_w_bits : int
        Every weight must be at most ``weight_max(n_w_bits)`` in magnitude.
    n_accum_bits : int, optional
        Every neuron's width must be at most this.  None: not checked.
    budgets : sequence of int or None, optional
        Nonzero weights allowed in each neuron, one entry a layer.

    Raises
    ------
    AccumulatorProofError
        If a limit does not hold.  This is an internal error: please report it.
    """
    budgets = [None] * len(layers) if budgets is None else budgets
    largest = weight_max(n_w_bits)
    for index, (layer, budget) in enumerate(zip(layers, budgets, strict=True)):
        ranges = accumulator_range(layer.weight, layer.input_range)
        bits = accumulator_bits(ranges)
        stored = (layer.accumulator_range, layer.accumulator_bits)
        # Not by abs(): the magnitude of -128 does not fit int8.
        too_large = (layer.weight > largest) | (layer.weight < -largest)
        too_wide = n_accum_bits is not None and (bits > n_accum_bits).any()
        too_many = budget is not None and np.count_nonzero(layer.weight, axis=1).max() > budget
        broken = {
            f"a weight above {largest} in magnitude": too_large.any(),
            "a stored range that differs from the exact one": not all(
                map(np.array_equal, stored, (ranges, bits))
            ),
            f"a neuron wider than n_accum_bits={n_accum_bits}": too_wide,
            f"a neuron with more than {budget} weights": too_many,
        }
        found = [text for text, is_broken in broken.items() if is_broken]
        if found:
            raise AccumulatorProofError(f"Layer {index} has {'; '.join(found)}.")
