"""The integer network as sums and table lookups, with all that needs no lookup taken out.

On encrypted values a sum costs next to nothing, a table lookup nearly everything, and the
more the wider its input is.  So neurons and inputs that make no difference are left out, and
low bits of a sum that no threshold depends on are removed: where the thresholds of a neuron
are a multiple of ``2**r`` apart, a table needs to know ``sum >> r`` alone.  And a neuron whose
code rises by the same number at every step of its sum is an affine map: it needs no table, and
whoever reads it reads its inputs.  All this is exact: the sums of the output layer stay what they
were, for every input.
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
        On the codes of the layer before; without columns in the first layer.
    input_weight : int64 array of shape (n_out, n_sent)
        On the input codes; 0 where a layer reads none.
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
    input_weight: np.ndarray
    offset: np.ndarray
    n_bits: int
    n_removed_bits: int = 0
    tables: np.ndarray | None = None

    @property
    def reads_inputs(self) -> bool:
        """Whether it reads input codes, which are encrypted for each layer that does."""
        return bool(self.input_weight.any()) or not self.weight.size

    def sums(self, codes: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Sums of the codes of the layer before, and of the input codes.

        Parameters
        ----------
        codes : int64 array of shape (n_samples, n_in)
        inputs : int64 array of shape (n_samples, n_sent)

        Returns
        -------
        int64 array of shape (n_samples, n_out)
        """
        return codes @ self.weight.T + inputs @ self.input_weight.T + self.offset

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

    @property
    def n_copies(self) -> int:
        """How often the input codes are sent: for each layer that reads them, in its own width."""
        return sum(layer.reads_inputs for layer in self.layers)

    def run(self, codes: np.ndarray) -> np.ndarray:
        """Last sums, in the clear.

        Parameters
        ----------
        codes : integer array of shape (n_samples, n_sent)

        Returns
        -------
        int64 array of shape (n_samples, n_out)
        """
        inputs = np.asarray(codes, dtype=np.int64)
        codes = inputs[:, :0]
        for layer in self.layers[:-1]:
            codes = layer.look_up(layer.sums(codes, inputs))
        return self.layers[-1].sums(codes, inputs)


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
    codes, layers = _Codes.of_inputs(len(inputs)), []
    for layer in hidden:
        after = codes.after(layer)
        if after.looked_up.any():
            layers.append(_hidden_layer(layer.with_neurons(after.looked_up), codes))
        codes = after
    weights = codes.weights_of(output)
    n_bits = _width(output, *weights)
    no_shift = np.zeros(len(output.weight), dtype=np.int64)
    offset, _ = offsets(output.accumulator_range, n_bits, no_shift, 1)
    layers.append(LookupLayer(*weights, offset + codes.constant_of(output), n_bits))
    return LookupNetwork(inputs, tuple(layers), simplified.constant - offset)


@dataclass(frozen=True, eq=False)
class _Codes:
    """Codes that a layer reads: of tables, or an affine map of the input codes.

    Attributes
    ----------
    looked_up : bool array of shape (n,)
    weight : int64 array of shape (n, n_sent)
    constant : int64 array of shape (n,)
        The affine map; 0 of codes that are looked up.
    """

    looked_up: np.ndarray
    weight: np.ndarray
    constant: np.ndarray

    @staticmethod
    def of_inputs(n_sent: int) -> _Codes:
        nothing = np.zeros(n_sent, dtype=np.int64)
        return _Codes(nothing > 0, np.eye(n_sent, dtype=np.int64), nothing)

    def weights_of(self, layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray]:
        """Weights of a layer on the codes that are looked up, and on the input codes."""
        weight = layer.weight.astype(np.int64)
        return weight[:, self.looked_up], weight @ self.weight

    def constant_of(self, layer: IntegerLayer) -> np.ndarray:
        """What the affine maps add to the sums of a layer, beside its weights on input codes."""
        return layer.weight.astype(np.int64) @ self.constant

    def after(self, layer: HiddenLayer) -> _Codes:
        """What a layer makes of these codes."""
        on_looked_up, on_inputs = self.weights_of(layer)
        looked_up = (layer.slope < 0) | on_looked_up.any(axis=1)
        low, slope = layer.accumulator_range[:, 0], np.where(looked_up, 0, layer.slope)
        at_low = layer.output_low + (layer.thresholds <= low[:, None]).sum(axis=1)
        constant = at_low + slope * (self.constant_of(layer) - low)
        return _Codes(looked_up, slope[:, None] * on_inputs, np.where(looked_up, 0, constant))


def _check_widths(layers: Sequence[IntegerLayer]) -> None:
    widest = max(map(_width, layers))
    if widest > MOST_BITS:
        raise ValueError(
            f"The network has sums of {widest} bits, but lookups on encrypted values take at most "
            f"{MOST_BITS}: fit with accumulator_guarantee=True and n_accum_bits={MOST_BITS} or "
            "less. Each bit makes a lookup 2 to 3 times dearer: 4 to 6 bits are practical."
        )


def _width(layer: IntegerLayer, *weights: np.ndarray) -> int:
    """Bits that hold every sum of the layer once shifted, and every weight."""
    low, high = layer.accumulator_range.T
    span = int((high - low).max()).bit_length()
    largest = max((int(np.abs(weight).max(initial=0)) for weight in weights), default=0)
    return max(span, largest.bit_length() + 1, FEWEST_BITS)


def _hidden_layer(layer: HiddenLayer, codes: _Codes) -> LookupLayer:
    weights = codes.weights_of(layer)
    n_bits = _width(layer, *weights)
    offset, n_removed, counts = counting_tables(layer.accumulator_range, layer.thresholds, n_bits)
    offset = offset + codes.constant_of(layer)
    return LookupLayer(*weights, offset, n_bits, n_removed, layer.output_low + counts)
