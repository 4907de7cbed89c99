"""What the history of a fit records."""

import numpy as np
import pytest
from samples import X, Y
from sklearn.datasets import make_regression
from trainings import make, quantizers

from qnnprune import PrunedNeuralNetRegressor


def test_history_has_one_record_an_epoch():
    model = make().fit(X, Y)
    assert model.n_iter_ == len(model.history_) == 10
    assert [record["epoch"] for record in model.history_] == list(range(1, 11))
    losses = [record["train_loss"] for record in model.history_]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert not any("valid_score" in record for record in model.history_)


def test_history_shows_how_pruning_goes():
    model = make(max_epochs=20, pruning_schedule="gradual").fit(X, Y)
    left = [record["weights_left"] for record in model.history_]
    kept = sum(int(q.mask.sum()) for q in quantizers(model))
    assert left[0] == 1.0 and left[-1] == kept / sum(q.mask.numel() for q in quantizers(model))
    assert left[-1] < 0.9 and max(left) == left[0]
    assert left[-1] < left[8] < left[5] < 1


@pytest.mark.parametrize("schedule", ["before_training", "in_training", "set"])
def test_sparse_schedules_are_sparse_from_the_first_epoch(schedule):
    model = make(max_epochs=20, pruning_schedule=schedule).fit(X, Y)
    left = [record["weights_left"] for record in model.history_]
    assert max(left) < 0.7
    assert np.ptp(left[:12]) < 0.02, "until the limits hold"


@pytest.mark.parametrize("schedule", ["one_shot", "after_training"])
def test_one_cut_after_three_fifths_of_the_epochs(schedule):
    model = make(max_epochs=20, n_a_bits=2, pruning_schedule=schedule).fit(X, Y)
    left = np.array([record["weights_left"] for record in model.history_])
    assert (left[:12] == 1).all() and left[12] < 0.9
    assert 0 <= left[12] - left[-1] < 0.02, "fine-tuning"


def test_validation_scores_are_recorded():
    model = make(early_stopping=True, validation_fraction=0.2).fit(X, Y)
    scores = [record["valid_score"] for record in model.history_]
    assert np.isin(np.round(np.array(scores) * 30, 6), range(31)).all(), "of 30 rows"
    X_r, y_r = make_regression(200, 4, noise=1.0, random_state=0)
    regressor = PrunedNeuralNetRegressor((16,), max_epochs=40, early_stopping=True, random_state=0)
    assert 0.5 < regressor.fit(X_r, y_r).history_[-1]["valid_score"] <= 1
