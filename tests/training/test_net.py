"""Training: what an epoch leaves behind, interrupts, callbacks, silence, random state."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
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

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.accumulators import accumulator_bits, accumulator_range

X, Y = load_iris(return_X_y=True)
ACCUM_BITS = 5


def make(**changes):
    settings = {"n_accum_bits": ACCUM_BITS, "max_epochs": 10, "random_state": 0} | changes
    return PrunedNeuralNetClassifier((16, 8), **settings)


def quiet(*args):
    """Takes what a callback would print."""


def assert_proven(model):
    for layer in model.integer_network_.layers:
        ranges = accumulator_range(layer.weight, layer.input_range)
        assert accumulator_bits(ranges).max() <= ACCUM_BITS
        assert np.abs(layer.weight).max() <= 1


class Recorder(Callback):
    """Keeps every epoch's weights, and whether they respect the final limits."""

    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, net, **kwargs):
        state = {k: v.detach().clone().numpy() for k, v in net.module_.state_dict().items()}
        self.epochs.append((net.progress >= 1, state))


def assert_same_state(model, state):
    for key, value in model.module_.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key], err_msg=key)


# ----------------------------------------------------------------- history


def test_history_has_one_record_an_epoch():
    model = make().fit(X, Y)
    assert model.n_iter_ == len(model.history_) == 10
    assert [record["epoch"] for record in model.history_] == list(range(1, 11))
    losses = [record["train_loss"] for record in model.history_]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    assert not any("valid_score" in record for record in model.history_)


def test_history_shows_how_pruning_goes():
    model = make(max_epochs=20).fit(X, Y)
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
    model = make(max_epochs=20, pruning_schedule=schedule).fit(X, Y)
    left = np.array([record["weights_left"] for record in model.history_])
    assert (left[:12] == 1).all() and left[12] < 0.9
    assert 0 <= left[12] - left[-1] < 0.02, "fine-tuning"


def quantizers(model):
    return [linear.weight_quant.tensor_quant for linear in model.module_.linears]


def test_validation_scores_are_recorded():
    model = make(early_stopping=True, validation_fraction=0.2).fit(X, Y)
    scores = [record["valid_score"] for record in model.history_]
    assert np.isin(np.round(np.array(scores) * 30, 6), range(31)).all(), "of 30 rows"
    X_r, y_r = make_regression(200, 4, noise=1.0, random_state=0)
    regressor = PrunedNeuralNetRegressor((16,), max_epochs=40, early_stopping=True, random_state=0)
    assert 0.5 < regressor.fit(X_r, y_r).history_[-1]["valid_score"] <= 1


# ---------------------------------------------------------- early stopping


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


# -------------------------------------------------------------- interrupts


class Interrupt(Callback):
    """Ctrl-C at one moment of one epoch."""

    def __init__(self, epoch, moment="on_batch_end", batch=2, error=KeyboardInterrupt):
        self.epoch, self.moment, self.batch, self.error = epoch, moment, batch, error

    def on_batch_end(self, net, training=False, **kwargs):
        self._raise("on_batch_end", net, len(net.history[-1]["batches"]) == self.batch)

    def on_grad_computed(self, net, **kwargs):
        self._raise("on_grad_computed", net, len(net.history[-1]["batches"]) == self.batch)

    def on_epoch_begin(self, net, **kwargs):
        self._raise("on_epoch_begin", net)

    def on_train_begin(self, net, **kwargs):
        if self.moment == "on_train_begin":
            raise self.error

    def _raise(self, moment, net, now=True):
        if moment == self.moment and now and len(net.history) == self.epoch:
            raise self.error


@pytest.mark.parametrize("epoch", [2, 5, 10])
@pytest.mark.parametrize("moment", ["on_batch_end", "on_grad_computed", "on_epoch_begin"])
def test_interrupt_leaves_the_last_whole_epoch(epoch, moment):
    recorder = Recorder()
    model = make(callbacks=[recorder, Interrupt(epoch, moment)], max_epochs=10)
    with pytest.warns(ConvergenceWarning, match=f"epoch {epoch} of 10"):
        model.fit(X, Y)
    assert_proven(model)
    assert model.score(X, Y) == np.mean(model.simulate(X).predictions == Y)
    assert model.n_iter_ == len(model.history_) == epoch - 1
    assert all("train_loss" in record for record in model.history_)
    pruned, state = recorder.epochs[epoch - 2]
    if pruned:
        assert_same_state(model, state)
    for key in ("hidden.0.norm.running_mean", "output.bias"):  # what no pruning changes
        np.testing.assert_array_equal(model.module_.state_dict()[key], state[key])


@pytest.mark.parametrize(
    "moment", ["on_train_begin", "on_epoch_begin", "on_grad_computed", "on_batch_end"]
)
def test_interrupt_before_the_first_whole_epoch_fails(moment):
    model = make(callbacks=[Interrupt(1, moment)])
    before = dict(vars(model))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert vars(model) == before


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupt_leaves_an_earlier_fit(method):
    model = make(warm_start=True).fit(X, Y)
    model.set_params(callbacks=[Interrupt(1)])
    before = dict(vars(model))
    predictions = model.predict(X)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(X, Y)
    after = dict(vars(model))
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before if key != "_module")
    np.testing.assert_array_equal(model.predict(X), predictions)


def test_interrupted_further_training_goes_on_as_if_nothing_happened():
    first, second = (make().fit(X, Y) for _ in range(2))
    second.set_params(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        second.partial_fit(X, Y)
    second.set_params(callbacks=None)
    for model in (first, second):
        model.partial_fit(X, Y)
    assert_same_state(first, {k: v.numpy() for k, v in second.module_.state_dict().items()})


def test_error_in_a_callback_is_the_users_to_see():
    model = make(callbacks=[Interrupt(2, error=ZeroDivisionError)])
    before = dict(vars(model))
    with pytest.raises(ZeroDivisionError):
        model.fit(X, Y)
    assert vars(model) == before


# --------------------------------------------------------------- callbacks


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


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop])
def test_optimizers(optimizer):
    assert make(optimizer=optimizer, max_epochs=20, lr=0.02).fit(X, Y).score(X, Y) > 0.8


def test_weight_decay_reaches_weights_alone():
    heavy, light = (make(alpha=alpha, lr=0.01).fit(X, Y).module_ for alpha in (50.0, 0.0))
    for a, b in zip(heavy.linears, light.linears, strict=True):
        assert a.weight.detach().abs().mean() < 0.5 * b.weight.detach().abs().mean()
    assert heavy.hidden[0].norm.weight.detach().abs().min() > 0.5


def test_divergence_is_an_error_that_names_lr():
    for lr in (1e10, 1e300):
        with pytest.raises(ValueError, match=r"\blr\b"):
            make(lr=lr).fit(X, Y)


# ------------------------------------------------------- silence and state


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"n_accum_bits": 5}])
def test_a_normal_fit_is_silent(settings, capfd):
    torch.set_warn_always(True)  # else torch warns once a process, whoever sees it first
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = make(**settings).fit(X, Y)
            model.partial_fit(X, Y).predict(X)
    finally:
        torch.set_warn_always(False)
    assert capfd.readouterr() == ("", "")


def test_progress_bar(capfd):
    make(verbose=1, early_stopping=True).fit(X, Y)
    out, err = capfd.readouterr()
    assert out == ""
    assert "10/10" in err
    for text in ("loss=", "score=", "weights left="):
        assert text in err


def test_progress_bar_is_closed_after_an_interrupt(capfd):
    with pytest.warns(ConvergenceWarning):
        make(verbose=1, callbacks=[Interrupt(3)]).fit(X, Y)
    assert capfd.readouterr().err.endswith("\n")


def numpy_state():
    return str(np.random.get_state())  # noqa: NPY002


def test_global_random_state_is_untouched():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = random.getstate(), numpy_state(), torch.get_rng_state()
    make(early_stopping=True).fit(X, Y).partial_fit(X, Y).module_  # noqa: B018
    assert random.getstate() == before[0]
    assert numpy_state() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_global_random_state_is_not_used():
    models = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        models.append(make().fit(X, Y))
    np.testing.assert_array_equal(*(model.decision_function(X) for model in models))


def test_fits_in_threads_do_not_disturb_each_other():
    # joblib's threading backend, for instance.
    expected = make(max_epochs=2).fit(X, Y).decision_function(X)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: make(max_epochs=2).fit(X, Y).decision_function(X), range(16))
        )
    assert all(np.array_equal(f, expected) for f in found)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("n_rows", [2, 3, 5, 40])
def test_any_batch_size(batch_size, n_rows):
    rows = np.linspace(0, 149, n_rows).astype(int)
    assert_proven(make(batch_size=batch_size, max_epochs=2).fit(X[rows], Y[rows]))


def test_torchs_default_type_makes_no_difference():
    expected = make().fit(X, Y).integer_network_
    torch.set_default_dtype(torch.float64)
    try:
        found = make().fit(X, Y).integer_network_
    finally:
        torch.set_default_dtype(torch.float32)
    for mine, theirs in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_array_equal(mine.weight, theirs.weight)
        np.testing.assert_array_equal(mine.thresholds, theirs.thresholds)


def test_frozen_parameters_stay():
    recorder = Recorder()
    make(callbacks=[Freezer("hidden.0.norm.weight"), recorder]).fit(X, Y)
    for _, state in recorder.epochs:
        assert (state["hidden.0.norm.weight"] == 1).all()
        assert not (state["hidden.1.norm.weight"] == 1).all()
