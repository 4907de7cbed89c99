"""Narrower accumulators for an estimator that is fitted already, without starting again."""

from __future__ import annotations

import math
import warnings
from copy import copy
from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import check_is_fitted

from .._utils import Tabular, display, user_stacklevel
from ..exceptions import FewWeightsWarning
from ..training.rows import hold_out
from ..training.spec import Mode
from ._labels import is_matrix

__all__ = ["Narrowing", "NarrowingCurve"]


@dataclass(frozen=True)
class NarrowingCurve(Tabular):
    """Scores of an estimator on its way to narrower accumulators.

    Attributes
    ----------
    n_accum_bits : tuple of int
        Widths that were tried, in bits, from the one down that was proven already.
    score : tuple of float
        Accuracy or R² at each, on the rows to score on.
    nonzeros : tuple of int
        Weights left at each, a count.
    best : int
        The smallest width that is proven and whose score is within the tolerance, in bits.
    """

    n_accum_bits: tuple[int, ...]
    score: tuple[float, ...]
    nonzeros: tuple[int, ...]
    best: int

    def to_dict(self) -> dict[str, list]:
        """Columns, as `pandas.DataFrame` takes them.

        Returns
        -------
        dict of str to list
            Widths, scores and weights, one entry per width in each list.
        """
        names = ("n_accum_bits", "score", "nonzeros")
        return {name: list(getattr(self, name)) for name in names}

    def plot(self, *, ax=None):
        """Draw score and weights against the width; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            One, or two for the two panels.

        Returns
        -------
        qnnprune.inspection.NarrowingDisplay
        """
        return display("NarrowingDisplay").from_curve(self, ax=ax)


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
            New width of every accumulator, in bits, at most the one fitted for; becomes the
            estimator's parameter.  As it is by default.
        max_epochs : int, optional
            Epochs of this training; the estimator's parameter by default.  Its "auto" is as
            many as the first `fit` took.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing to prune yet.
        ValueError
            If the width leaves no weight to a neuron, or is wider than before.  The estimator
            stays as it was.

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
        kept, fitted_for = self.max_epochs, self.integer_network_.n_accum_bits
        with self._unchanged_on_failure():
            self.max_epochs = kept if max_epochs is None else max_epochs
            self.n_accum_bits = self.n_accum_bits if n_accum_bits is None else n_accum_bits
            self._validate_params()
            if self.n_accum_bits > fitted_for:
                raise ValueError(
                    f"n_accum_bits={self.n_accum_bits} is wider than the {fitted_for} bits that "
                    "the estimator was fitted for, and pruned weights do not come back: prune to "
                    f"{fitted_for} bits or fewer, or fit anew."
                )
            self._fit(X, y, sample_weight, Mode.PRUNE)
            self.max_epochs = kept
        return self

    def narrow_accumulator(
        self, X, y, *, tol: float = 0.01, X_valid=None, y_valid=None, least: int = 2,
        max_epochs=None,
    ) -> NarrowingCurve:  # fmt: skip
        """Find the smallest accumulator that keeps the score, and prune to it.

        Goes down bit by bit, each time by `prune` from the network before, until the score
        falls more than `tol` below that of the estimator as it came.  The first width is the one
        that is proven already.  A width counts only where
        it holds for every input; without the guarantee pruning may not see to that.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regression
            All rows weigh the same.
        tol : float
            Accuracy or R² that may be lost.
        X_valid, y_valid : optional
            Rows to score on, best ones that `fit` has not seen.  By default a share of X
            (`validation_fraction`, two rows or more) is held back from pruning, which `fit` may
            have seen: the scores are then too good, the first one most.
        least : int
            Width to stop at, in bits.
        max_epochs : int, optional
            Epochs of training at each width; by default as in `prune`.

        Returns
        -------
        NarrowingCurve
            The estimator itself is left at the width ``best``.  The search also ends at the
            first width that leaves no weight to a neuron, and after an interrupt.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is nothing to prune yet.
        ValueError
            If `tol` is negative, `least` is no width, only one of X_valid and y_valid is given,
            there are too few rows, or the width that was fitted for does not hold for every input.
        """
        check_is_fitted(self)
        _check_search(tol, least, X_valid, y_valid)
        self._validate_params()
        self._check_unchanged(self._trained)
        n_accum_bits = self.integer_network_.n_accum_bits
        if not _is_proven(self):
            raise ValueError(
                f"n_accum_bits={n_accum_bits} does not hold for every input, so there is no width to "
                "start from: prune(X, y) with accumulator_guarantee=True first."
            )
        if X_valid is None:
            X, X_valid, y, y_valid = self._hold_back(X, y)
        best = self._at_proven_width(least)
        proven = best.n_accum_bits
        tried = [(proven, best.score(X_valid, y_valid), best.integer_network_.nonzeros)]
        for bits in range(proven - 1, least - 1, -1):
            net = copy(best)
            score = net._prune_and_score(bits, (X, y), (X_valid, y_valid), max_epochs)
            if score is None:
                break
            tried.append((bits, score, net.integer_network_.nonzeros))
            if not (_is_proven(net) and score >= tried[0][1] - tol):
                break
            best = net
        vars(self).update(vars(best))
        return NarrowingCurve(*zip(*tried, strict=True), best=self.n_accum_bits)

    def _at_proven_width(self, least: int):
        """A copy with the narrowest accumulator that its network fits as it is."""
        net, network = copy(self), self.integer_network_
        net.n_accum_bits = network.n_accum_bits
        if self.n_hidden_neurons_multiplier is not None:  # Omega, and so the count, has that width
            return net
        codes = max(self.n_in_bits_, self.n_a_bits_, self.n_rounding_bits + 1)
        net.n_accum_bits = min(network.n_accum_bits, max(network.proven_bits, codes, least))
        spec = replace(net._spec(), callbacks=())
        net._become_fitted(replace(self._trained, spec=spec), Mode.PRUNE)
        return net

    def _prune_and_score(self, n_accum_bits, train, valid, max_epochs) -> float | None:
        """Score at a width; None where it leaves no weight, or after an interrupt."""
        self.n_accum_bits = n_accum_bits
        try:
            self._check_widths(self._trained.taken)
        except ValueError:
            return None
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", "Training was interrupted", ConvergenceWarning)
                warnings.simplefilter("ignore", FewWeightsWarning)
                self.prune(*train, max_epochs=max_epochs)
            return self.score(*valid)
        except (KeyboardInterrupt, ConvergenceWarning):
            warnings.warn(
                f"The search was interrupted on the way to {n_accum_bits} bits; it ends with the "
                "best of the widths before.",
                ConvergenceWarning,
                stacklevel=user_stacklevel(),
            )
            return None

    def _hold_back(self, X, y):
        """Rows to train on and rows to score on, each of X, then of y."""
        X, y = indexable(X, y)
        n_held = max(2, math.ceil(self.validation_fraction * len(y)))
        labels = None
        if is_classifier(self) and not is_matrix(y):
            labels = np.unique(np.asarray(y), return_inverse=True)[1]
        parts = hold_out(len(y), n_held, labels=labels, random_state=0)
        if parts is None:
            raise ValueError(
                f"X has too few rows to hold {n_held} of {len(y)} back (the only row of a label "
                "stays): pass X_valid and y_valid."
            )
        return [_safe_indexing(a, index) for a in (X, y) for index in parts]


def _check_search(tol, least, X_valid, y_valid) -> None:
    if not isinstance(tol, Real) or not tol >= 0:
        raise ValueError(f"tol={tol!r} must be 0 or more: a loss of accuracy or R².")
    if isinstance(least, bool) or not isinstance(least, Integral) or least < 1:
        raise ValueError(f"least={least!r} must be a width in bits, 1 or more.")
    if (X_valid is None) != (y_valid is None):
        raise ValueError("X_valid and y_valid belong together: pass both or neither.")


def _is_proven(estimator) -> bool:
    network = estimator.integer_network_
    return network.proven_bits <= network.n_accum_bits
