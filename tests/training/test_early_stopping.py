"""Early stopping."""

import warnings

import numpy as np
import pytest
from samples import X, Y
from skorch.callbacks import (
    Callback,
)
from trainings import Recorder, assert_proven, assert_same_state, make


class Verdict(Callback):
    """Decides what pruned epochs score: all rows positive, or negative in the fourth one."""

    def on_batch_begin(self, net, training=False, **kwargs):
        if not training and net.progress >= 1:
            self.epochs = sorted({*getattr(self, "epochs", ()), len(net.history)})
            net.module_.output.bias.data.fill_(-100.0 if len(self.epochs) == 4 else 100.0)


def test_early_stopping_restores_the_best_pruned_epoch():
    verdict, recorder = Verdict(), Recorder()
    model = make(
        max_epochs=40, early_stopping=True, validation_fraction=0.3, n_iter_no_change=40,
        callbacks=[verdict, recorder],
    ).fit(X, Y == 2)  # fmt: skip
    best = verdict.epochs[3] - 1
    scores = [record["valid_score"] for record in model.history_]
    assert scores[best] == pytest.approx(2 / 3)
    assert max(scores[:best]) > 0.8, "better before pruning, but those do not count"
    assert_same_state(model, recorder.epochs[best][1])
    assert_proven(model)


def test_patience_starts_with_the_first_pruned_epoch():
    recorder = Recorder()
    model = make(
        max_epochs=50, early_stopping=True, n_iter_no_change=2, tol=2.0, callbacks=[recorder]
    ).fit(X, Y)
    # No score can rise by 2: the first pruned epoch and two more.
    assert [pruned for pruned, _ in recorder.epochs][-4:] == [False, True, True, True]
    assert model.n_iter_ == len(recorder.epochs) < 50


def test_early_stopping_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(max_epochs=50, early_stopping=True, n_iter_no_change=1, tol=2.0).fit(X, Y)


def test_classes_without_weight_leave_the_training():
    y = np.zeros(150, dtype=int)
    y[3:13], y[13:20] = 1, 2  # few enough that the held-back rows could all be of class 0
    model = make(
        max_epochs=10,
        early_stopping=True,
        validation_fraction=0.02,
        class_weight={0: 0, 1: 1, 2: 1},
    ).fit(X, y)
    assert all(np.isfinite(record["valid_score"]) for record in model.history_)
    assert model.history_[0]["train_loss"] > 0
