"""Narrow accumulators: what a sum does that leaves its register, and who counts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._utils import Tabular, display
from ..accumulators import register_range
from ..exceptions import AccumulatorOverflowError
from ._layer import IntegerLayer, OutputLayer

__all__ = ["MODES", "SimulationResult", "Watch", "check_register", "layer_name"]

_FEW_ROWS = 64  # are reduced at once
MODES = ("exact", "wrap", "saturate", "raise")


def layer_name(index: int, layer: IntegerLayer) -> str:
    """What a layer is called in reports and messages: "hidden 1", "hidden 2", "output"."""
    return "output" if isinstance(layer, OutputLayer) else f"hidden {index + 1}"


def check_register(n_accum_bits, mode) -> None:
    """Refuse a width or a mode that no register has.

    Raises
    ------
    ValueError
    """
    whole = isinstance(n_accum_bits, (int, np.integer)) and not isinstance(n_accum_bits, bool)
    if not whole or not 1 <= n_accum_bits <= 62:
        raise ValueError(f"n_accum_bits={n_accum_bits!r} must be an integer from 1 to 62.")
    if mode not in MODES[1:]:
        raise ValueError(f"mode={mode!r} must be one of {MODES[1:]}.")


@dataclass(frozen=True, eq=False)
class SimulationResult(Tabular):
    """What narrow accumulators did to a batch.

    Attributes
    ----------
    predictions : array of shape (n_samples,) or (n_samples, n_outputs)
    decision : float64 array of shape (n_samples, n_logits)
        The output layer's values, from which the predictions follow.
    n_accum_bits : int
        Width of the simulated registers, in bits.
    mode : str
    overflow_count : tuple of int64 arrays of shape (n_out,), one a layer
        Sums that left their register, per neuron; of the output layer, per sum of a logit.
        Where sums are clipped on the way, those that were clipped at least once.
    accumulator_min, accumulator_max : tuple of int64 arrays of shape (n_out,)
        Smallest and largest exact sum seen, before wrapping or clipping; the extremes of
        int64, reversed, where there was no row to see.
    n_samples : int
    positions : tuple of int, optional
        Sums of each neuron per row, one count a layer; by default one.
    per : str or int
        When a sum was clipped: "sum" at its end, "step" after each addition, a number after
        each so many products.
    names : tuple of str, optional
        Of the layers; by default "hidden 1", "hidden 2" and so on, and "output".
    """

    predictions: np.ndarray
    decision: np.ndarray
    n_accum_bits: int
    mode: str
    overflow_count: tuple[np.ndarray, ...]
    accumulator_min: tuple[np.ndarray, ...]
    accumulator_max: tuple[np.ndarray, ...]
    n_samples: int
    positions: tuple[int, ...] | None = None
    per: str | int = "sum"
    names: tuple[str, ...] | None = None

    @property
    def overflow_rate(self) -> float:
        """Share of all sums, over rows, layers and neurons, that overflowed."""
        positions = self.positions or (1,) * len(self.overflow_count)
        each = zip(self.overflow_count, positions, strict=True)
        sums = self.n_samples * sum(len(count) * n for count, n in each)
        return float(sum(count.sum() for count in self.overflow_count)) / max(sums, 1)

    @property
    def layer_names(self) -> list[str]:
        """What each layer is called: "hidden 1", "hidden 2", "output"."""
        hidden = (f"hidden {n}" for n in range(1, len(self.overflow_count)))
        return [*hidden, "output"] if self.names is None else list(self.names)

    def to_dict(self) -> dict[str, list]:
        """Columns, as `pandas.DataFrame` takes them.

        Returns
        -------
        dict of str to list
            Layer, neuron, overflows and observed range, one entry per neuron in each list.
        """
        sizes = [len(counts) for counts in self.overflow_count]
        columns = {
            "layer": np.repeat(self.layer_names, sizes),
            "neuron": np.concatenate([np.arange(size) for size in sizes]),
            "overflow_count": np.concatenate(self.overflow_count),
            "accumulator_min": np.concatenate(self.accumulator_min),
            "accumulator_max": np.concatenate(self.accumulator_max),
        }
        return {name: column.tolist() for name, column in columns.items()}

    def plot(self, *, ax=None):
        """Draw the overflow of every neuron; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            One, or one per layer.

        Returns
        -------
        qnnprune.inspection.OverflowDisplay
        """
        return display("OverflowDisplay").from_simulation(self, ax=ax)

    def __repr__(self) -> str:
        per = "" if self.per == "sum" else f"per={self.per!r}, "
        return (
            f"SimulationResult(n_accum_bits={self.n_accum_bits}, mode={self.mode!r}, {per}"
            f"n_samples={self.n_samples}, overflow_rate={self.overflow_rate:.3g})"
        )


class Watch:
    """Counts overflows and follows the observed range of every neuron of a network.

    With `stepped`, one `SteppedSums` per layer, sums are clipped on the way.
    """

    def __init__(self, names, ranges, n_accum_bits, mode, stepped=None):
        self.mode, self.n_accum_bits, self.names = mode, n_accum_bits, names
        self.stepped = stepped
        self.registers = [register_range(each, n_accum_bits) for each in ranges]
        self.count = [np.zeros(len(r), np.int64) for r in self.registers]
        self.low = [np.full(len(r), np.iinfo(np.int64).max) for r in self.registers]
        self.high = [np.full(len(r), np.iinfo(np.int64).min) for r in self.registers]

    def store(self, index, acc, first_row, positions=1, codes=None):
        """Put exact sums of layer `index`, in any real type, into its registers.

        A row of the batch has sums of each neuron at so many positions, which follow each other.
        Steps need the codes that the sums are of.  Returns what the registers hold: `acc` itself
        where that is the sums.
        """
        low, high = self.registers[index].T
        least, most = (
            _end(function, acc).astype(np.int64) for function in (np.minimum, np.maximum)
        )
        self.low[index] = np.minimum(self.low[index], least)
        self.high[index] = np.maximum(self.high[index], most)
        if self.stepped is not None:
            acc, clipped = self.stepped[index].store(acc.astype(np.float64), codes)
            self.count[index] += clipped
            return acc
        full = np.flatnonzero((least < low) | (most > high))
        if len(full):
            acc = np.array(acc)
            acc[:, full] = self._store(index, acc[:, full], full, first_row, positions)
        return acc

    def _store(self, index, acc, neurons, first_row, positions):
        """Sums of neurons some of whose sums leave the register."""
        acc = acc.astype(np.float64)
        low, high = self.registers[index][neurons].T.astype(np.float64)
        over = (acc < low) | (acc > high)
        self.count[index][neurons] += np.count_nonzero(over, axis=0)
        if self.mode == "raise":
            row, column = np.argwhere(over)[0]
            raise AccumulatorOverflowError(
                f"Row {first_row + row // positions}: the sum {int(acc[row, column])} of neuron "
                f"{neurons[column]} in layer '{self.names[index]}' leaves "
                f"n_accum_bits={self.n_accum_bits} "
                f"({int(low[column])} to {int(high[column])}). Use a wider accumulator, or "
                "mode='wrap' or 'saturate' to go on."
            )
        if self.mode == "saturate":
            return np.clip(acc, low, high)
        # A sum overflows only where the register is narrower than the sum's own range, so
        # all of this is exact: integers that the type holds, and powers of two.
        span = high - low + 1
        return acc - np.floor((acc - low) / span) * span


def _end(function, acc: np.ndarray) -> np.ndarray:
    """Least or most of each column: halves against each other, as long rows are fast."""
    while len(acc) > _FEW_ROWS and acc.flags.c_contiguous:
        half = len(acc) // 2
        rest = acc[2 * half :]
        acc = function(acc[:half], acc[half : 2 * half])
        acc[: len(rest)] = function(acc[: len(rest)], rest)
    return function.reduce(acc, axis=0)
