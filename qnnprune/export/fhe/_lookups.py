"""The integer network as sums and table lookups, with all that needs no lookup taken out.

On encrypted values a sum costs next to nothing, a table lookup nearly everything, and the
more the wider its input is.  So three simplifications come before encryption.  All are
exact: the sums of the output layer stay what they were, for every input.

- A neuron that no sum within its proven range can switch is a constant: the thresholds of
  the next layer take it in.
- A neuron, or an input, that nobody reads is left out.
- Low bits of a sum that no threshold depends on are removed: where the thresholds of a
  neuron are a multiple of ``2**r`` apart, a table needs to know ``sum >> r`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...accumulators import accumulator_range
from ...integer import IntegerNetwork

__all__ = ["LookupLayer", "LookupNetwork", "lookup_network"]

# The cheapest tables: removing one more bit costs as much as a narrower table saves.
_TABLE_BITS = 4
_FEWEST_BITS = 2  # of a signed sum


@dataclass(frozen=True, eq=False)
class LookupLayer:
    """Sums of products, and for a hidden layer a table for each of them.

    Attributes
    ----------
    weight : int64 array of shape (n_out, n_in)
    offset : int64 array of shape (n_out,)
        Added to the sums, so that all fit `n_bits`.
    n_bits : int
        Two's-complement width that holds every sum, in bits.
    n_removed_bits : int
        Low bits that no table looks at.
    tables : int64 array of shape (n_out, 2**(n_bits - n_removed_bits)), or None
        Output codes by ascending sum, from the most negative one.  None on the output layer.
    """

    weight: np.ndarray
    offset: np.ndarray
    n_bits: int
    n_removed_bits: int = 0
    tables: np.ndarray | None = None

    def sums(self, codes: np.ndarray) -> np.ndarray:
        """Sums of integer codes, int64: (n_samples, n_in) to (n_samples, n_out)."""
        return codes @ self.weight.T + self.offset

    def look_up(self, sums: np.ndarray) -> np.ndarray:
        """Output codes of a hidden layer, int64, of the shape of `sums`."""
        cell = (sums >> self.n_removed_bits) + self.tables.shape[1] // 2
        return np.take_along_axis(self.tables, cell.T, axis=1).T


@dataclass(frozen=True, eq=False)
class LookupNetwork:
    """What runs on encrypted codes.

    Attributes
    ----------
    inputs : int64 array of shape (n_sent,)
        The input codes that are read, as columns of the network's codes.
    layers : tuple of LookupLayer
    constant : int64 array of shape (n_logits,)
        What the last sums lack of the accumulators of the output layer.
    """

    inputs: np.ndarray
    layers: tuple[LookupLayer, ...]
    constant: np.ndarray

    def run(self, codes: np.ndarray) -> np.ndarray:
        """Last sums, in the clear.

        Parameters
        ----------
        codes : integer array of shape (n_samples, n_sent)

        Returns
        -------
        int64 array of shape (n_samples, n_logits)
        """
        codes = np.asarray(codes, dtype=np.int64)
        for layer in self.layers[:-1]:
            codes = layer.look_up(layer.sums(codes))
        return self.layers[-1].sums(codes)


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A layer without its constant inputs: they moved from the weights to the thresholds."""

    weight: np.ndarray
    input_range: np.ndarray
    constant: np.ndarray  # sum of the constant inputs
    thresholds: np.ndarray | None
    output_low: int | None

    @property
    def sum_range(self) -> np.ndarray:
        return accumulator_range(self.weight, self.input_range)


def lookup_network(network: IntegerNetwork) -> LookupNetwork:
    """Sums and tables that give the output layer's accumulators of `network`.

    Parameters
    ----------
    network : IntegerNetwork

    Returns
    -------
    LookupNetwork
    """
    inputs, reduced = _without_unread(_without_constants(network.layers))
    *hidden, output = reduced
    layers = [_hidden_layer(layer) for layer in hidden]
    n_bits = _width(output)
    offset, _ = _offsets(output.sum_range, n_bits, np.zeros(len(output.weight), np.int64), 1)
    layers.append(LookupLayer(output.weight, offset, n_bits))
    return LookupNetwork(inputs, tuple(layers), output.constant - offset)


def _without_constants(layers) -> list[_Reduced]:
    """Move inputs that never change into the thresholds, from the first layer to the last."""
    low, high = layers[0].input_range.T
    fixed, value = low == high, low
    reduced = []
    for layer in layers:
        weight = layer.weight.astype(np.int64)
        constant = weight[:, fixed] @ value[fixed]
        thresholds = None if layer.thresholds is None else layer.thresholds - constant[:, None]
        weight = np.where(fixed, 0, weight)
        found = _Reduced(weight, layer.input_range, constant, thresholds, layer.output_low)
        reduced.append(found)
        if thresholds is not None:
            below, beyond = _out_of_reach(thresholds, found.sum_range)
            fixed = (below | beyond).all(axis=1)
            value = layer.output_low + below.sum(axis=1)
    return reduced


def _out_of_reach(thresholds, sum_range) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds that every sum reaches, and those that none does."""
    low, high = sum_range.T[:, :, None]
    return thresholds <= low, thresholds > high


def _without_unread(layers) -> tuple[np.ndarray, list[_Reduced]]:
    """Drop neurons that nobody reads, from the last layer to the first; then inputs.

    One stays where all could go, as a circuit must have something to compute.
    """
    rows, kept = np.arange(len(layers[-1].weight)), []
    for layer in reversed(layers):
        columns = np.flatnonzero(layer.weight[rows].any(axis=0))
        columns = columns if len(columns) else np.array([0])
        kept.append(
            _Reduced(
                layer.weight[np.ix_(rows, columns)],
                layer.input_range[columns],
                layer.constant[rows],
                None if layer.thresholds is None else layer.thresholds[rows],
                layer.output_low,
            )
        )
        rows = columns
    return rows, kept[::-1]


def _width(layer: _Reduced) -> int:
    """Bits that hold every sum of the layer once shifted, and every weight."""
    low, high = layer.sum_range.T
    span = int((high - low).max()).bit_length()
    largest = int(np.abs(layer.weight).max())
    return max(span, largest.bit_length() + 1, _FEWEST_BITS)


def _hidden_layer(layer: _Reduced) -> LookupLayer:
    n_bits = _width(layer)
    below, beyond = _out_of_reach(layer.thresholds, layer.sum_range)
    within = ~(below | beyond)
    first = np.take_along_axis(layer.thresholds, within.argmax(axis=1)[:, None], axis=1)
    gaps = np.where(within, layer.thresholds - first, 0)
    for n_removed in range(max(0, n_bits - _TABLE_BITS), -1, -1):
        step = 2**n_removed
        offset, fits = _offsets(layer.sum_range, n_bits, -first[:, 0], step)
        if fits and not (gaps % step).any():
            break
    half = 2 ** (n_bits - 1)
    cells = np.arange(-half, half, step)
    thresholds = np.where(below, -half, layer.thresholds + offset[:, None])
    reached = (thresholds[:, :, None] <= cells).sum(axis=1)
    return LookupLayer(layer.weight, offset, n_bits, n_removed, layer.output_low + reached)


def _offsets(sum_range, n_bits, wanted, step) -> tuple[np.ndarray, bool]:
    """Smallest shifts, equal to `wanted` modulo `step`, that bring all sums into `n_bits`.

    And whether there are any: a shift that must hit a grid may find no room.
    """
    half = 2 ** (n_bits - 1)
    least, most = -half - sum_range[:, 0], half - 1 - sum_range[:, 1]
    nearest = np.clip(0, least, most)
    above = nearest + (wanted - nearest) % step
    below = above - step
    use_below = (below >= least) & ((above > most) | (np.abs(below) < np.abs(above)))
    offset = np.where(use_below, below, above)
    return offset, bool(((offset >= least) & (offset <= most)).all())
