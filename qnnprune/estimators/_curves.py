"""Losses and scores of the epochs, as scikit-learn's multilayer perceptrons tell them."""

from __future__ import annotations

import math

from sklearn.utils.validation import check_is_fitted

__all__ = ["Curves"]


class Curves:
    """What can be read from `history_`: one number per epoch, and which epoch was kept."""

    @property
    def loss_curve_(self) -> list[float]:
        """Training loss of each epoch."""
        check_is_fitted(self)
        return [epoch["train_loss"] for epoch in self.history_]

    @property
    def validation_scores_(self) -> list[float] | None:
        """Score of the held-back rows after each epoch; NaN where none were, None if never."""
        check_is_fitted(self)
        scores = [epoch.get("valid_score", math.nan) for epoch in self.history_]
        return None if all(map(math.isnan, scores)) else scores

    @property
    def best_epoch_(self) -> int:
        """The epoch, counted from 1, whose weights the network has."""
        check_is_fitted(self)
        return self._trained.best_epoch or self.n_iter_

    @property
    def best_validation_score_(self) -> float | None:
        """Score of that epoch on the held-back rows; None where none were."""
        check_is_fitted(self)
        return self.history_[self.best_epoch_ - 1].get("valid_score")
