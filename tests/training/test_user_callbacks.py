"""All callbacks of skorch: each works, or is refused before training; names, and further training."""

import json
import sys
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest
import skorch.callbacks
import torch
from samples import DIABETES, NoTraining, X, Y, assert_unchanged, classifier, regressor
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    NeptuneLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
    WarmRestartLR,
)
from trainings import Interrupt, make

NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
ESTIMATORS = {"classifier": (classifier, X, NAMES), "regressor": (regressor, *DIABETES)}


def quiet(*args):
    """Takes what a callback would print."""


def halve(parameter):
    parameter.data /= 2


# How each of them is made, in a folder; and whether it needs rows that are held back.
ON_TRAIN = {"on_train": True, "name": "mine", "lower_is_better": False}
WORKING = {
    "BatchScoring": (lambda folder: BatchScoring(None, name="mine"), True),
    "BatchScoring of training rows": (lambda folder: BatchScoring(None, **ON_TRAIN), False),
    "Callback": (lambda folder: Callback, False),
    "Checkpoint": (lambda folder: Checkpoint(dirname=folder), True),
    "Checkpoint load_best": (lambda folder: Checkpoint(dirname=folder, load_best=True), True),
    "Checkpoint train_loss": (
        lambda folder: Checkpoint("train_loss_best", dirname=folder, load_best=True),
        False,
    ),
    "EarlyStopping": (lambda folder: EarlyStopping(patience=1, sink=quiet, load_best=True), True),
    "EarlyStopping valid_score": (
        lambda folder: EarlyStopping("valid_score", lower_is_better=False, sink=quiet),
        True,
    ),
    "EarlyStopping train_loss": (lambda folder: EarlyStopping("train_loss", sink=quiet), False),
    "EpochScoring": (lambda folder: EpochScoring(None, name="mine"), True),
    "EpochScoring uncached": (lambda folder: EpochScoring(None, name="m", use_caching=False), True),
    "EpochScoring of training rows": (lambda folder: EpochScoring(None, **ON_TRAIN), False),
    "EpochTimer": (lambda folder: EpochTimer, False),
    "Freezer": (lambda folder: Freezer("output.bias"), False),
    "GradientNormClipping": (lambda folder: GradientNormClipping(1.0), False),
    "Initializer": (lambda folder: Initializer("output.bias", fn=halve), False),
    "LRScheduler": (lambda folder: LRScheduler(), False),
    "LRScheduler WarmRestartLR": (lambda folder: LRScheduler(WarmRestartLR, base_period=2), False),
    "LRScheduler plateau": (lambda folder: LRScheduler("ReduceLROnPlateau"), False),
    "LRScheduler plateau of valid_loss": (
        lambda folder: LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
        True,
    ),
    "LoadInitState": (lambda folder: LoadInitState(Checkpoint(dirname=folder)), False),
    "MlflowLogger": (lambda folder: MlflowLogger(MagicMock(), MagicMock()), False),
    "MlflowLogger of batches": (
        lambda folder: MlflowLogger(MagicMock(), MagicMock(), log_on_batch_end=True),
        False,
    ),
    "NeptuneLogger": (lambda folder: NeptuneLogger(MagicMock(), log_on_batch_end=True), False),
    "ParamMapper": (lambda folder: ParamMapper("output.*", fn=halve, at=2), False),
    "PassthroughScoring": (lambda folder: PassthroughScoring("train_loss", on_train=True), False),
    "PassthroughScoring valid_loss": (lambda folder: PassthroughScoring("valid_loss"), True),
    "PrintLog": (lambda folder: PrintLog(sink=quiet), False),
    "ProgressBar": (lambda folder: ProgressBar(), False),
    "TrainEndCheckpoint": (lambda folder: TrainEndCheckpoint(dirname=folder), False),
    "TensorBoard": (lambda folder: TensorBoard(MagicMock()), False),
    "SacredLogger": (lambda folder: SacredLogger(MagicMock(), log_on_batch_end=True), False),
    "Unfreezer": (lambda folder: Unfreezer("output.*"), False),
    "WandbLogger": (lambda folder: WandbLogger(MagicMock(dir=folder)), True),
    "WandbLogger without model": (lambda folder: WandbLogger(MagicMock(), save_model=False), False),
}
REFUSED = {
    "InputShapeSetter": (InputShapeSetter, "follow from X"),
    "WarmRestartLR": (WarmRestartLR, "LRScheduler"),
    "Checkpoint f_pickle": (Checkpoint("train_loss_best", f_pickle="net.pkl"), "f_params"),
    "TrainEndCheckpoint f_pickle": (TrainEndCheckpoint(f_pickle="net.pkl"), "f_params"),
    "EarlyStopping valid_acc": (EarlyStopping("valid_acc"), "'valid_score'"),
    "Checkpoint of a later score": (Checkpoint("mine_best"), "nothing before it"),
    "EpochScoring misspelt": (EpochScoring("acuracy", on_train=True), "acuracy"),
    "no callback": (lambda net: None, "no skorch callback"),
    "no pair": (("a", EpochTimer, 3), "no pair"),
    "no name": ((1, EpochTimer), "no pair"),
}


def test_all_callbacks_of_skorch_are_among_them():
    covered = {name.split()[0] for name in (*WORKING, *REFUSED)}
    assert set(skorch.callbacks.__all__) <= covered


@pytest.fixture
def neptune(monkeypatch):
    """What `NeptuneLogger` needs of the package that it is for."""
    for name in ("neptune", "neptune.types", "neptune.handler"):
        module = ModuleType(name)
        module.File, module.Handler = MagicMock(), type("Handler", (), {})
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("name", WORKING)
@pytest.mark.filterwarnings("ignore:.*MagicMock")
def test_callbacks_of_skorch_work_or_are_refused(name, early_stopping, kind, tmp_path, neptune):
    (make_callback, needs_held_back), (estimator, X, y) = WORKING[name], ESTIMATORS[kind]
    model = estimator(
        max_epochs=6, early_stopping=early_stopping, callbacks=[make_callback(str(tmp_path))]
    )
    if needs_held_back and not early_stopping:
        model.callbacks.append(NoTraining())
        with pytest.raises(ValueError, match="early_stopping=True"):
            model.fit(X, y)
        return
    model.fit(X, y)
    assert 3 <= model.n_iter_ <= 6 and model.score(X, y) > 0.2
    assert model.integer_network_.proven_bits <= 8


@pytest.mark.parametrize("name", REFUSED)
def test_callbacks_that_cannot_work_are_refused_before_training(name):
    callback, reason = REFUSED[name]
    model = classifier(callbacks=[NoTraining(), callback], max_epochs="auto", early_stopping=True)
    if "Checkpoint of" in name:
        model.callbacks = [callback, EpochScoring("accuracy", name="mine")]
    elif "valid_acc" in name:
        model.callbacks = [callback]
    before = dict(vars(model))
    with pytest.raises(ValueError, match=reason):
        model.fit(X, Y)
    assert_unchanged(model, before)


def test_a_callback_of_the_users_own_may_record_what_another_one_monitors():
    class Mine(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("mine", 1.0)

    stop = EarlyStopping("mine", patience=3, sink=quiet)
    assert classifier(callbacks=[Mine(), stop], max_epochs=40).fit(X, Y).n_iter_ < 40


def test_callbacks_of_the_users_own_classes_are_taken_as_they_are():
    class Plateau(EarlyStopping):  # monitors no key
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    class Mine(EpochScoring):  # scores rows of its own
        def on_epoch_end(self, net, **kwargs):
            self._record_score(net.history, net.score(X[:9], Y[:9]))

    model = classifier(callbacks=[Mine("accuracy"), Plateau()], max_epochs=30).fit(X, Y)
    assert model.n_iter_ < 30 and 0 <= model.history_[-1]["accuracy"] <= 1


# ------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["mine", "valid_loss"])
def test_names_are_unique(name):
    model = classifier(callbacks=[("mine", EpochTimer), NoTraining, (name, GradientNormClipping())])
    with pytest.raises(ValueError, match=f"'{name}'.*another name"):
        model.fit(X, Y)


def test_callbacks_come_with_names_or_without_as_classes_or_instances():
    seen = []

    class Counter(Callback):
        def on_train_end(self, net, **kwargs):
            seen.append([name for name, c in net.callbacks_ if isinstance(c, Counter)])

    one = Counter()
    classifier(callbacks=[Counter, ("named", Counter), ["listed", one], one, Counter]).fit(X, Y)
    # Those of one class stand together, as skorch has it.
    assert seen == [["Counter_1", "Counter_2", "Counter_3", "named", "listed"]] * 5


def test_scores_of_one_class_stand_together():
    scores = [EpochScoring("accuracy", name=name, on_train=True) for name in ("a", "b")]
    stop = EarlyStopping("b", sink=quiet)
    assert classifier(callbacks=[scores[0], stop, scores[1]]).fit(X, Y).n_iter_ == 3


def test_a_callback_called_print_log_prints():
    lines = []
    classifier(callbacks=[("print_log", PrintLog(sink=lines.append))]).fit(X, Y)
    assert len(lines) == 2 + 3 and "train_loss" in lines[0]


def test_print_log_prints_as_verbose_says(capsys):
    for verbose, n_lines in ((0, 0), (1, 5)):
        classifier(callbacks=[PrintLog()], verbose=verbose).fit(X, Y)
        assert len(capsys.readouterr().out.splitlines()) == n_lines


# ------------------------------------------------------- files and loggers


def test_a_training_goes_on_from_a_checkpoint(tmp_path):
    checkpoint = Checkpoint("train_loss_best", dirname=tmp_path)
    losses = []
    for _ in range(2):
        callbacks = [checkpoint, LoadInitState(checkpoint)]
        model = make(callbacks=callbacks, lr=1e-3, pruning_schedule="gradual").fit(X, Y)
        losses.append([record["train_loss"] for record in model.history_])
    n_loaded = len(losses[1]) - 10
    assert losses[1][:n_loaded] == losses[0][:n_loaded]
    assert [record["epoch"] for record in model.history_] == list(range(1, n_loaded + 11))
    left = [record["weights_left"] for record in model.history_[n_loaded:]]
    assert left[0] == 1 and left[-1] < 0.9, "pruned along the schedule again"
    assert losses[1][n_loaded] < losses[0][0]


def test_saved_histories_and_optimizers_are_plain(tmp_path):
    make(callbacks=[TrainEndCheckpoint(dirname=tmp_path)], early_stopping=True).fit(X, Y)
    history = json.loads((tmp_path / "train_end_history.json").read_text())
    assert len(history) == 10 and isinstance(history[0]["valid_score_best"], bool)
    optimizer = torch.load(tmp_path / "train_end_optimizer.pt", weights_only=True)
    assert {type(group["lr"]) for group in optimizer["param_groups"]} == {float}


def test_loggers_get_scores_alone():
    client = MagicMock()
    make(callbacks=[MlflowLogger(MagicMock(), client)], early_stopping=True).fit(X, Y)
    keys = {call.args[1] for call in client.log_metric.call_args_list}
    pruning = {"weights_left", "pruning_progress"}
    assert keys == {"train_loss", "valid_loss", "valid_score", "dur"} | pruning
    assert len(client.log_artifact.call_args_list) == 4


def test_an_interrupted_first_epoch_is_one_though_a_callback_saves_at_the_end(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(callbacks=[TrainEndCheckpoint(dirname=tmp_path), Interrupt(1)]).fit(X, Y)
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------- further training


class Forgetful(Callback):
    """Keeps nothing of earlier epochs in the history."""

    def on_epoch_begin(self, net, **kwargs):
        del net.history[:-1]

    def on_batch_end(self, net, **kwargs):
        net.history[-1]["mine"] = 1


def test_callbacks_may_change_the_history():
    plain, model = (make(callbacks=callbacks).fit(X, Y) for callbacks in (None, [Forgetful()]))
    assert len(model.history_) == 1 and model.history_[0]["mine"] == 1
    np.testing.assert_array_equal(plain.decision_function(X), model.decision_function(X))


def test_callbacks_see_further_training():
    class Lengths(Callback):
        found = []

        def on_train_begin(self, net, X, y, **kwargs):
            self.found.append((len(X), sorted(set(y)), len(net.history)))

        def on_epoch_end(self, net, **kwargs):
            self.score = net.score(X, NAMES)

    lengths = Lengths()
    model = classifier(callbacks=[lengths], warm_start=True).fit(X, NAMES)
    model.fit(X[::2], NAMES[::2])
    model.partial_fit(X[50:], NAMES[50:])
    assert lengths.score == pytest.approx(model.score(X, NAMES), abs=0.02)
    model.prune(X, NAMES, n_accum_bits=6)
    names = sorted(set(NAMES))
    assert lengths.found == [
        (150, names, 0),
        (75, names, 0),
        (100, names[1:], 0),
        (150, names, 0),
    ]
    assert [record["epoch"] for record in model.history_] == list(range(1, 3 + 3 + 1 + 3 + 1))


def test_partial_fit_holds_nothing_back():
    model = classifier(callbacks=[EarlyStopping()], early_stopping=True).fit(X, Y)
    model.set_params(early_stopping=False)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="'valid_loss'"):
        model.partial_fit(X, Y)
    assert_unchanged(model, before)


@pytest.mark.parametrize("moment", ["on_train_begin", "on_epoch_begin", "on_batch_end"])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "prune"])
def test_errors_of_callbacks_leave_the_estimator_as_it_was(method, moment):
    model = classifier(warm_start=True).fit(X, Y)
    model.set_params(callbacks=[Interrupt(1, moment, error=ZeroDivisionError)])
    before = dict(vars(model))
    with pytest.raises(ZeroDivisionError):
        getattr(model, method)(X, Y)
    assert_unchanged(model, before)


def test_the_bar_is_closed_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError):
        make(verbose=1, callbacks=[Interrupt(3, error=ZeroDivisionError)]).fit(X, Y)
    assert capfd.readouterr().err.endswith("\n")
