"""Which weights go, or which whole neurons: one class a criterion.

What neurons do is measured on up to 1,024 training rows.  Only how far a value varies
counts: a constant moves a threshold of the next layer and needs no weight, and where codes
have their zero is arbitrary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["CRITERIA", "Criterion", "NeuronCriterion", "Seen"]


@dataclass(frozen=True, eq=False)
class Seen:
    """Values that training rows give the inputs of one layer.

    Attributes
    ----------
    values : float32 array of shape (n, n_in)
    share : float32 array of shape (n,)
        Weights of the rows; they sum to 1.
    """

    values: np.ndarray
    share: np.ndarray

    def centred(self) -> np.ndarray:
        """Deviations from each input's mean; exactly 0 for constants."""
        moved = self.values - self.values[0]
        return moved - self.share @ moved

    @cached_property
    def spread(self) -> np.ndarray:
        """Mean absolute deviation of each input, of shape (n_in,)."""
        return self.share @ np.abs(self.centred())


class Criterion:
    """Ranks the weights of every row.

    Attributes
    ----------
    needs_rows : bool
        Whether it looks at training rows.
    """

    needs_rows = False

    def rank(self, magnitude, seen: Seen | None, seed) -> np.ndarray:
        """Worth of each weight.

        Parameters
        ----------
        magnitude : float array of shape (n_out, n_in)
        seen : Seen or None
            The layer's inputs, where `needs_rows`.
        seed : sequence of int
            The same at every call for a layer.

        Returns
        -------
        float array of shape (n_out, n_in), not negative
        """
        return magnitude


class L1(Criterion):
    """Magnitude of the weight.

    References
    ----------
    S. Han et al., "Learning both weights and connections for efficient neural networks",
    NeurIPS 2015.
    """


class Random(Criterion):
    """No reason at all: the control of any comparison.

    References
    ----------
    D. Blalock et al., "What is the state of neural network pruning?", MLSys 2020.
    """

    def rank(self, magnitude, seen, seed):
        """Rank by lot, once for the whole training."""
        return np.random.default_rng(seed).random(magnitude.shape, dtype=np.float32)


class Activation(Criterion):
    """Mean of \\|weight × input\\| on training rows, the input taken from its mean.

    References
    ----------
    H. Hu et al., "Network trimming", 2016, for activations as a measure; M. Sun et al.,
    "A simple and effective pruning approach for large language models", ICLR 2024, for
    the product with the weight.
    """

    needs_rows = True

    def rank(self, magnitude, seen, seed):
        """Weigh each input by how far it varies."""
        return magnitude * seen.spread


class NeuronCriterion(Criterion):
    """Removes hidden neurons first; the weights of the others are ranked by magnitude."""

    def surviving(self, kept, keep: int, weight, seen: Seen | None) -> np.ndarray:
        """Neurons of a hidden layer that stay.

        Parameters
        ----------
        kept : bool array of shape (n_neurons,)
            Those that are still there.
        keep : int
            How many of them may stay.
        weight : float array of shape (n_neurons, n_in)
            Weights of the layer, 0 where pruned.
        seen : Seen or None
            Outputs of the neurons, where `needs_rows`.

        Returns
        -------
        bool array of shape (n_neurons,)
        """
        worth = np.where(kept, self.worth(weight, seen), -np.inf)
        stay = np.zeros(len(kept), dtype=bool)
        stay[np.argsort(-worth, kind="stable")[:keep]] = True
        return stay & kept

    def worth(self, weight, seen) -> np.ndarray:
        """What a neuron is ranked by, of shape (n_neurons,)."""
        raise NotImplementedError


class NeuronL2(NeuronCriterion):
    """L2 norm of a neuron's weights.

    References
    ----------
    H. Li et al., "Pruning filters for efficient ConvNets", ICLR 2017 (there the L1 norm).
    """

    def worth(self, weight, seen):
        """Rank by the norm of the row."""
        return np.linalg.norm(weight, axis=1)


class NeuronActivation(NeuronCriterion):
    """Mean absolute deviation of a neuron's output on training rows.

    References
    ----------
    H. Hu et al., "Network trimming: a data-driven neuron pruning approach towards
    efficient deep architectures", 2016.
    """

    needs_rows = True

    def worth(self, weight, seen):
        """Rank by how far the output varies."""
        return seen.spread


class NeuronRedundancy(NeuronCriterion):
    """Of the two neurons whose outputs correlate most, the one that varies less, repeatedly.

    Constant outputs go first.

    References
    ----------
    M. Babaeizadeh et al., "NoiseOut: a simple way to prune neural networks", 2016.
    """

    needs_rows = True

    def surviving(self, kept, keep, weight, seen):
        """Take the pairs by falling correlation; its sign does not matter."""
        stay, there = np.array(kept), np.flatnonzero(kept)
        centred = (seen.centred() * np.sqrt(seen.share)[:, None])[:, there]
        spread = np.linalg.norm(centred, axis=0)
        alike = np.abs(_correlation(centred, spread))
        np.fill_diagonal(alike, -1)
        for _ in range(len(there) - keep):
            a, b = np.unravel_index(alike.argmax(), alike.shape)
            gone = a if spread[a] < spread[b] else b
            alike[gone] = alike[:, gone] = -1
            stay[there[gone]] = False
        return stay


def _correlation(centred, spread) -> np.ndarray:
    """Correlation of columns; 2, more than any, where one of them is constant."""
    product = np.outer(spread, spread)
    constant = np.full_like(product, 2.0)
    return np.divide(centred.T @ centred, product, out=constant, where=product > 0)


CRITERIA: dict[str, Criterion] = {
    "l1": L1(),
    "random": Random(),
    "activation": Activation(),
    "neuron_l2": NeuronL2(),
    "neuron_activation": NeuronActivation(),
    "neuron_redundancy": NeuronRedundancy(),
}
