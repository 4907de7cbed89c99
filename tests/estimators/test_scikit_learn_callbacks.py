"""Callbacks of scikit-learn 1.9 and later: `sklearn.callback`."""

import pickle

import numpy as np
import pandas as pd
import pytest
from samples import DIABETES, X, Y, classifier, differ, regressor
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainings import assert_proven, make

callback = pytest.importorskip("sklearn.callback")

NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]


class Watch:
    """Keeps the tree of tasks, and what a fitted estimator predicts at the end of each epoch."""

    def __init__(self, stop_after=None):
        self.stop_after, self.begun, self.ended, self.predicted = stop_after, [], [], []
        self.set_up = self.torn_down = 0

    def setup(self, estimator, context):
        self.set_up += 1

    def teardown(self, estimator, context):
        self.torn_down += 1

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.task_name, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None,
                        fitted_estimator=None):  # fmt: skip
        self.ended.append(context.task_name)
        self.metadata = metadata
        if context.task_name == "epoch" and fitted_estimator is not None:
            self.fitted = fitted_estimator
            self.predicted.append(fitted_estimator.score(X, y))
        return len(self.predicted) == self.stop_after


def scores(monitor):
    """Scores of epochs, and of the fitted estimator, in the order of the log."""
    log = monitor.get_logs().data
    epochs = [row for row in log if row["task_name"] == "epoch"]
    return [row["accuracy"] for row in epochs], [
        row["accuracy"] for row in log if row not in epochs
    ]


def test_epochs_are_tasks_of_a_fit():
    watch = Watch()
    model = classifier(max_epochs=4).set_callbacks(watch)
    model.fit(X, NAMES, sample_weight=np.ones(150))
    assert watch.begun == [("fit", 4)] + [("epoch", 0)] * 4
    assert watch.ended == ["epoch"] * 4 + ["fit"]
    assert (watch.set_up, watch.torn_down) == (1, 1)
    assert watch.metadata["sample_weight"].shape == (150,)
    assert watch.predicted[-1] == model.score(X, NAMES)


def test_trials_are_tasks_of_a_fit():
    watch = Watch()
    model = regressor(max_epochs="auto", n_input_segments=1).set_callbacks(watch).fit(*DIABETES)
    trainings = [task for task in watch.begun if task[0] != "epoch"]
    n_trial, n_epochs = trainings[1][1], model.n_iter_
    assert trainings == [
        ("fit", 3), ("trial 1 of 2", n_trial), ("trial 2 of 2", n_trial), ("training", n_epochs)
    ]  # fmt: skip
    assert watch.begun.count(("epoch", 0)) == 2 * n_trial + n_epochs
    assert len(watch.predicted) == n_epochs, "trials are not looked at"
    assert sorted(watch.ended) == sorted(name for name, _ in watch.begun)


@pytest.mark.parametrize(
    ("make_it", "data"),
    [
        (lambda: make(max_epochs=10), (X, NAMES)),
        (lambda: make(max_epochs=10, early_stopping=True, n_rounding_bits=2), (X, NAMES)),
        (lambda: make(max_epochs=10).float_twin(), (X, NAMES)),
        (lambda: regressor(max_epochs=6), DIABETES),
    ],
)
def test_watching_changes_nothing(make_it, data):
    watch = Watch()
    watched = make_it().set_callbacks(watch).fit(*data)
    plain = make_it().fit(*data)
    np.testing.assert_array_equal(watched.predict(data[0]), plain.predict(data[0]))
    assert watched.loss_curve_ == plain.loss_curve_
    assert len(watch.predicted) == watched.n_iter_
    assert vars(watched).keys() - vars(plain).keys() == {"_skl_callbacks"}
    if hasattr(watched, "integer_network_"):
        assert not differ(watched, plain)


def test_what_is_shown_is_the_network_of_that_epoch():
    watch = Watch()
    model = make(max_epochs=20).set_callbacks(watch).fit(X, Y)
    assert watch.predicted[-1] == model.score(X, Y)
    shown = watch.fitted
    np.testing.assert_array_equal(shown.predict(X), model.predict(X))
    assert shown.n_iter_ == 20 and not differ(shown, model)
    # The module of a fit that is over is not the one that was shown.
    assert shown.module_ is not model.module_
    assert shown.accumulator_report().to_dict() == model.accumulator_report().to_dict()
    pickle.loads(pickle.dumps(shown)).predict(X)


def test_networks_are_as_wide_as_they_are_until_the_limits_hold():
    widths = []

    class Widths(Watch):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if fitted_estimator is not None:
                layers = fitted_estimator.integer_network_.layers
                widths.append(max(int(layer.accumulator_bits.max()) for layer in layers))

    model = make(max_epochs=20).set_callbacks(Widths()).fit(X, Y)
    assert widths[0] > 5 >= max(widths[12:])
    assert_proven(model)


def test_a_callback_stops_training():
    # As one of skorch does: the rest of the schedule is shortened, or training stops.
    early, late = Watch(stop_after=8), Watch(stop_after=30)
    shortened = make(max_epochs=40).set_callbacks(early).fit(X, Y)
    assert shortened.n_iter_ == len(early.predicted) == 24
    assert_proven(shortened)
    assert make(max_epochs=40).set_callbacks(late).fit(X, Y).n_iter_ == 30


def test_raw_rows_are_shown_as_they_came():
    table = pd.DataFrame(X, columns=list("abcd")).assign(kind=NAMES)
    watch = Watch()
    model = classifier(max_epochs=10).set_callbacks(watch).fit(table, NAMES)
    assert watch.predicted[-1] == model.score(table, NAMES)


def test_further_training_is_watched_from_where_it_is():
    watch = Watch()
    model = classifier(max_epochs=5, warm_start=True).fit(X, Y).set_callbacks(watch).fit(X, Y)
    assert watch.predicted[-1] == model.score(X, Y) and watch.fitted.n_iter_ == 10
    model.partial_fit(X, Y)
    assert len(watch.predicted) == 5, "only fit is watched"


def test_callbacks_are_torn_down_where_a_fit_fails():
    watch = Watch()
    model = classifier().set_callbacks(watch)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, np.where(Y == 1, np.nan, Y))
    assert (watch.set_up, watch.torn_down) == (1, 1)
    assert vars(model) == before


def test_clones_share_callbacks():
    watch = Watch()
    model = clone(classifier().set_callbacks(watch)).fit(X, Y)
    assert len(watch.predicted) == 3
    model.set_callbacks().fit(X, Y)
    assert len(watch.predicted) == 3


# ------------------------------------------------ scikit-learn's callbacks


def test_scoring_monitor():
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = classifier(max_epochs=5).set_callbacks(monitor).fit(X, NAMES)
    log = monitor.get_logs().data_as_pandas
    assert log["task_name"].tolist() == ["fit"] + ["epoch"] * 5
    assert log["accuracy"].iloc[[0, -1]].tolist() == [model.score(X, NAMES)] * 2


def test_scoring_monitor_in_pipelines_and_searches():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    net = classifier(max_epochs=4).set_callbacks(monitor)
    model = make_pipeline(StandardScaler(), net).fit(X, NAMES)
    epochs, ends = scores(monitor)
    assert len(epochs) == 4 and ends == [epochs[-1]] == [model.score(X, NAMES)]
    search = GridSearchCV(model, {"prunedneuralnetclassifier__n_w_bits": [2, 3]}, cv=2)
    search.fit(X, NAMES)
    epochs, ends = scores(monitor)
    assert len(epochs) == 4 * (2 * 2 + 1) and len(ends) == 5
    assert search.score(X, NAMES) in ends


def test_progress_bar(capfd):
    pytest.importorskip("rich")
    progress = callback.ProgressBar(max_propagation_depth=None)
    classifier(max_epochs=4).set_callbacks(progress).fit(X, Y)
    shown = capfd.readouterr().out
    assert "PrunedNeuralNetClassifier - fit" in shown and "100%" in shown
    settings = {"max_epochs": "auto", "n_input_segments": 1}
    regressor(**settings).set_callbacks(progress).fit(*DIABETES)
    shown = capfd.readouterr().out
    assert all(part in shown for part in ("trial 1 of 2", "trial 2 of 2", "training #2"))
    model = make_pipeline(StandardScaler(), classifier())
    search = GridSearchCV(model, {"prunedneuralnetclassifier__n_w_bits": [2, 3]}, cv=2)
    search.set_callbacks(progress).fit(X, Y)
    assert "PrunedNeuralNetClassifier - fit" in capfd.readouterr().out
