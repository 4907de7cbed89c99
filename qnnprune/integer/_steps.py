"""Saturation on the way: sums that are clipped after every addition, not once at their end.

A sum is clipped for the first time where its exact partial sum first leaves the register.  So
three sieves leave few sums to add up step by step, and all three are exact: neurons whose proven
range holds every partial sum in any order; rows whose positive products, and whose negative ones,
fit together; and sums whose exact partial sums, which numpy adds up at once, stay inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as integer

import numpy as np

from ..accumulators import accumulator_range
from ._layer import IntegerLayer

__all__ = ["SteppedSums", "checked_order", "products_per_step"]


def products_per_step(per, mode: str, order) -> int | None:
    """How many products are added between two clippings; None: all of them.

    Raises
    ------
    ValueError
        If `per` is neither "sum" nor "step", nor an integer of 1 or more, or if sums are to be
        looked at on the way and not clipped, or have an order and are not looked at.
    """
    if isinstance(per, str) and per == "sum":
        if order is not None:
            raise ValueError(
                f"order={order!r} needs per='step' or a number of products: a sum that is clipped "
                "once, at its end, is the same in any order."
            )
        return None
    found = 1 if isinstance(per, str) and per == "step" else per
    if isinstance(found, bool) or not isinstance(found, (int, np.integer)) or found < 1:
        raise ValueError(
            f"per={per!r} must be 'sum', 'step' or the number of products that are added at once, "
            "for instance 2."
        )
    if mode != "saturate":
        raise ValueError(
            f"per={per!r} needs mode='saturate', not {mode!r}: a sum that wraps around ends the same "
            "however often it does, and 'raise' looks at whole sums."
        )
    return integer(found)


def checked_order(order, layers: Sequence[IntegerLayer]) -> list[np.ndarray]:
    """The order in which each layer adds its inputs: one permutation per layer.

    Raises
    ------
    ValueError
        If there is not one entry per layer, or one is no permutation of the layer's inputs.
    """
    orders = [None] * len(layers) if order is None else list(order)
    if len(orders) != len(layers):
        raise ValueError(
            f"order has {len(orders)} entries, but the network has {len(layers)} layers: pass one "
            "permutation of its inputs, or None, per layer."
        )
    pairs = enumerate(zip(orders, layers, strict=True))
    return [_permutation(place, given, layer.weight.shape[1]) for place, (given, layer) in pairs]


def _permutation(place: int, given, n_in: int) -> np.ndarray:
    if given is None:
        return np.arange(n_in)
    found = np.asarray(given)
    if found.dtype.kind not in "iu" or not np.array_equal(np.sort(found, None), np.arange(n_in)):
        raise ValueError(
            f"order[{place}] must hold each of 0 to {n_in - 1} once: the inputs of that layer, in "
            "the order in which their products are added."
        )
    return found.ravel().astype(np.intp)


class SteppedSums:
    """Sums of one layer in registers that clip after every `per` products.

    Parameters
    ----------
    layer : IntegerLayer
    registers : int64 array of shape (n_out, 2)
        First and last value of each neuron's register.
    order : index array of shape (n_in,)
        Inputs in the order in which their products are added; pruned ones take their place, too.
    per : int
        Products that are added exactly before the sum is clipped.
    """

    def __init__(self, layer: IntegerLayer, registers: np.ndarray, order: np.ndarray, per: int):
        # A partial sum lacks some of the inputs, as if their codes were 0.
        least, most = layer.input_range.T
        reach = np.stack([np.minimum(least, 0), np.maximum(most, 0)], axis=1)
        low, high = accumulator_range(layer.weight, reach).T
        full = np.flatnonzero((low < registers[:, 0]) | (high > registers[:, 1]))
        self._neurons, self._registers = full, registers[full]
        self._weight = layer.weight[full].astype(np.float64)
        self._terms = [_terms(row, order, per) for row in self._weight]

    def store(self, acc: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the registers hold at the end, and how often they were clipped.

        Parameters
        ----------
        acc : float32 or float64 array of shape (n_samples, n_out)
            The exact sums.
        codes : integer array of shape (n_samples, n_in)

        Returns
        -------
        values : array of the shape and type of `acc`
        counts : int64 array of shape (n_out,)
            Sums that were clipped at least once.
        """
        values, counts = np.array(acc), np.zeros(acc.shape[1], dtype=np.int64)
        codes = np.ascontiguousarray(codes.T, dtype=acc.dtype)
        suspects = self._suspects(acc[:, self._neurons], codes)
        parts = zip(self._neurons, self._registers, self._terms, suspects, strict=True)
        for neuron, register, (inputs, weight, steps), suspect in parts:
            low, high = register.astype(acc.dtype)
            rows = np.flatnonzero(suspect)
            products = codes[np.ix_(inputs, rows)] * weight.astype(acc.dtype)
            terms = np.add.reduceat(products, steps, axis=0)
            partial = np.cumsum(terms, axis=0)
            clipped = (partial.min(axis=0) < low) | (partial.max(axis=0) > high)
            counts[neuron] = np.count_nonzero(clipped)
            values[rows[clipped], neuron] = _clip_along(terms[:, clipped], low, high)
        return values, counts

    def _suspects(self, acc: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Which sums some order of additions would clip: bool array of shape (n_full, n_samples)."""
        low, high = self._registers.T[:, :, None].astype(acc.dtype)
        # Sums of magnitudes: with the sums themselves, twice those of each sign.
        size = np.abs(self._weight).astype(acc.dtype) @ np.abs(codes)
        return (acc.T + size > 2 * high) | (acc.T - size < 2 * low)


def _terms(weight: np.ndarray, order: np.ndarray, per: int) -> tuple[np.ndarray, ...]:
    """Inputs of a neuron in order, their weights as a column, and where each step begins."""
    weight = weight[order]
    places = np.flatnonzero(weight)
    steps = np.unique(places // per, return_index=True)[1]
    return order[places], weight[places, None], steps


def _clip_along(terms: np.ndarray, low, high) -> np.ndarray:
    """Add up terms, of shape (n_steps, n), with the sum clipped after each of them."""
    total = np.zeros(terms.shape[1], dtype=terms.dtype)
    for term in terms:
        total += term
        np.maximum(total, low, out=total)
        np.minimum(total, high, out=total)
    return total
