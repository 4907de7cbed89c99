"""Float twins: the same training without quantization and pruning, to compare scores with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import training
from .._utils import row_blocks
from ..integer._outcome import decode

__all__ = ["Float"]


class Float:
    """What quantizes nothing, prunes nothing and predicts with the trained module."""

    def _asked(self):
        # 256 levels a segment: as good as continuous
        return replace(super()._asked(), n_in_bits=8, n_a_bits=None, n_output_sums=1, n_members=1)

    def _check_widths(self, recipe):
        """No accumulator has a width."""

    def _warn_of(self, recipes, encodings):
        """Nothing is pruned."""

    def _spec(self):
        return replace(super()._spec(), n_w_bits=None, n_rounding_bits=0)

    @property
    def module_(self):
        """The trained module, in eval mode and in float64."""
        return super().module_.double()

    def predict(self, X):
        """Predict with the float network.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets or labels
            Labels as they came to `fit`, or target values.
        """
        return decode(
            self._decision(X), getattr(self, "classes_", None), self._trained.spec.outcome
        )

    def _decision(self, X):
        X, trained = self._validated(X), self._trained
        sparse, numbers = hasattr(X, "toarray"), trained.encoding.numbers
        X = X if sparse else numbers(X, self._names)
        result = np.empty((X.shape[0], self._n_outputs()))
        for rows in row_blocks(X.shape[0], len(trained.encoding.feature)):
            block = numbers(X[rows].toarray()) if sparse else X[rows]
            levels = trained.encoding.levels(block)
            with np.errstate(over="ignore"):
                result[rows] = training.state.float_decision(trained, levels)
        return result
