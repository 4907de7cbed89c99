"""Inputs of one layer at which a sum reaches the end of its range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ._registers import Register
from ._report import Witness
from ._sums import Sums

__all__ = ["witness_of", "worst_witness"]


def worst_witness(sums: Sums, register: Register | None, ranges) -> Witness:
    if register is None or ranges is None:
        register, ranges = Register("", 62), sums.partial_range
    return witness_of(sums, register, ranges, *_worst(ranges, register))


def witness_of(sums: Sums, register: Register, ranges, neuron: int, largest: bool) -> Witness:
    """An input of the layer at which a neuron reaches an end of its range."""
    at = [register.at(sums, case, neuron)[int(largest)] for case in sums.cases]
    best = [end.max() if largest else -end.min() for end in at]
    case, end = sums.cases[int(np.argmax(best))], at[int(np.argmax(best))]
    place = np.unravel_index(int(end.argmax() if largest else end.argmin()), end.shape)
    place = int(place[0]), int(place[1])
    group, column = sums.column(neuron)
    weight = register.weight(sums)[group, :, column]
    codes = sums.reaching_codes(neuron, largest, case, place, weight)
    return Witness(
        neuron, place, int(ranges[neuron, int(largest)]), _total(sums, case, codes, neuron, place),
        codes, case.zero_point,
    )  # fmt: skip


def _worst(ranges: np.ndarray, register: Register) -> tuple[int, bool]:
    """Neuron and end that need the widest register."""
    below = register.signed is False
    need = np.stack([-ranges[:, 0] - (0 if below else 1), ranges[:, 1]], axis=1)
    neuron, end = divmod(int(need.argmax()), 2)
    return neuron, bool(end)


def _total(sums: Sums, case, codes, neuron, place) -> int:
    codes = codes.astype(np.float64) - case.zero_point
    known = replace(sums, cases=(replace(case, low=codes, high=codes),))
    group, column = sums.column(neuron)
    return int(known.totals[0][place[0], group, place[1], column])
