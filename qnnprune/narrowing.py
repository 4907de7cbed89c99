"""Narrower accumulators for an estimator that is fitted already, without starting again."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from .start import Start

__all__ = ["Narrowing", "NarrowingCurve"]


@dataclass(frozen=True)
class NarrowingCurve:
    """Scores of an estimator on its way to narrower accumulators.

    Attributes
    ----------
    n_accum_bits : tuple of int
        Widths that were tried, in bits, from the one that it came with down.
    score : tuple of float
        Accuracy or R² at each, on the rows that were held back.
    nonzeros : tuple of int
        Weights left at each, a count.
    best : int
        The smallest width whose score is within the tolerance, in bits.
    """

    n_accum_bits: tuple[int, ...]
    score: tuple[float, ...]
    nonzeros: tuple[int, ...]
    best: int

    def to_dict(self) -> dict[str, list]:
        """Columns, as `pandas.DataFrame` takes them."""
        names = ("n_accum_bits", "score", "nonzeros")
        return {name: list(getattr(self, name)) for name in names}


class Narrowing:
    """The part of both estimators that prunes further."""

    def prune(self, X, y, *, n_accum_bits: int | None = None, max_epochs=None, sample_weight=None):
        """Prune a fitted estimator further and fine-tune it.

        Training goes on from the weights, the encoding and the labels of the last fit, along
        `pruning_schedule`; weights that are pruned already stay away.  To prune for a count,
        set `n_hidden_neurons_multiplier` first.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regression
        n_accum_bits : int, optional
            New width of every accumulator, in bits; becomes the estimator's parameter.  As it
            is by default.
        max_epochs : int, optional
            Epochs of this training; the estimator's parameter by default.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing to prune yet.
        ValueError
            If the width leaves no weight to a neuron.  The estimator stays as it was.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from qnnprune import PrunedNeuralNetClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = PrunedNeuralNetClassifier((16,), max_epochs=10, random_state=0).fit(X, y)
        >>> net.prune(X, y, n_accum_bits=5).n_accum_bits
        5
        """
        check_is_fitted(self)
        kept = self.max_epochs
        with self._unchanged_on_failure():
            self.max_epochs = kept if max_epochs is None else max_epochs
            self.n_accum_bits = self.n_accum_bits if n_accum_bits is None else n_accum_bits
            self._validate_params()
            self._fit(X, y, sample_weight, Start(going_on=True, narrower=True))
            self.max_epochs = kept
        return self

    def narrow_accumulator(
        self, X, y, *, tol: float = 0.01, X_valid=None, y_valid=None, least: int = 2,
        max_epochs=None,
    ) -> NarrowingCurve:  # fmt: skip
        """Find the smallest accumulator that keeps the score, and prune to it.

        Goes down bit by bit, each time by `prune` from the network before, until the score
        falls more than `tol` below that of the estimator as it came.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regression
        tol : float
            Accuracy or R² that may be lost.
        X_valid, y_valid : optional
            Rows to score on, best ones that `fit` has not seen.  By default a share of X
            (`validation_fraction`) is held back from pruning, which `fit` may have seen: the
            scores are then too good, the first one most.
        least : int
            Width to stop at, in bits.
        max_epochs : int, optional
            Epochs of training at each width; the estimator's parameter by default.

        Returns
        -------
        NarrowingCurve
            The estimator itself is left at the width ``best``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing to prune yet.
        ValueError
            If `tol` is negative, `least` is no width, or only one of X_valid and y_valid is given.
        """
        check_is_fitted(self)
        _check_search(tol, least, X_valid, y_valid)
        if X_valid is None:
            X, X_valid, y, y_valid = train_test_split(
                X, y, test_size=self.validation_fraction, random_state=0
            )
        tried = [(self.n_accum_bits, self.score(X_valid, y_valid), _nonzeros(self))]
        best, current = self, copy.deepcopy(self)
        for bits in range(self.n_accum_bits - 1, max(least, *self._input_bits()) - 1, -1):
            current.prune(X, y, n_accum_bits=bits, max_epochs=max_epochs)
            tried.append((bits, current.score(X_valid, y_valid), _nonzeros(current)))
            if tried[-1][1] < tried[0][1] - tol:
                break
            best = copy.deepcopy(current)
        self.__dict__.update(best.__dict__)
        return NarrowingCurve(*zip(*tried, strict=True), best=self.n_accum_bits)


def _check_search(tol, least, X_valid, y_valid) -> None:
    if not tol >= 0:
        raise ValueError(f"tol={tol!r} must be 0 or more: a loss of accuracy or R².")
    if isinstance(least, bool) or not isinstance(least, Integral) or least < 1:
        raise ValueError(f"least={least!r} must be a width in bits, 1 or more.")
    if (X_valid is None) != (y_valid is None):
        raise ValueError("X_valid and y_valid belong together: pass both or neither.")


def _nonzeros(estimator) -> int:
    return sum(np.count_nonzero(layer.weight) for layer in estimator.integer_network_.layers)
