"""Pruning further: limits hold, lost weights stay away, failures change nothing."""

import threading

import numpy as np
import oracles
import pandas as pd
import pytest
from scipy.sparse import coo_matrix
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X, Y = load_iris(return_X_y=True)


def fitted(**settings):
    settings = {"max_epochs": 15, "random_state": 0} | settings
    return PrunedNeuralNetClassifier((24, 12), **settings).fit(X, Y)


def widest(net):
    """Two's-complement bits of the widest sum, from the arrays."""
    return oracles.widest(net.integer_network_, always_signed=True)


def masks(net):
    return [linear.weight_quant.tensor_quant.mask.numpy() > 0 for linear in net.module_.linears]


@pytest.mark.parametrize(
    "schedule",
    [
        "gradual",
        "set",
        *(pytest.param(s, marks=pytest.mark.slow) for s in ("one_shot", "after_training")),
    ],
)
def test_pruning_further_fits_the_narrower_register_and_brings_nothing_back(schedule):
    net = fitted(n_accum_bits=8, pruning_schedule=schedule)
    before, encoding = masks(net), net.integer_network_.encoding
    assert widest(net) > 5
    assert net.prune(X, Y, n_accum_bits=5) is net
    assert net.n_accum_bits == 5 and widest(net) <= 5
    assert net.integer_network_.n_accum_bits == 5
    assert net.integer_network_.encoding is encoding
    for now, then in zip(masks(net), before, strict=True):
        assert not (now & ~then).any()
    assert sum(map(np.sum, masks(net))) < sum(map(np.sum, before))
    assert net.score(X, Y) > 0.9


def test_it_starts_from_what_was_learned():
    net = fitted(n_accum_bits=8)
    short = fitted(n_accum_bits=5, max_epochs=1)
    net.prune(X, Y, n_accum_bits=5, max_epochs=1)
    assert net.n_iter_ == 16 and net.max_epochs == 15
    assert net.score(X, Y) > short.score(X, Y)


def test_the_same_seed_gives_the_same_network():
    one, two = (fitted().prune(X, Y, n_accum_bits=5) for _ in range(2))
    for a, b in zip(one.integer_network_.layers, two.integer_network_.layers, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)


def test_a_count_can_be_pruned_to():
    net = fitted(n_accum_bits=8)
    net.set_params(n_hidden_neurons_multiplier=0.25).prune(X, Y)  # a quarter of 28
    assert max((layer.weight != 0).sum(axis=1).max() for layer in net.integer_network_.layers) <= 7


def test_a_failed_call_changes_nothing():
    net = fitted(n_a_bits=2)
    before, network = dict(net.__dict__), net.integer_network_
    for wrong in ({"n_accum_bits": 1}, {"n_accum_bits": 0}, {"n_accum_bits": 9}, {"max_epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            net.prune(X, Y, **wrong)
    with pytest.raises(ValueError, match="features"):
        net.prune(X[:, :2], Y, n_accum_bits=5)
    assert net.integer_network_ is network and net.__dict__ == before


def test_there_must_be_something_to_prune():
    for method in ("prune", "narrow_accumulator"):
        with pytest.raises(NotFittedError):
            getattr(PrunedNeuralNetClassifier(), method)(X, Y)


def test_narrowing_stops_where_the_score_falls():
    X_train, X_valid, y_train, y_valid = train_test_split(X, Y, random_state=0, stratify=Y)
    net = PrunedNeuralNetClassifier((24,), max_epochs=15, random_state=0).fit(X_train, y_train)
    curve = net.narrow_accumulator(X_train, y_train, tol=0.03, X_valid=X_valid, y_valid=y_valid)
    widths = list(curve.n_accum_bits)
    assert widths == list(range(8, 8 - len(widths), -1)) and len(widths) > 1
    assert list(curve.nonzeros) == sorted(curve.nonzeros, reverse=True)
    within = [s >= curve.score[0] - 0.03 for s in curve.score]
    assert all(within[:-1]), "it stops at the first width that loses more"
    assert curve.best == (widths[-1] if within[-1] else widths[-2])
    assert net.n_accum_bits == curve.best and widest(net) <= curve.best
    assert net.score(X_valid, y_valid) == curve.score[widths.index(curve.best)]
    assert curve.to_dict()["score"] == list(curve.score)


def test_narrowing_holds_rows_back_by_itself():
    X_r, y_r = make_regression(150, 5, noise=1.0, random_state=0)
    net = PrunedNeuralNetRegressor((16,), max_epochs=10, random_state=0).fit(X_r, y_r)
    curve = net.narrow_accumulator(X_r, y_r, tol=10.0, least=6, max_epochs=3)
    assert curve.n_accum_bits == (8, 7, 6) and curve.best == 6 == net.n_accum_bits


@pytest.mark.parametrize(
    "wrong",
    [
        {"tol": -0.1},
        {"tol": float("nan")},
        {"tol": "a"},
        {"least": 0},
        {"least": 2.5},
        {"X_valid": X},
    ],  # fmt: skip
)
def test_bad_searches_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fitted(max_epochs=1).narrow_accumulator(X, Y, **wrong)


def test_only_widths_that_hold_count():
    unlimited = fitted(accumulator_guarantee=False, n_accum_bits=6)
    assert widest(unlimited) > 6
    with pytest.raises(ValueError, match="n_accum_bits=6 does not hold.*prune.*_guarantee=True"):
        unlimited.narrow_accumulator(X, Y)
    net = fitted(accumulator_guarantee=False, n_accum_bits=10)
    curve = net.narrow_accumulator(X, Y, tol=1.0, max_epochs=2)  # nothing is pruned
    assert widest(net) <= curve.best and curve.n_accum_bits[-1] == curve.best - 1 > 2
    counted = fitted(accumulator_guarantee=False, n_hidden_neurons_multiplier=1)
    best = counted.narrow_accumulator(X, Y, tol=1.0, max_epochs=2).best
    assert best == 4 and widest(counted) <= 5  # unsigned where a sum is never negative


@pytest.mark.parametrize(
    "settings, last", [({"n_rounding_bits": 3}, 4), ({"n_hidden_neurons_multiplier": 1}, 4)]
)
def test_the_search_ends_where_no_weight_is_left(settings, last):
    # At 3 bits nothing is left of a sum rounded by 3, and Omega is 7 // 9 = 0.
    net = fitted(n_accum_bits=6, n_a_bits=2, **settings)
    curve = net.narrow_accumulator(X, Y, tol=1.0, max_epochs=2)
    assert curve.n_accum_bits == (6, 5, last) and curve.best == last == net.n_accum_bits
    assert widest(net) <= last


def test_the_search_starts_at_the_width_that_was_fitted():
    net = fitted(n_accum_bits=8).set_params(n_accum_bits=4)
    curve = net.narrow_accumulator(X, Y, tol=1.0, least=7, max_epochs=2)
    assert curve.n_accum_bits == (8, 7) and net.n_accum_bits == 7
    net = fitted(n_accum_bits=6).set_params(n_accum_bits=12)
    curve = net.narrow_accumulator(X, Y, tol=0, least=6)
    assert curve.n_accum_bits == (6,) and net.n_accum_bits == 6


class Watch(Callback):
    """Cannot be copied; interrupts its `stop`-th training in the second epoch."""

    def __init__(self, stop=None):
        self.lock, self.stop, self.trainings = threading.Lock(), stop, 0

    def on_train_begin(self, net, **kwargs):
        self.trainings += 1

    def on_batch_end(self, net, **kwargs):
        if self.trainings == self.stop and len(net.history) == 2:
            raise KeyboardInterrupt


def test_the_search_leaves_the_parameters_alone():
    watch, state = Watch(), np.random.RandomState(0)
    net = fitted(callbacks=[watch], random_state=state)
    net.narrow_accumulator(X, Y, tol=1.0, least=6, max_epochs=2)
    assert net.callbacks[0] is watch and watch.trainings == 3 and net.random_state is state


def test_an_interrupt_ends_the_search_with_the_best_so_far():
    net = fitted(callbacks=[Watch(stop=3)], max_epochs=4)
    with pytest.warns(ConvergenceWarning, match="search was interrupted on the way to 6 bits"):
        curve = net.narrow_accumulator(X, Y, tol=1.0)
    assert curve.n_accum_bits == (8, 7) and curve.best == 7
    assert net.n_accum_bits == net.integer_network_.n_accum_bits == 7 and net.max_epochs == 4


def test_rare_classes_stay_with_the_rows_to_train_on():
    y, seen = np.array(["a"] * 140 + ["b"] * 9 + ["c"]), []

    class Watched(PrunedNeuralNetClassifier):
        def prune(self, X, y, **options):
            seen.append(list(y))
            return super().prune(X, y, **options)

    net = Watched((8,), max_epochs=3, random_state=0).fit(X, y)
    net.narrow_accumulator(X, y, tol=1.0, least=7, max_epochs=1)
    assert [[labels.count(label) for label in "abc"] for labels in seen] == [[126, 8, 1]]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_few_rows():
    X_r, y_r = X[:4], X[:4, 0]
    net = PrunedNeuralNetRegressor((8,), max_epochs=3, random_state=0).fit(X_r, y_r)
    curve = net.narrow_accumulator(X_r, y_r, tol=1e9, least=7, max_epochs=1)
    assert np.isfinite(curve.score).all()
    with pytest.raises(ValueError, match="too few rows to hold 2 of 2 back.*X_valid"):
        net.narrow_accumulator(X_r[:2], y_r[:2])
    one = {"X_valid": X_r[:1], "y_valid": y_r[:1]}  # no R² of one row: nothing keeps the score
    proven, expected = net.integer_network_.proven_bits, net.predict(X_r)
    assert net.narrow_accumulator(X_r, y_r, **one, max_epochs=1).best == proven
    assert (net.predict(X_r) == expected).all()


def test_an_interrupt_while_scoring_keeps_the_best_so_far():
    calls = []

    class Interrupted(PrunedNeuralNetClassifier):
        def score(self, X, y):
            calls.append(None)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return 1.0

    net = Interrupted((24, 12), max_epochs=15, random_state=0).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="search was interrupted on the way to 6 bits"):
        assert net.narrow_accumulator(X, Y, max_epochs=2).best == 7


def test_rows_of_any_kind_can_be_searched_on():
    for rows in (X.tolist(), coo_matrix(X), pd.DataFrame(X)):
        net = PrunedNeuralNetClassifier((8,), max_epochs=2, random_state=0).fit(rows, Y)
        assert net.narrow_accumulator(rows, Y, tol=1, least=7, max_epochs=1).best == 7
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        net.narrow_accumulator(X, Y[:100])


@pytest.mark.parametrize("change", [{"n_w_bits": 8}, {"n_a_bits": "x"}])
def test_parameters_are_checked_before_the_search(change):
    net = fitted(n_hidden_neurons_multiplier=1).set_params(**change)
    with pytest.raises(ValueError, match=next(iter(change))):
        net.narrow_accumulator(X, Y)


def test_the_search_starts_at_the_width_that_is_proven():
    # It used to train anew at each of the widths in between.
    net, trainings = (
        PrunedNeuralNetClassifier((24,), n_accum_bits=32, max_epochs=5, random_state=0),
        [],
    )

    class Watched(PrunedNeuralNetClassifier):
        def prune(self, X, y, **kwargs):
            trainings.append(self.n_accum_bits)
            return super().prune(X, y, **kwargs)

    net = Watched(**net.get_params()).fit(X, Y)
    proven, expected = net.integer_network_.proven_bits, net.decision_function(X)
    curve = net.narrow_accumulator(X, Y, tol=1.0, least=proven, max_epochs=1)
    assert curve.n_accum_bits == (proven,) and curve.best == proven < 32 and not trainings
    assert net.n_accum_bits == net.integer_network_.n_accum_bits == proven
    assert (net.decision_function(X) == expected).all()
    assert f"limit {proven}" in str(net.accumulator_report())
    net.narrow_accumulator(X, Y, tol=1.0, least=proven - 1, max_epochs=1)
    assert trainings == [proven - 1]
