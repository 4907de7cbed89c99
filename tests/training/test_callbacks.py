"""A user's callbacks, and learning rates."""

import warnings

import numpy as np
import pytest
from samples import X, Y
from sklearn import config_context
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
    TrainEndCheckpoint,
)
from trainings import Recorder, assert_proven, make


def quiet(*args):
    """Takes what a callback would print."""


@pytest.mark.parametrize(
    "callback",
    [
        EpochTimer(),
        ("timer", EpochTimer()),
        GradientNormClipping(1.0),
        PrintLog(sink=quiet),
        EarlyStopping("train_loss", patience=3, sink=quiet),
        LRScheduler("StepLR", step_size=2),
        LRScheduler("CosineAnnealingLR", T_max=50, step_every="batch"),
        PassthroughScoring("seen", on_train=True),
    ],
    ids=lambda c: type(c).__name__,
)
def test_skorch_callbacks_work(callback):
    callbacks = [callback]
    if isinstance(callback, PassthroughScoring):
        callbacks.insert(0, SeenRows())
    model = make(callbacks=callbacks).fit(X, Y)
    assert_proven(model)
    assert 1 <= model.n_iter_ <= 10


class SeenRows(Callback):
    """Something to pass through."""

    def on_batch_end(self, net, training=False, **kwargs):
        net.history.record_batch("seen", 1.0)


def test_early_stopping_callback_stops():
    stop = EarlyStopping("train_loss", patience=2, threshold=0.9, sink=quiet)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a stop that was asked for is no interrupt
        model = make(callbacks=[stop]).fit(X, Y)
    assert model.n_iter_ < 10
    assert_proven(model)


def test_checkpoints(tmp_path):
    callbacks = [
        Checkpoint(monitor="train_loss_best", dirname=tmp_path / "best"),
        TrainEndCheckpoint(dirname=tmp_path / "end"),
    ]
    make(callbacks=callbacks).fit(X, Y)
    assert (tmp_path / "best" / "params.pt").exists()
    assert (tmp_path / "end" / "train_end_params.pt").exists()


def mean_output(net, X, y=None):
    return 1.0


@pytest.mark.parametrize("scoring", ["accuracy", mean_output])
def test_epoch_scoring(scoring):
    callbacks = [EpochScoring(scoring, name="mine", on_train=False, lower_is_better=False)]
    model = make(callbacks=callbacks, early_stopping=True, max_epochs=3).fit(X, Y)
    assert all(0 <= record["mine"] <= 1 for record in model.history_)


@pytest.mark.parametrize("named", [False, True])
def test_a_users_schedule_replaces_the_default_one(named):
    rates = []

    class Rates(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    make(callbacks=[("lr", schedule) if named else schedule, Rates()], lr=0.08, max_epochs=4).fit(
        X, Y
    )
    np.testing.assert_allclose(rates, np.repeat([0.08, 0.04, 0.02, 0.01], 5), rtol=1e-6)


def learning_rates(**settings):
    rates = []

    class Rates(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                rates.append(net.optimizer_.param_groups[0]["lr"])

    make(callbacks=[Rates()], lr=0.01, **settings).fit(X, Y)
    return rates


@pytest.mark.parametrize(("max_epochs", "first"), [(20, 13), (5, 4), (1, 1), (2, 2)])
def test_after_training_has_two_learning_rate_schedules(max_epochs, first):
    # The limits hold first after the epoch that begins at 60 %: the cut ends a training.
    rates = learning_rates(max_epochs=max_epochs, pruning_schedule="after_training")
    per_epoch = len(rates) // max_epochs
    parts = rates[: first * per_epoch], rates[first * per_epoch :]
    expected = [learning_rates(max_epochs=len(part) // per_epoch) for part in parts if part]
    np.testing.assert_allclose(rates, np.concatenate(expected), rtol=1e-9)


def test_default_schedule_warms_up_and_fades():
    rates = learning_rates(max_epochs=20)
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(0.01, rel=0.01) and 0 < peak < len(rates) / 4
    assert (np.diff(rates[: peak + 1]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 1e-4


def test_callbacks_work_with_metadata_routing():
    with config_context(enable_metadata_routing=True):
        routed = make(early_stopping=True).fit(X, Y, sample_weight=np.ones(150))
    plain = make(early_stopping=True).fit(X, Y)
    np.testing.assert_array_equal(routed.decision_function(X), plain.decision_function(X))


def test_frozen_parameters_stay():
    recorder = Recorder()
    make(callbacks=[Freezer("hidden.0.norm.weight"), recorder]).fit(X, Y)
    for _, state in recorder.epochs:
        assert (state["hidden.0.norm.weight"] == 1).all()
        assert not (state["hidden.1.norm.weight"] == 1).all()
