"""What a fitted estimator does: predict in integers, simulate, report."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..integer._outcome import decode
from ..integer._report import accumulator_report
from ..integer._simulation import MODES

__all__ = ["IntegerPrediction"]


class IntegerPrediction:
    """The part of both estimators that runs the integer network."""

    def _decision(self, X) -> np.ndarray:
        X = self._validated(X)
        if self.accumulator_mode not in MODES:
            raise ValueError(f"accumulator_mode={self.accumulator_mode!r} must be one of {MODES}.")
        if self.accumulator_mode == "exact":
            return self.integer_network_.decision(X)
        return self.integer_network_.simulate(
            X, n_accum_bits=self.n_accum_bits, mode=self.accumulator_mode
        ).decision

    def predict(self, X):
        """Predict in integer arithmetic.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets or labels
            Labels as they came to `fit`, or target values.
        """

        def decoded(decision):
            return decode(decision, getattr(self, "classes_", None), self._trained.spec.outcome)

        if self.accumulator_mode == "exact":
            return self.integer_network_._decide(self._validated(X), finish=decoded)
        return decoded(self._decision(X))

    def simulate(self, X, *, n_accum_bits=None, mode="wrap", per="sum", order=None):
        """Predict with accumulators of a given width, and report what happened.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
        n_accum_bits : int, optional
            Width of every accumulator, 1 to 62 bits; the estimator's parameter by default.
            A neuron whose sum is never negative has an unsigned register.
        mode : {"wrap", "saturate", "raise"}
            What happens to a sum that leaves its register: two's-complement
            wrap-around, clipping, or an `AccumulatorOverflowError`.
        per : {"sum", "step"} or int, default="sum"
            When mode "saturate" clips: once, after the whole sum; after each addition; or after
            each so many products, as units do that add up 2 or 4 of them at once.
        order : sequence of one permutation or None per layer, optional
            With `per` other than "sum": the inputs of each layer in the order of its
            additions, pruned ones included; by default that of the columns of its weight in
            ``integer_network_.layers``.

        Returns
        -------
        SimulationResult
            With ``predictions``, ``overflow_count``, ``overflow_rate``,
            ``accumulator_min`` and ``accumulator_max``.
        """
        X = self._validated(X)
        bits = self.n_accum_bits if n_accum_bits is None else n_accum_bits
        return self.integer_network_.simulate(X, n_accum_bits=bits, mode=mode, per=per, order=order)

    def accumulator_report(self, X=None):
        """Tabulate limits, weights and proven widths, one row a layer.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features), optional
            Rows to observe: adds the width they need, and the overflows at the width that
            the estimator was fitted for.

        Returns
        -------
        AccumulatorReport
            Prints as text, shows as HTML in notebooks; has ``to_dict()``, ``to_frame()`` and
            ``plot()``.
        """
        check_is_fitted(self)
        network = self.integer_network_
        trained, spec = self._trained, self._trained.spec
        return accumulator_report(
            network,
            [limit.budget for limit in trained.limits],
            spec.omegas(trained.taken),
            guarantee=spec.guaranteed_bits is not None,
            observed=None if X is None else network.simulate(self._validated(X)),
        )

    def _html_repr(self) -> str:
        """scikit-learn's diagram, and under it the proof of a fitted estimator."""
        diagram = super()._html_repr()
        if not self.__sklearn_is_fitted__():
            return diagram
        return f"{diagram}<div>{self.accumulator_report()._repr_html_()}</div>"
