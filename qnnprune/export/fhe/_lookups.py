"""The integer network as sums and table lookups, with all that needs no lookup taken out.

On encrypted values a sum costs next to nothing, a table lookup nearly everything, and the
more the wider its input is.  So neurons and inputs that make no difference are left out, and
low bits of a sum that no threshold depends on are removed: where the thresholds of a neuron
are a multiple of ``2**r`` apart, a table needs to know ``sum >> r`` alone.  Both are exact:
the sums of the output layer stay what they were, for every input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...integer import HiddenLayer, IntegerLayer, IntegerNetwork
from ...integer._simplify import simplify
from ._tables import FEWEST_BITS, MOST_BITS, counting_tables, offsets

__all__ = ["LookupLayer", "LookupNetwork", "lookup_network"]


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
    constant : int64 array of shape (n_out,)
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
        int64 array of shape (n_samples, n_out)
        """
        codes = np.asarray(codes, dtype=np.int64)
        for layer in self.layers[:-1]:
            codes = layer.look_up(layer.sums(codes))
        return self.layers[-1].sums(codes)


def lookup_network(network: IntegerNetwork) -> LookupNetwork:
    """Sums and tables that give the output layer's accumulators of `network`.

    Parameters
    ----------
    network : IntegerNetwork

    Returns
    -------
    LookupNetwork

    Raises
    ------
    ValueError
        If a sum is wider than the 16 bits that table lookups take.
    """
    simplified = simplify(network.layers)
    inputs = simplified.inputs
    *hidden, output = simplified.layers_of_inputs(inputs)
    _check_widths([*hidden, output])  # before there are tables of such sums
    layers = [_hidden_layer(layer) for layer in hidden]
    n_bits = _width(output)
    no_shift = np.zeros(len(output.weight), dtype=np.int64)
    offset, _ = offsets(output.accumulator_range, n_bits, no_shift, 1)
    layers.append(LookupLayer(output.weight.astype(np.int64), offset, n_bits))
    return LookupNetwork(inputs, tuple(layers), simplified.constant - offset)


def _check_widths(layers: Sequence[IntegerLayer]) -> None:
    widest = max(map(_width, layers))
    if widest > MOST_BITS:
        raise ValueError(
            f"The network has sums of {widest} bits, but lookups on encrypted values take at most "
            f"{MOST_BITS}: fit with accumulator_guarantee=True and n_accum_bits={MOST_BITS} or "
            "less. Each bit makes a lookup 2 to 3 times dearer: 4 to 6 bits are practical."
        )


def _width(layer: IntegerLayer) -> int:
    """Bits that hold every sum of the layer once shifted, and every weight."""
    low, high = layer.accumulator_range.T
    span = int((high - low).max()).bit_length()
    largest = int(np.abs(layer.weight.astype(np.int64)).max())
    return max(span, largest.bit_length() + 1, FEWEST_BITS)


def _hidden_layer(layer: HiddenLayer) -> LookupLayer:
    n_bits = _width(layer)
    offset, n_removed, counts = counting_tables(layer.accumulator_range, layer.thresholds, n_bits)
    weight = layer.weight.astype(np.int64)
    return LookupLayer(weight, offset, n_bits, n_removed, layer.output_low + counts)
