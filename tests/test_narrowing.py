"""Pruning further: limits hold, lost weights stay away, failures change nothing."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X, Y = load_iris(return_X_y=True)


def fitted(**settings):
    settings = {"max_epochs": 15, "random_state": 0} | settings
    return PrunedNeuralNetClassifier((24, 12), **settings).fit(X, Y)


def widest(net):
    """Two's-complement bits of the widest sum, from the arrays."""
    bits = []
    for layer in net.integer_network_.layers:
        weight, (low, high) = layer.weight.astype(int), layer.input_range.T
        top = np.maximum(weight * low, weight * high).sum(axis=1).max()
        bottom = np.minimum(weight * low, weight * high).sum(axis=1).min()
        bits.append(1 + max(int(top).bit_length(), int(-1 - bottom).bit_length()))
    return max(bits)


def masks(net):
    return [linear.weight_quant.tensor_quant.mask.numpy() > 0 for linear in net.module_.linears]


@pytest.mark.parametrize("schedule", ["gradual", "one_shot", "set", "after_training"])
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
    assert net.n_iter_ == 1 and net.max_epochs == 15
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
    net = fitted()
    before, network = dict(net.__dict__), net.integer_network_
    for wrong in ({"n_accum_bits": 1}, {"n_accum_bits": 0}, {"max_epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            net.prune(X, Y, **wrong)
    with pytest.raises(ValueError, match="features"):
        net.prune(X[:, :2], Y, n_accum_bits=5)
    assert net.integer_network_ is network and net.__dict__ == before


def test_there_must_be_something_to_prune():
    for method in ("prune", "narrow_accumulator"):
        with pytest.raises(NotFittedError):
            getattr(PrunedNeuralNetClassifier(), method)(X, Y)
        with pytest.raises(AttributeError, match="float twin"):
            getattr(fitted().float_twin().fit(X, Y), method)(X, Y)


def test_narrowing_stops_where_the_score_falls():
    X_train, X_valid, y_train, y_valid = train_test_split(X, Y, random_state=0, stratify=Y)
    net = PrunedNeuralNetClassifier((24,), max_epochs=15, random_state=0).fit(X_train, y_train)
    curve = net.narrow_accumulator(X_train, y_train, tol=0.03, X_valid=X_valid, y_valid=y_valid)
    widths = list(curve.n_accum_bits)
    assert widths == list(range(8, 8 - len(widths), -1)) and len(widths) > 1
    assert list(curve.nonzeros) == sorted(curve.nonzeros, reverse=True)
    within = [s >= curve.score[0] - 0.03 for s in curve.score]
    assert all(within[:-1]), "it stops at the first width that loses more"
    assert curve.best == widths[-1] if within[-1] else widths[-2]
    assert net.n_accum_bits == curve.best and widest(net) <= curve.best
    assert net.score(X_valid, y_valid) == curve.score[widths.index(curve.best)]
    assert curve.to_dict()["score"] == list(curve.score)


def test_narrowing_holds_rows_back_by_itself():
    X_r, y_r = make_regression(150, 5, noise=1.0, random_state=0)
    net = PrunedNeuralNetRegressor((16,), max_epochs=10, random_state=0).fit(X_r, y_r)
    curve = net.narrow_accumulator(X_r, y_r, tol=10.0, least=6, max_epochs=3)
    assert curve.n_accum_bits == (8, 7, 6) and curve.best == 6 == net.n_accum_bits


@pytest.mark.parametrize(
    "wrong", [{"tol": -0.1}, {"tol": float("nan")}, {"least": 0}, {"least": 2.5}, {"X_valid": X}]
)
def test_bad_searches_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        fitted(max_epochs=1).narrow_accumulator(X, Y, **wrong)
