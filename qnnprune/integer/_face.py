"""A network as a fitted estimator: what scikit-learn asks one for, without scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._outcome import log_probabilities

__all__ = ["EstimatorFace"]


class EstimatorFace:
    """What makes a network the last step of a pipeline, or an estimator that is scored.

    It is fitted already and stays as it is: `fit` changes nothing, and a clone is the network
    itself, as with scikit-learn's ``FrozenEstimator``.
    """

    # What the network brings.
    classes: Any
    feature_names: Any
    encoding: Any
    outcome: str
    decision: Callable[..., np.ndarray]
    predict: Callable[..., np.ndarray]

    def fit(self, X, y=None, **parameters):
        """Change nothing.

        Parameters
        ----------
        X, y : array-like
            Ignored.
        **parameters
            Ignored.

        Returns
        -------
        self
        """
        return self

    def get_params(self, deep: bool = True) -> dict:
        """Parameters that can be set: none.

        Parameters
        ----------
        deep : bool
            Ignored.

        Returns
        -------
        dict
        """
        return {}

    def set_params(self, **parameters):
        """Refuse any parameter.

        Parameters
        ----------
        **parameters
            None is known.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one.
        """
        if parameters:
            raise ValueError(
                f"An IntegerNetwork has no parameters, so {sorted(parameters)} cannot be set: fit "
                "an estimator anew."
            )
        return self

    @property
    def classes_(self) -> np.ndarray:
        """Labels of a classifier; a regressor has no such attribute."""
        if self.classes is None:
            raise AttributeError("A regressor has no classes_.")
        return np.asarray(self.classes)

    @property
    def n_features_in_(self) -> int:
        """Number of columns that X must have."""
        return self.encoding.n_features

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the columns, where they are known; else there is no such attribute."""
        if self.feature_names is None:
            raise AttributeError("The network was fitted without names of columns.")
        return np.asarray(self.feature_names, dtype=object)

    def predict_proba(self, X) -> np.ndarray:
        """Probabilities of the classes, or of each label, in the order of `classes`.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_classes)

        Raises
        ------
        ValueError
            If the network is a regressor.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X) -> np.ndarray:
        """Logarithms of what `predict_proba` returns.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_classes)

        Raises
        ------
        ValueError
            If the network is a regressor.
        """
        if self.classes is None:
            raise ValueError("This network is a regressor and has no classes: use predict.")
        return log_probabilities(self.decision(X), len(self.classes), self.outcome)

    def decision_function(self, X) -> np.ndarray:
        """Logits of a classifier, as its estimator returns them.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples,) for one or two classes, else (n_samples, n_classes)
        """
        decision = self.decision(X)
        return decision[:, 0] if decision.shape[1] == 1 else decision

    def score(self, X, y, sample_weight=None) -> float:
        """Accuracy of a classifier, for several labels of whole rows; R² of a regressor.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) of targets or labels
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
            For several targets or quantiles the mean of their R².
        """
        y, predicted = np.asarray(y), self.predict(X)
        if self.classes is not None:
            right = (predicted == y).reshape(len(predicted), -1).all(axis=1)
            return float(np.average(right, weights=sample_weight))
        y, predicted = (values.reshape(len(values), -1) for values in (y, predicted))
        residual = np.average((y - predicted) ** 2, axis=0, weights=sample_weight)
        mean = np.average(y, axis=0, weights=sample_weight)
        spread = np.average((y - mean) ** 2, axis=0, weights=sample_weight)
        return float(np.mean(1 - residual / spread))

    def __sklearn_clone__(self):
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self):
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        is_classifier = self.classes is not None
        return Tags(
            estimator_type="classifier" if is_classifier else "regressor",
            target_tags=TargetTags(required=False),
            classifier_tags=(
                ClassifierTags(multi_label=self.outcome == "labels") if is_classifier else None
            ),
            regressor_tags=None if is_classifier else RegressorTags(),
            input_tags=InputTags(sparse=True, allow_nan=True, categorical=True, string=True),
            requires_fit=False,
        )
