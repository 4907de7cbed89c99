"""Training that ends early: by patience, and by callbacks."""

import warnings

import numpy as np
import pytest
from samples import X, Y
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring
from trainings import Recorder, assert_proven, assert_same_state, make

from qnnprune import PrunedNeuralNetClassifier


class Verdict(Callback):
    """Decides what pruned epochs score: all rows positive, or negative in the fourth one."""

    def on_batch_begin(self, net, training=False, **kwargs):
        if not training and net.progress >= 1:
            self.epochs = sorted({*getattr(self, "epochs", ()), len(net.history)})
            net.module_.output.bias.data.fill_(-100.0 if len(self.epochs) == 4 else 100.0)


class Stop(Callback):
    """Stops training after some epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) in self.epochs:
            raise KeyboardInterrupt


class Rates(Callback):
    """Keeps the learning rate of every step, by epochs."""

    def on_train_begin(self, net, **kwargs):
        self.epochs = []

    def on_epoch_begin(self, net, **kwargs):
        self.epochs.append([])

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.epochs[-1].append(net.optimizer_.param_groups[0]["lr"])


def silent_fit(model, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return model.fit(X, y)


# ---------------------------------------------------------------- patience


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


DIGITS = train_test_split(*load_digits(return_X_y=True), random_state=0)


def fit_digits(**settings):
    X_train, X_test, y_train, y_test = DIGITS
    net = PrunedNeuralNetClassifier((64,), early_stopping=True, random_state=0, **settings)
    net.fit(X_train, y_train)
    return net.n_iter_, net.score(X_test, y_test)


def test_max_epochs_may_be_a_bound_that_is_never_reached():
    n_epochs, score = fit_digits(max_epochs=500, n_accum_bits=6)
    assert n_epochs < 130 and score > 0.93


def test_a_plateau_before_the_limits_hold_begins_pruning():
    recorder = Recorder()
    model = make(
        max_epochs=500, early_stopping=True, n_iter_no_change=3, tol=2.0, callbacks=[recorder],
        pruning_schedule="gradual",
    )  # fmt: skip
    silent_fit(model)
    # No score can rise by 2.  Dense training ends with the third epoch after the first; a training
    # of 40 epochs prunes in 20 of them; then the first pruned epoch and three more.
    left = [record["weights_left"] for record in model.history_]
    assert left[:4] == [1.0] * 4 and 1 > left[9] > left[20] > left[-1]
    assert [pruned for pruned, _ in recorder.epochs] == [False] * (4 + 20) + [True] * 4
    assert_proven(model)


def test_trainings_of_a_usual_length_are_not_shortened():
    impatient = make(max_epochs=40, early_stopping=True, n_iter_no_change=20, tol=2.0).fit(X, Y)
    assert impatient.n_iter_ == 40


# --------------------------------------------------------------- callbacks


@pytest.mark.parametrize(("bits", "least"), [(8, 0.97), (6, 0.93), (5, 0.87)])
def test_a_callback_that_stops_early_leaves_time_to_prune_and_fine_tune(bits, least):
    n_epochs, score = fit_digits(max_epochs=100, n_accum_bits=bits, callbacks=[EarlyStopping()])
    assert n_epochs < 75 and score > least


@pytest.mark.parametrize(
    "schedule", ["gradual", "one_shot", "after_training", "before_training", "in_training", "set"]
)
def test_a_stop_before_the_limits_hold_shortens_the_rest(schedule):
    recorder, rates = Recorder(), Rates()
    model = make(
        max_epochs=40, n_a_bits=2, pruning_schedule=schedule, callbacks=[Stop([8]), recorder, rates]
    )
    silent_fit(model)
    # A fifth of the schedule is done, and half of the 32 epochs that are left do the rest: pruning
    # half of them, fine-tuning half of them.
    assert [pruned for pruned, _ in recorder.epochs] == [False] * (8 + 8) + [True] * 8
    assert model.n_iter_ == len(recorder.epochs) == 24
    left = [record["weights_left"] for record in model.history_]
    assert max(left[16:]) < 0.95 and np.ptp(left[16:]) < 0.02
    assert_same_state(model, recorder.epochs[-1][1])
    assert_proven(model)
    assert rates.epochs[-1][-1] < 2e-4, "rates have faded"


def test_a_shortened_rest_goes_on_from_the_rate_that_it_finds():
    rates, plain = Rates(), Rates()
    make(max_epochs=40, callbacks=[Stop([8]), rates]).fit(X, Y)
    make(max_epochs=40, callbacks=[plain]).fit(X, Y)
    assert rates.epochs[:8] == plain.epochs[:8]
    np.testing.assert_allclose(rates.epochs[8][0], plain.epochs[8][0], rtol=1e-9)
    steps = np.concatenate(rates.epochs[8:])
    assert (np.diff(steps) < 0).all()
    # Twice as fast: every step of it is every other one of the plain schedule.
    np.testing.assert_allclose(steps, np.concatenate(plain.epochs[8:])[::2], rtol=1e-6)


def test_a_callback_that_asks_again_and_again_shortens_the_rest_once():
    once = silent_fit(make(max_epochs=40, callbacks=[Stop([8])]))
    always = silent_fit(make(max_epochs=40, callbacks=[Stop(range(8, 41))]))
    assert always.n_iter_ == once.n_iter_ == 24
    np.testing.assert_array_equal(once.decision_function(X), always.decision_function(X))


@pytest.mark.parametrize("epoch", [26, 33, 40])
def test_a_stop_once_the_limits_hold_is_one(epoch):
    recorder = Recorder()
    model = silent_fit(make(max_epochs=40, callbacks=[Stop([epoch]), recorder]))
    assert model.n_iter_ == epoch
    assert_same_state(model, recorder.epochs[-1][1])


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5, 6, 7])
def test_stops_of_short_trainings(epoch):
    model = silent_fit(make(max_epochs=7, callbacks=[Stop([epoch])]))
    assert model.n_iter_ <= 7
    assert_proven(model)


def test_stops_of_further_training():
    model = make(max_epochs=20, n_accum_bits=8).fit(X, Y)
    model.set_params(callbacks=[Stop([5])])
    assert silent_fit(model.set_params(warm_start=True)).n_iter_ == 25, "the limits hold"
    model.prune(X, Y, n_accum_bits=5)
    assert model.n_iter_ == 25 + 13, "half of what was left of 20"
    assert_proven(model)
    assert silent_fit(make(max_epochs=20, callbacks=[Stop([5])]).float_twin()).n_iter_ == 5


def test_every_callback_sees_the_epoch_after_which_one_stops():
    recorder = Recorder()
    make(max_epochs=40, callbacks=[Stop([8, 30]), recorder]).fit(X, Y)
    assert len(recorder.epochs) == 24
    make(max_epochs=40, callbacks=[Stop([30]), recorder]).fit(X, Y)
    assert len(recorder.epochs) == 24 + 30


def test_what_is_best_is_open_again_once_the_limits_hold():
    early = EarlyStopping("valid_loss", patience=100)
    score = EpochScoring("accuracy", name="mine", lower_is_better=False)
    flags = []

    class Flags(Callback):
        def on_epoch_end(self, net, **kwargs):
            best = [
                net.history[-1][f"{name}_best"] for name in ("train_loss", "valid_score", "mine")
            ]
            flags.append((net.progress >= 1, *best, early.misses_))

    make(
        max_epochs=20, early_stopping=True, n_iter_no_change=40, callbacks=[score, early, Flags()]
    ).fit(X, Y)
    first = [pruned for pruned, *_ in flags].index(True)
    assert flags[first] == (True, True, True, True, 0)
    assert any(misses for *_, misses in flags), "else this shows nothing"


@pytest.mark.parametrize("monitor", ["train_loss_best", "valid_loss_best", "valid_score_best"])
def test_a_checkpoint_brings_back_the_best_epoch_at_the_limits(tmp_path, monitor):
    recorder = Recorder()
    best = Checkpoint(monitor, dirname=tmp_path, load_best=True)
    model = make(
        max_epochs=30, early_stopping=True, n_iter_no_change=30, callbacks=[recorder, best]
    ).fit(X, Y)
    assert recorder.epochs[model.n_iter_ - 1][0], "that epoch respects the limits"
    assert_same_state(model, recorder.epochs[model.n_iter_ - 1][1])
    assert_proven(model)


def test_early_stopping_brings_back_the_best_epoch_at_the_limits():
    recorder = Recorder()
    stop = EarlyStopping("valid_loss", patience=3, load_best=True)
    model = make(
        max_epochs=60, early_stopping=True, n_iter_no_change=60, callbacks=[recorder, stop]
    ).fit(X, Y)
    assert recorder.epochs[stop.best_epoch_ - 1][0]
    assert_same_state(model, recorder.epochs[stop.best_epoch_ - 1][1])
