"""Products of int8 in hardware, by oneDNN through torch: exact sums, or codes at once.

A neuron's output code counts the thresholds that its sum reaches.  Where these lie on a line, as
those of a rounded and clipped affine map do, oneDNN makes the code of each sum before it goes to
memory.

torch is taken where it is imported already and the processor multiplies int8 in hardware: it is
not imported for this, as that takes longer than most predictions.
"""

from __future__ import annotations

import os
import sys
from functools import cache

import numpy as np

from ._layer import HiddenLayer, IntegerLayer, Scratch

__all__ = ["Int8Layer", "line_through", "torch_with_int8"]

_PROCESS = os.getpid()
# oneDNN prepares for every new number of rows, so these are multiples; few rows, of the smaller.
_HEIGHTS = 64, 512


class Int8Layer:
    """A layer as oneDNN computes it.

    Parameters
    ----------
    layer : IntegerLayer
        Whose weights fit int8 and whose sums, in any order, stay below 2**24.
    """

    def __init__(self, layer: IntegerLayer):
        self.weight, self.line, self.window = layer.weight, None, (0, 0)
        if isinstance(layer, HiddenLayer):
            self.line = line_through(layer)
            self.window = layer.output_low, layer.output_low + layer.thresholds.shape[1]
        self._operation: _Operation | None = None

    def sums(self, codes: np.ndarray, dtype, scratch: Scratch) -> np.ndarray:
        """Exact sums of products.

        Parameters
        ----------
        codes, dtype, scratch
            As in `Products.sums`.

        Returns
        -------
        int8 or float32 array of shape (n_out, n), in memory by column
            int8 where that is `dtype`.
        """
        return self._made().sums(_raised(codes, scratch), dtype)[: codes.shape[1]].T

    def codes(self, codes: np.ndarray, scratch: Scratch) -> np.ndarray:
        """Output codes of a hidden layer that has a line.

        Parameters
        ----------
        codes, scratch
            As in `Products.codes`.

        Returns
        -------
        int8 array of shape (n_out, n), in memory by column
        """
        found = self._made().codes(_raised(codes, scratch), self.line, self.window)
        return found[: codes.shape[1]].T

    def _made(self):
        if self._operation is None:  # torch may have been imported since
            self._operation = _Operation(sys.modules["torch"], self.weight)
        return self._operation


def _raised(codes: np.ndarray, scratch: Scratch) -> np.ndarray:
    """Rows of 128 more than the codes, as few processors multiply signed ones fast, and of others."""
    n_in, n = codes.shape
    height = _HEIGHTS[n > _HEIGHTS[1]]
    rows = scratch.array("rows", (-(-n // height) * height, n_in), np.int8)
    np.bitwise_xor(codes.T, np.int8(-128), out=rows[:n])
    return rows.view(np.uint8)


class _Operation:
    """Rows of uint8, each 128 more than its code, times weights."""

    def __init__(self, torch, weight: np.ndarray):
        self.torch, n_out = torch, len(weight)
        weight, self.ones, self.zeros = map(  # whatever torch's default device and type are
            torch.from_numpy,
            (
                np.array(weight, np.int8, order="C"),
                np.ones(n_out, np.float32),
                np.zeros(n_out, np.int32),
            ),
        )
        self.weight = torch.ops.onednn.qlinear_prepack(weight, None)

    def sums(self, rows, dtype):
        """The sums, in int8 or float32."""
        dtype = self.torch.int8 if dtype == np.int8 else self.torch.float32
        return self._computed(rows, self.ones, None, dtype, "none", [])

    def codes(self, rows, line, window):
        """An affine map of each sum, rounded and clipped, in int8."""
        slope, offset = map(self.torch.from_numpy, line)
        return self._computed(rows, slope, offset, self.torch.int8, "hardtanh", window)

    def _computed(self, rows, scale, bias, dtype, function, arguments):
        return self.torch.ops.onednn.qlinear_pointwise(
            self.torch.from_numpy(rows), 1.0, 128, self.weight, scale, self.zeros, bias,
            1.0, 0, dtype, function, [float(x) for x in arguments], "",
        ).numpy()  # fmt: skip


def line_through(layer: HiddenLayer) -> tuple[np.ndarray, np.ndarray] | None:
    """Output codes of every sum as an affine map of it, rounded and clipped.

    Counted from `output_low`, code k begins at the k-th threshold t: there the map must have reached
    ``k - 1/2``, and at the sum ``t - 1`` not yet.  A line can do that at all thresholds if its slope
    is one that any two of them allow.

    Parameters
    ----------
    layer : HiddenLayer

    Returns
    -------
    slope, offset : float32 arrays of shape (n_out,), or None
        ``clip(round(slope * sum + offset), output_low, output_low + n_thresholds)`` is the code
        of every sum in its proven range, whatever the rounding of float32.  None where a neuron
        has no such map.
    """
    low, high = layer.accumulator_range.T[:, :, None].astype(np.float64)
    thresholds = layer.thresholds.astype(np.float64)
    places = np.arange(1, thresholds.shape[1] + 1) - 0.5
    # Where the map reaches a place: after the first of these sums, at the second at the latest.
    after = np.where(thresholds > high, high, np.where(thresholds > low, thresholds - 1, -np.inf))
    until = np.where(thresholds > high, np.inf, np.maximum(thresholds, low))
    stride = _between(*_strides(after, until))
    start = _between(
        (after - stride * places).max(axis=1, keepdims=True),
        (until - stride * places).min(axis=1, keepdims=True),
    )
    slope = (1 / stride).astype(np.float32)
    offset = (layer.output_low - start / stride).astype(np.float32)
    reached = slope.astype(np.float64) * np.stack([after, until]) + offset - layer.output_low
    # Three roundings of float32 at most; this is eight of the largest.
    error = 2.0**-21 * (1 + abs(offset) + slope * np.maximum(abs(low), abs(high)))
    if not ((reached[0] < places - error) & (reached[1] > places + error)).all():
        return None
    return slope[:, 0], offset[:, 0]


def _strides(after, until) -> tuple[np.ndarray, np.ndarray]:
    """Least and most distance of neighbouring edges, by what any two of them allow."""
    n_neurons, n_edges = after.shape
    least, most = np.zeros((n_neurons, 1)), np.full((n_neurons, 1), np.inf)
    for apart in range(1, n_edges):
        near, far = slice(None, n_edges - apart), slice(apart, None)
        lowest, highest = after[:, far] - until[:, near], until[:, far] - after[:, near]
        least = np.maximum(least, lowest.max(axis=1, keepdims=True) / apart)
        most = np.minimum(most, highest.min(axis=1, keepdims=True) / apart)
    return least, most


def _between(least, most) -> np.ndarray:
    """The middle, or one beyond the end that there is."""
    with np.errstate(invalid="ignore"):
        middle = (least + most) / 2
    return np.where(np.isinf(most), least + 1, np.where(np.isinf(least), most - 1, middle))


def torch_with_int8():
    """torch, where it multiplies int8 in hardware and exactly; else None.

    A process that was forked has none: torch's threads stayed behind.
    """
    torch = sys.modules.get("torch")
    if torch is None or os.getpid() != _PROCESS:
        return None
    is_half_imported = getattr(torch.__spec__, "_initializing", False)
    return torch if not is_half_imported and _is_exact(torch) else None


@cache
def _is_exact(torch) -> bool:
    """Whether extremes come out as integers have it: some processors saturate in between."""
    codes = np.resize(np.array([-128, -127, 127, 1, 60, -3, 5], np.int8), (32, 64))
    weight = np.repeat(np.resize(np.array([-127, 127, 1], np.int8), (16, 1)), 64, axis=1)
    sums = codes.astype(np.int64) @ weight.T
    line = np.full(16, 2.0**-10, np.float32), np.full(16, 0.25, np.float32)
    expected = np.clip(np.rint(sums * 2.0**-10 + 0.25), -100, 100)
    try:
        if not torch.cpu._is_vnni_supported():
            return False
        operation = _Operation(torch, weight)
        rows = _raised(codes.T, Scratch())[: len(codes)]
        found = operation.sums(rows, np.float32), operation.codes(rows, line, (-100, 100))
    except (AttributeError, RuntimeError, TypeError):  # a torch that has it not
        return False
    return np.array_equal(found[0], sums) and np.array_equal(found[1], expected)
