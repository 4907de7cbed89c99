"""A small integer graph with an operation of every kind, and the same by hand."""

from itertools import product

import numpy as np

from qnnprune import IntegerGraph
from qnnprune.integer._inputs import CodedInput
from qnnprune.integer._operations import Add, Concat, Flatten, MaxPool, Sums, Thresholds
from qnnprune.integer._windows import Window

CONV = [[[1, -2], [1, 0]], [[2, 1], [0, -1]]]
DEEP = [-1, 2]
OUT = [[1, -1, 0, 1, 2, 0, 1, -1], [0, 1, 1, -2, 0, -1, 1, 0], [-1, 0, 1, 1, 0, 1, 0, 2]]
OUTSIDE = 1
LIMITS = {
    "act": ([[-1, 2], [0, 1]], [0, 2], [1, -1]),
    "again": ([[-1, 0], [1, 3]], [-1, -1], [1, 1]),
}
SCALE, BIAS = [0.5, 0.25, -1.0], [1.0, -1.0, 0.0]


def branching_graph():
    """Two channels of three positions; a border of ones, maxima with a border, two branches."""
    act, again = ([np.array(part) for part in LIMITS[name]] for name in ("act", "again"))
    return IntegerGraph(
        CodedInput((2, 3), np.array([[-1, 2], [0, 1]])),
        [
            Sums("conv", (0,), np.array(CONV), Window((2,), (1,), (1,), (1,)), 1, OUTSIDE),
            Thresholds("act", (1,), *act),
            MaxPool("act", (2,), Window((3,), (2,), (1,), (1,))),
            Sums("deep", (3,), np.array(DEEP)[:, None, None], Window((1,), (1,), (0,), (1,)), 2),
            Thresholds("again", (4,), *again),
            Add("add", (3, 5), (2, -1)),
            Concat("cat", (6, 3)),
            Flatten("flat", (7,)),
            Sums("out", (8,), np.array(OUT)),
        ],
        scale=SCALE,
        bias=BIAS,
    )


def every_row():
    """Every input of the graph."""
    codes = product(*[range(-1, 3)] * 3, *[range(2)] * 3)
    return np.array(list(codes)).reshape(-1, 2, 3)


def sums_by_hand(row):
    """The last sums of one row, a list of two lists of three integers."""
    codes = []
    for kernel, *steps in zip(CONV, *LIMITS["act"], strict=True):
        padded = [[OUTSIDE, *channel, OUTSIDE] for channel in row]
        sums = [
            sum(kernel[c][k] * padded[c][i + k] for c in range(2) for k in range(2))
            for i in range(4)
        ]
        codes.append([_code(value, *steps) for value in sums])
    maxima = [[max(channel[:2]), max(channel[1:])] for channel in codes]
    deep = [
        [_code(DEEP[c] * value, *steps) for value in maxima[c]]
        for c, steps in enumerate(zip(*LIMITS["again"], strict=True))
    ]
    added = [2 * a - b for a, b in zip(sum(maxima, []), sum(deep, []), strict=True)]
    flat = added + sum(maxima, [])
    return [sum(w * value for w, value in zip(weights, flat, strict=True)) for weights in OUT]


def _code(value, limits, first, slope):
    return first + slope * sum(value >= limit for limit in limits)
