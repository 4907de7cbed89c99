"""Choosing a recipe: who is asked what, and what is taken."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import brier_score_loss, mean_squared_error
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.training.auto import Recipe, auto_recipes, hold_back, race, trial_recipe
from qnnprune.training.rows import TrainingTable

RATES = LRScheduler("StepLR", step_size=30)
QUICK = {"batch_size": 400}  # one step an epoch
ANY = Recipe()


def table_of(y) -> TrainingTable:
    n = len(y)
    each = np.arange(n), np.asarray(y), np.ones(n), np.ones(n, np.int64)
    return TrainingTable(np.arange(n)[:, None], None, *each)


def names_of(recipes) -> list[tuple]:
    """Of those with hidden layers."""
    return [
        (r.n_input_segments, r.n_in_bits, r.n_a_bits, r.activation, r.dropout)
        for r in recipes
        if r.hidden_layer_sizes
    ]


def test_recipes_by_hand():
    wide = [("coarse", 2, 2, "relu", 0.3), ("fine", 2, 2, "relu", 0)]
    assert names_of(auto_recipes(ANY, 8)) == names_of(auto_recipes(ANY, None)) == wide
    one_bit, narrowest = ("fine", 1, 1, "tanh", 0.15), ("fine", 1, 1, "tanh", 0)
    narrow = [wide[1], one_bit, wide[0]]
    assert names_of(auto_recipes(ANY, 7)) == names_of(auto_recipes(ANY, 6)) == narrow
    assert names_of(auto_recipes(ANY, 5)) == [one_bit, narrowest, wide[1], wide[0]]


def test_narrow_registers_are_trained_sparse_from_the_start_with_more_neurons_and_sums():
    found = {
        bits: {(r.pruning_schedule, r.hidden_layer_sizes, r.n_output_sums) for r in hidden}
        for bits in (None, 8, 7, 5)
        if (hidden := [r for r in auto_recipes(ANY, bits) if r.hidden_layer_sizes])
    }
    assert found[None] == found[8] == {("gradual", (256, 256), "auto")}
    assert found[7] == found[5] == {("set", (512, 512), 16)}
    given = auto_recipes(replace(ANY, hidden_layer_sizes=(9,)), 5)
    assert {(r.pruning_schedule, r.n_output_sums) for r in given} == {("set", "auto")}
    given = auto_recipes(replace(ANY, pruning_schedule="one_shot"), 5)
    assert {r.pruning_schedule for r in given} == {"one_shot"}


@pytest.mark.parametrize("n_bits", [None, 16, 8, 7, 6, 5, 4])
def test_the_last_recipe_has_no_hidden_layers_unless_sizes_are_given(n_bits):
    assert [r.hidden_layer_sizes for r in auto_recipes(ANY, n_bits)].count(()) == 1
    assert auto_recipes(ANY, n_bits)[-1].hidden_layer_sizes == ()
    given = auto_recipes(replace(ANY, hidden_layer_sizes=(16,)), n_bits)
    assert {r.hidden_layer_sizes for r in given} == {(16,)}
    assert len({r.n_output_sums for r in given}) == 1


def test_what_is_asked_for_is_not_chosen():
    given = Recipe(n_input_segments=5, n_in_bits=3, n_a_bits=2, n_output_sums=7, dropout=0.4)
    found = auto_recipes(given, 8)
    assert names_of(found) == [(5, 3, 2, "relu", 0.3), (5, 3, 2, "relu", 0.0)]
    assert {recipe.n_output_sums for recipe in found} == {7}
    assert auto_recipes(replace(ANY, activation="sigmoid"), 5)[0].activation == "sigmoid"
    sizes = [auto_recipes(ANY, bits)[0].hidden_layer_sizes for bits in (None, 8, 6, 5)]
    assert sizes == [(256, 256)] * 2 + [(512, 512)] * 2
    # Dropout and epochs replace those of a recipe only where one trains by it.
    assert found[0].given(given).dropout == 0.4


RECIPES = [replace(recipe, max_epochs=40) for recipe in auto_recipes(ANY, 8)]


def test_trials_are_half_as_long_and_wide_unless_registers_are_narrow_and_sizes_given():
    found = [trial_recipe(RECIPES[0], ANY, bits) for bits in (None, 8, 7)]
    assert [(r.max_epochs, r.hidden_layer_sizes, r.n_members) for r in found] == [
        (20, (128, 128), 2),  # of 4
        (20, (128, 128), 2),
        (40, (128, 128), 2),
    ]
    assert trial_recipe(replace(RECIPES[0], n_members=3), ANY, 8).n_members == 3
    assert trial_recipe(RECIPES[-1], ANY, 8).hidden_layer_sizes == ()
    given = replace(RECIPES[0], hidden_layer_sizes=(9,), max_epochs=25)
    assert trial_recipe(given, replace(ANY, hidden_layer_sizes=(9,)), 8) == replace(
        given, max_epochs=13
    )


def test_the_smallest_mean_error_wins():
    """The first errs by .6 on all rows, the second by 1 on half of them, the third by 1.3 on 40 %."""
    table, asked = table_of(np.arange(1000.0)), []

    def squared_error(recipe, kept, held):
        asked.append((recipe, kept, held))
        size, share = dict(zip(RECIPES, [(0.6, 1.0), (1.0, 0.5), (1.3, 0.4)], strict=True))[recipe]
        return size * (np.arange(len(held)) < share * len(held))

    assert race(RECIPES, table, 0, squared_error) == RECIPES[1]
    assert [recipe for recipe, _, _ in asked] == RECIPES
    for _, kept, held in asked:
        assert (len(kept), len(held)) == (800, 200)
        assert sorted([*kept.rows, *held.rows]) == list(range(1000))


def test_rows_count_by_their_weight():
    table = table_of(np.arange(1000.0))
    table = replace(table, weight=np.where(table.y < 500, 1e-9, 1.0))

    def squared_error(recipe, kept, held):
        worse = np.where(held.y < 500, -1.0, 0.1 + 0.01 * (np.arange(len(held)) % 2))
        return worse * (recipe == RECIPES[1])

    assert race(RECIPES[:2], table, 0, squared_error) == RECIPES[0]


def test_the_first_of_equals_wins():
    def squared_error(recipe, kept, held):
        return np.ones(len(held))

    assert race(RECIPES, table_of(np.arange(300.0)), 0, squared_error) == RECIPES[0]


def test_of_many_rows_some_are_looked_at():
    seen = []

    def squared_error(recipe, kept, held):
        seen.append((len(kept), len(held)))
        return np.ones(len(held))

    race(RECIPES, table_of(np.arange(50_000.0)), 0, squared_error)
    assert seen == [(8000, 2000)] * 3


def test_rows_to_choose_by_may_be_given():
    seen = []

    def squared_error(recipe, kept, held):
        seen.append((kept, held))
        return np.ones(len(held))

    table, given = table_of(np.arange(300.0)), table_of(np.arange(50.0))
    race(RECIPES, table, 0, squared_error, given)
    assert seen == [(table, given)] * 3
    seen.clear()
    race(RECIPES, table_of(np.arange(50_000.0)), 0, squared_error, table_of(np.arange(12_000.0)))
    assert [(len(kept), len(held)) for kept, held in seen] == [(10_000, 10_000)] * 3


def test_nothing_is_trained_without_a_choice():
    def refuse(*_):
        raise AssertionError("trained")

    assert race(RECIPES[:1], table_of(np.zeros(1000)), 0, refuse) == RECIPES[0]
    assert race(RECIPES, table_of(np.arange(199.0)), 0, refuse) == RECIPES[0]
    few, many = table_of(np.arange(39.0)), table_of(np.arange(1000.0))
    assert race(RECIPES, many, 0, refuse, few) == race(RECIPES, few, 0, refuse, many) == RECIPES[0]


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
        codes = net.module_.input.steps, net.module_.input.feature.numel()
        self.recipes.append((net.max_epochs, round(net.dropout, 3), *codes))

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


def exact():
    X = np.random.default_rng(0).normal(size=(400, 4))
    return X, (np.sin(2 * X[:, 0]) + X[:, 1] > 0).astype(int)


def noisy(seed=0):
    return make_classification(400, 10, n_informative=3, flip_y=0.4, random_state=seed)


CHOSEN = (
    "hidden_layer_sizes", "n_input_segments", "n_in_bits", "n_a_bits", "activation",
    "n_output_sums", "dropout",
)  # fmt: skip


def outcome(net) -> dict:
    """What a fit chose, as parameters."""
    return {name: getattr(net, f"{name}_") for name in CHOSEN} | {"max_epochs": net.n_iter_}


@pytest.mark.parametrize("bits", [8, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", [noisy, pytest.param(exact, marks=pytest.mark.slow)])
def test_auto_is_what_its_outcome_gives(make, bits):
    X, y = make()
    settings = {"n_accum_bits": bits, "random_state": 0}
    auto = PrunedNeuralNetClassifier((16,), **settings).fit(X, y)
    assert auto.n_iter_ == 40
    given = PrunedNeuralNetClassifier(**settings, **outcome(auto)).fit(X, y)
    assert (auto.decision_function(X) == given.decision_function(X)).all()
    assert outcome(given) == outcome(auto)


def test_outcomes_of_a_net_that_is_given_all():
    X, y = noisy()
    given = {
        "n_input_segments": 3, "n_in_bits": 1, "n_a_bits": 3, "activation": "hardtanh",
        "n_output_sums": 2, "dropout": 0.25, "max_epochs": 3, "hidden_layer_sizes": (8,),
    }  # fmt: skip
    net = PrunedNeuralNetClassifier(random_state=0, **given).fit(X, y)
    assert outcome(net) == given
    layer = net.integer_network_.layers[0]
    assert layer.input_range.tolist() == [[-1, 0]] * 30 and layer.thresholds.shape[1] == 7


def test_inputs_have_the_width_of_given_activations():
    X, y = noisy()
    for given, found in (({}, 3), ({"n_in_bits": None}, 3), ({"n_in_bits": 1}, 1)):
        net = PrunedNeuralNetClassifier((8,), n_a_bits=3, max_epochs=1, **given).fit(X, y)
        assert (net.n_in_bits_, net.n_a_bits_) == (found, 3)


def test_widths_that_no_weight_fits_are_left_out_of_the_choice():
    X, y = noisy()
    net = PrunedNeuralNetClassifier((8,), n_accum_bits=1, random_state=0, **QUICK).fit(X, y)
    assert (net.n_in_bits_, net.n_a_bits_) == (1, 1) and net.integer_network_.proven_bits == 1
    with pytest.raises(ValueError, match="n_accum_bits=1.*n_a_bits=2"):
        PrunedNeuralNetClassifier((8,), n_accum_bits=1, n_a_bits=2, n_in_bits=1).fit(X, y)


@pytest.mark.slow
def test_exact_targets_choose_no_dropout_and_noise_chooses_dropout():
    X, y = make_regression(500, 4, random_state=0)
    net = PrunedNeuralNetRegressor((64,), random_state=0).fit(X, y)
    assert net.dropout_ == 0.0
    y = np.random.RandomState(0).standard_normal(500)
    net = PrunedNeuralNetRegressor((64,), random_state=0).fit(X, y)
    assert (net.dropout_, net.n_input_segments_) == (0.3, 16)


def recipes_of(net, rows=None):
    """Epochs, dropout, steps of a code and inputs of each training of a fit, trials first."""
    spy = Spy()
    net.set_params(callbacks=[spy], **QUICK).fit(*(rows or noisy()))
    return spy.recipes


COARSE, FINE = 160, 480  # inputs of ten features, of 16 segments and of 48


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "tried", "longer"),
    [
        ({}, [(40, 0.3, 3, COARSE), (40, 0.0, 3, FINE)], 1),
        ({"dropout": 0.5}, [(40, 0.5, 3, COARSE), (40, 0.5, 3, FINE)], 1),
        ({"n_input_segments": 4, "n_in_bits": 3}, [(40, 0.188, 7, 40), (40, 0.0, 7, 40)], 1),
    ],
    ids=["defaults", "dropout", "encoding"],
)
def test_what_is_tried_depends_on_what_is_given(settings, tried, longer):
    *found, last = recipes_of(PrunedNeuralNetClassifier((8,), random_state=0, **settings))
    assert found == [(20, *rest) for _, *rest in tried]
    assert last in tried


def test_nothing_is_tried_where_epochs_are_given():
    plain = (7, 0.3, 3, COARSE)
    assert recipes_of(PrunedNeuralNetClassifier((8,), max_epochs=7)) == [plain]
    assert recipes_of(PrunedNeuralNetRegressor((8,), max_epochs=7)) == [plain]
    net = PrunedNeuralNetClassifier((8,), max_epochs=7, dropout=0.2)
    assert recipes_of(net) == [(7, 0.2, 3, COARSE)]
    # What 7 and 0.2 stood in for.
    net.set_params(max_epochs="auto", dropout="auto", warm_start=True)
    assert recipes_of(net) == [(40, 0.3, 3, COARSE)]
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
    spy = Spy(moment, call=45)  # trials take 40 epochs
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
