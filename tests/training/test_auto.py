"""Choosing epochs and dropout: who is asked what, and what is taken."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import brier_score_loss, mean_squared_error
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.training.auto import Recipe, auto_recipes, choose_recipe, hold_back
from qnnprune.training.rows import TrainingTable

RECIPES = [Recipe(40, 0.3), Recipe(20, 0.3), Recipe(40, 0.0)]
RATES = LRScheduler("StepLR", step_size=30)
QUICK = {"batch_size": 400}  # one step an epoch


def table_of(y) -> TrainingTable:
    n = len(y)
    each = np.arange(n), np.asarray(y), np.ones(n), np.ones(n, np.int64)
    return TrainingTable(np.arange(n)[:, None], None, *each)


def test_recipes_by_hand():
    assert auto_recipes(1000, 50, n_in=64) == RECIPES
    # Ten inputs lose 0.3 * 10 / 64 of their codes; 79 batches an epoch need 26 epochs.
    few = 0.046875
    assert auto_recipes(200, 32, n_in=10) == [Recipe(40, few), Recipe(20, few), Recipe(40, 0.0)]
    assert auto_recipes(199, 32, n_in=64) == RECIPES[:1]
    assert auto_recipes(20_000, 256, n_in=64) == [Recipe(26, 0.1)]
    assert auto_recipes(1000, 50, 64, n_accum_bits=8) == RECIPES
    assert auto_recipes(1000, 50, 64, n_accum_bits=7) == [RECIPES[0], RECIPES[2]]


def test_the_smallest_error_on_held_back_rows_wins():
    table, asked = table_of(np.arange(1000.0)), []

    def squared_error(recipe, kept, held):
        asked.append((recipe, kept, held))
        return {20: 0.1}.get(recipe.max_epochs, 0.2)

    assert choose_recipe(RECIPES, table, 0, squared_error) == RECIPES[1]
    assert [recipe for recipe, _, _ in asked] == RECIPES
    for _, kept, held in asked:
        assert (len(kept), len(held)) == (800, 200)
        assert sorted([*kept.rows, *held.rows]) == list(range(1000))


def test_the_first_of_equals_wins():
    assert choose_recipe(RECIPES, table_of(np.arange(300.0)), 0, lambda *_: 1.0) == RECIPES[0]


def test_nothing_is_trained_without_a_choice():
    def refuse(*_):
        raise AssertionError("trained")

    assert choose_recipe(RECIPES[:1], table_of(np.zeros(1000)), 0, refuse) == RECIPES[0]


def test_held_back_rows_have_every_class_where_they_can():
    kept, held = hold_back(table_of(np.repeat([0, 1, 2], [90, 5, 5])), 0.2, 0)
    assert np.bincount(kept.y).tolist() == [72, 4, 4] and np.bincount(held.y).tolist() == [18, 1, 1]
    kept, held = hold_back(table_of(np.repeat([0, 1], [99, 1])), 0.2, 0)  # one row: by chance
    assert len(kept) == 80 and len(held) == 20


class Count(Callback):
    """Counts trainings."""

    trainings = 0

    def on_train_begin(self, net, **kwargs):
        Count.trainings += 1


class Spy(GradientNormClipping):
    """Sees trials too, unlike callbacks of other kinds; can press Ctrl-C at one moment."""

    def __init__(self, moment=None, call=0):
        super().__init__()
        self.moment, self.call, self.recipes = moment, call, []

    def on_train_begin(self, net, **kwargs):
        self.recipes.append(Recipe(net.max_epochs, net.dropout))

    def on_epoch_begin(self, net, **kwargs):
        self.reach("on_epoch_begin")

    def on_batch_end(self, net, **kwargs):
        self.reach("on_batch_end")

    def on_epoch_end(self, net, **kwargs):
        self.reach("on_epoch_end")

    def reach(self, moment):
        self.call -= moment == self.moment
        if moment == self.moment and self.call == 0:
            raise KeyboardInterrupt


def noisy(seed=0):
    return make_classification(400, 10, n_informative=3, flip_y=0.4, random_state=seed)


def test_auto_is_what_its_outcome_gives():
    X, y = noisy()
    auto = PrunedNeuralNetClassifier((16,), random_state=0).fit(X, y)
    given = PrunedNeuralNetClassifier(
        (16,), max_epochs=auto.n_iter_, dropout=auto.dropout_, random_state=0
    ).fit(X, y)
    assert (auto.decision_function(X) == given.decision_function(X)).all()
    assert Recipe(auto.n_iter_, auto.dropout_) in RECIPES


@pytest.mark.slow
def test_narrow_accumulators_are_tried_for_as_long_as_others_and_trained_for_longer():
    X, y = noisy()
    auto = PrunedNeuralNetClassifier((8,), n_accum_bits=6, random_state=0).fit(X, y)
    assert auto.n_iter_ == 100
    given = PrunedNeuralNetClassifier(
        (8,), n_accum_bits=6, max_epochs=100, dropout=auto.dropout_, random_state=0
    ).fit(X, y)
    assert (auto.decision_function(X) == given.decision_function(X)).all()
    few = PrunedNeuralNetClassifier((8,), n_accum_bits=6, random_state=0).fit(X[:100], y[:100])
    assert few.n_iter_ == 100
    twin = PrunedNeuralNetClassifier((8,), n_accum_bits=6, random_state=0).float_twin()
    assert twin.fit(X[:100], y[:100]).n_iter_ == 100
    assert auto.set_params(warm_start=True).fit(X, y).n_iter_ == 200


@pytest.mark.slow
def test_exact_targets_choose_no_dropout_and_noise_chooses_dropout():
    X, y = make_regression(500, 4, random_state=0)
    assert PrunedNeuralNetRegressor((64,), random_state=0).fit(X, y).dropout_ == 0.0
    y = np.random.RandomState(0).standard_normal(500)
    noise = PrunedNeuralNetRegressor((64,), random_state=0).fit(X, y)
    assert (noise.n_iter_, noise.dropout_) == (20, 0.3)


def recipes_of(net):
    """What each training of a fit goes by, trials first."""
    spy = Spy()
    net.set_params(callbacks=[spy], **QUICK).fit(*noisy())
    return spy.recipes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "tried", "longer"),
    [
        ({}, RECIPES, 1),
        ({"n_accum_bits": 6}, [RECIPES[0], RECIPES[2]], 2.5),
        ({"n_accum_bits": 6, "accumulator_guarantee": False}, RECIPES, 1),
        ({"dropout": 0.5}, [Recipe(40, 0.5), Recipe(20, 0.5)], 1),
    ],
    ids=["defaults", "narrow", "no guarantee", "dropout"],
)
def test_what_is_tried_depends_on_what_is_given(settings, tried, longer):
    net = PrunedNeuralNetClassifier((8,), random_state=0, **settings)
    nets = [net, net.float_twin()]  # a twin is trained as the estimator whose twin it is
    for *found, last in map(recipes_of, nets):
        assert found == tried
        assert last in [replace(recipe, max_epochs=longer * recipe.max_epochs) for recipe in tried]


def test_nothing_is_tried_where_epochs_are_given():
    assert recipes_of(PrunedNeuralNetClassifier((8,), max_epochs=7)) == [Recipe(7, 0.3)]
    assert recipes_of(PrunedNeuralNetRegressor((8,), max_epochs=7)) == [Recipe(7, 0.3)]
    net = PrunedNeuralNetClassifier((8,), max_epochs=7, dropout=0.2)
    assert recipes_of(net) == [Recipe(7, 0.2)]
    # What 7 and 0.2 stood in for.
    net.set_params(max_epochs="auto", dropout="auto", warm_start=True)
    assert recipes_of(net) == [Recipe(40, 0.3)]
    assert (net.n_iter_, net.dropout_) == (7 + 40, 0.3)


@pytest.mark.slow
def test_further_training_goes_by_the_parameters_as_they_are_then():
    X, y = noisy()
    net = PrunedNeuralNetClassifier((8,), max_epochs=2, random_state=0).fit(X, y)
    assert net.prune(X, y, n_accum_bits=6, max_epochs=1).n_iter_ == 3
    assert net.prune(X, y, n_accum_bits=5).n_iter_ == 5
    net.set_params(max_epochs="auto", warm_start=True).fit(X, y)
    assert (net.n_iter_, net.dropout_) == (45, 0.3)
    auto = PrunedNeuralNetClassifier((8,), random_state=0).fit(X, y)
    chosen, dropout = auto.n_iter_, auto.dropout_
    auto.prune(X, y, n_accum_bits=6, max_epochs=1)
    assert auto.prune(X, y, n_accum_bits=5).n_iter_ == 2 * chosen + 1
    assert auto.dropout_ == dropout


@pytest.mark.slow
def test_trials_train_with_the_rates_of_callbacks():
    # At this lr a step diverges, and the callback leaves next to nothing of it.
    X, y = make_regression(220, 4, noise=1.0, random_state=0)
    rates = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1e-32)
    Count.trainings = 0
    net = PrunedNeuralNetRegressor(
        (8,), random_state=0, lr=1e30, optimizer="sgd", callbacks=[rates, Count()]
    )
    net.fit(X, y)
    assert net.score(X, y) > 0.3 and Count.trainings == 1


@pytest.mark.parametrize(
    "others", [[], pytest.param([RATES], marks=pytest.mark.slow)], ids=["none", "rates"]
)
@pytest.mark.parametrize(("moment", "n_whole"), [("on_epoch_begin", 4), ("on_epoch_end", 5)])
def test_an_interrupt_between_two_epochs_is_one(moment, n_whole, others):
    spy = Spy(moment, call=105)  # trials take 100 epochs
    net = PrunedNeuralNetClassifier((8,), random_state=0, callbacks=[spy, *others], **QUICK)
    with pytest.warns(ConvergenceWarning, match="Training was interrupted in epoch 5 of"):
        net.fit(*noisy())
    assert net.n_iter_ == n_whole


@pytest.mark.parametrize("others", [[], [RATES], [Count()]], ids=["none", "rates", "count"])
@pytest.mark.parametrize(
    ("moment", "call"), [("on_epoch_begin", 1), ("on_epoch_begin", 30), ("on_epoch_end", 30)]
)
def test_an_interrupt_of_a_trial_ends_the_fit(moment, call, others):
    callbacks = [Spy(moment, call), *others]
    net = PrunedNeuralNetClassifier((8,), random_state=0, callbacks=callbacks, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        net.fit(*noisy())
    assert not hasattr(net, "integer_network_")


@pytest.mark.slow
def test_rates_that_follow_a_score_stay_out_of_trials():
    X, y = noisy()
    rates = LRScheduler("ReduceLROnPlateau", monitor="valid_loss")
    net = PrunedNeuralNetClassifier(
        (8,), random_state=0, early_stopping=True, callbacks=[rates], **QUICK
    )
    assert net.fit(X, y).score(X, y) > 0.5


@pytest.mark.parametrize("n_classes", [2, 3])
def test_squared_error_is_scikit_learns_brier_score(n_classes):
    X, y = make_classification(
        300, 10, n_informative=5, n_classes=n_classes, flip_y=0.3, random_state=0
    )
    net = PrunedNeuralNetClassifier((16,), max_epochs=5, random_state=0).fit(X, y)
    error = row_errors(net, X, y).mean()
    expected = brier_score_loss(y, net.predict_proba(X), scale_by_half=False)
    assert error == pytest.approx(expected, rel=1e-4)


def test_squared_error_of_numbers():
    X, y = make_regression(200, 5, n_targets=2, random_state=0)
    net = PrunedNeuralNetRegressor((16,), max_epochs=5, random_state=0).fit(X, y)
    z, predicted = ((v - y.mean(0)) / y.std(0) for v in (y, net.predict(X)))
    assert row_errors(net, X, z).mean() == pytest.approx(mean_squared_error(z, predicted), rel=1e-3)


def row_errors(net, X, y):
    from qnnprune.training.losses import row_squared_error

    levels = torch.from_numpy(net.integer_network_.encoding.levels(X))
    with torch.no_grad():
        return row_squared_error(net.module_(levels), torch.from_numpy(y)).numpy()


@pytest.mark.slow
def test_callbacks_see_the_training_alone():
    Count.trainings = 0
    X, y = noisy()
    PrunedNeuralNetClassifier((8,), callbacks=[Count()], random_state=0, **QUICK).fit(X, y)
    assert Count.trainings == 1


def test_an_interrupt_while_choosing_leaves_the_estimator_as_it_was():
    X, y = noisy()
    net = PrunedNeuralNetClassifier((8,), max_epochs=2, random_state=0).fit(X, y)
    before = net.predict(X)
    with pytest.raises(KeyboardInterrupt):
        net.set_params(max_epochs="auto", callbacks=[Spy("on_batch_end", call=45)]).fit(X, y)
    assert (net.predict(X) == before).all() and net.n_iter_ == 2


@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_labels_of_nearly_every_row_train_by_the_usual_recipe():
    # None can be held back to choose by, which used to end the fit with a word on early stopping.
    X = np.random.default_rng(0).normal(size=(250, 3))
    y = np.r_[np.arange(240), np.arange(10)]
    assert PrunedNeuralNetClassifier((8,), random_state=0).fit(X, y).n_iter_ == 40
