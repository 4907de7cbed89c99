"""Losses of the regressor: what they predict, against scikit-learn's models of the same losses."""

import pickle

import numpy as np
import pytest
from samples import DIABETES, assert_same_network, differ, regressor
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import GammaRegressor, PoissonRegressor, QuantileRegressor
from sklearn.metrics import (
    d2_absolute_error_score,
    d2_pinball_score,
    d2_tweedie_score,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
)
from sklearn.preprocessing import StandardScaler

X, Y = DIABETES
RNG = np.random.default_rng(0)
FEW = {"hidden": (16,), "max_epochs": 25}
# A target that grows with x0, noise that grows as well, and counts of its mean.
WIDE = RNG.uniform(-1, 1, (800, 3))
RATE = np.exp(1 + 1.5 * WIDE[:, 0] - 0.8 * WIDE[:, 1])
COUNTS = RNG.poisson(RATE).astype(float)
TIMES = RNG.gamma(2, RATE / 2)
NOISY = 3 * WIDE[:, 0] + (1.2 + WIDE[:, 0]) * RNG.normal(size=800)
TRAIN, TEST = np.arange(500), np.arange(500, 800)
LOSSES = ["squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"]


def of_loss(loss, **settings):
    quantile = {"quantile": 0.5} if loss == "quantile" else {}
    return regressor(**FEW | {"loss": loss} | quantile | settings)


# ---------------------------------------------------------------- what is predicted


def test_squared_error_is_what_it_was():
    """The network of a version that knew no other loss, on one machine; its sums by hand."""
    model = regressor().fit(X, Y)
    assert model.loss == "squared_error"
    assert_same_network(model, regressor(loss="squared_error").fit(X, Y))
    z, mean, scale = (Y - Y.mean()) / Y.std(), Y.mean(), Y.std()
    record = model.history_[-1]["train_loss"]
    assert record == pytest.approx(np.mean(z**2), rel=1)
    output = model.integer_network_.layers[-1]
    decision = model.integer_network_.decision(X)[:, 0]
    np.testing.assert_array_equal(model.predict(X), decision)
    assert abs(output.bias[0] - mean) < 3 * scale


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_outliers_move_robust_losses_less(loss):
    y = 3 * WIDE[:, 0].copy()
    y[np.random.default_rng(1).permutation(800)[:60]] += 300  # of one side only
    clean = 3 * WIDE[:, 0]
    robust = of_loss(loss).fit(WIDE, y).predict(WIDE)
    squared = of_loss("squared_error").fit(WIDE, y).predict(WIDE)
    assert mean_absolute_error(clean, robust) < 0.3 * mean_absolute_error(clean, squared)
    peer = HistGradientBoostingRegressor(loss="absolute_error", random_state=0).fit(WIDE, y)
    assert mean_absolute_error(clean, robust) < mean_absolute_error(clean, peer.predict(WIDE)) + 1


def test_absolute_error_is_the_median_and_squared_error_the_mean():
    """Of a skewed target without anything to learn from: two different constants."""
    y = np.random.default_rng(1).exponential(size=800)
    noise = np.zeros((800, 1))
    assert of_loss("absolute_error").fit(noise, y).predict(noise)[0] == pytest.approx(
        np.median(y), abs=0.1
    )
    assert of_loss("squared_error").fit(noise, y).predict(noise)[0] == pytest.approx(
        np.mean(y), abs=0.1
    )


@pytest.mark.parametrize("level", [0.1, 0.9])
def test_a_quantile_is_as_good_as_that_of_scikit_learn(level):
    model = of_loss("quantile", quantile=level).fit(WIDE[TRAIN], NOISY[TRAIN])
    found = model.predict(WIDE[TEST])
    assert found.shape == (300,) and model.n_outputs_ == 1
    assert model.integer_network_.outcome == "value"
    assert (NOISY[TEST] <= found).mean() == pytest.approx(level, abs=0.08)
    peers = {  # and how much worse than that it may be: the quantiles are straight lines
        QuantileRegressor(quantile=level, alpha=0): 1.25,
        HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=0): 1.0,
    }
    for peer, factor in peers.items():
        theirs = peer.fit(WIDE[TRAIN], NOISY[TRAIN]).predict(WIDE[TEST])
        ours = mean_pinball_loss(NOISY[TEST], found, alpha=level)
        assert ours < factor * mean_pinball_loss(NOISY[TEST], theirs, alpha=level)


def test_several_quantiles_do_not_cross():
    levels = np.array([0.05, 0.45, 0.5, 0.55, 0.95])
    model = of_loss("quantile", quantile=levels, max_epochs=4).fit(WIDE[TRAIN], NOISY[TRAIN])
    far = np.r_[WIDE, 50 * np.random.default_rng(1).normal(size=(2000, 3))]
    found = model.predict(far)
    assert found.shape == (2800, 5) and model.n_outputs_ == 5
    assert (np.diff(found, axis=1) >= 0).all()
    before = model.integer_network_.decision(far)
    assert (np.diff(before, axis=1) < 0).any(), "else this shows nothing"
    np.testing.assert_array_equal(found, np.sort(before, axis=1))
    for mode in ("wrap", "saturate"):
        narrow = model.simulate(far, n_accum_bits=4, mode=mode)
        assert narrow.overflow_rate > 0 and (np.diff(narrow.predictions, axis=1) >= 0).all()
    model.accumulator_mode = "saturate"
    np.testing.assert_array_equal(model.predict(far), found)
    assert max(layer.accumulator_bits.max() for layer in model.integer_network_.layers) <= 8


def test_several_quantiles_cover_what_they_say():
    levels = (0.1, 0.5, 0.9)
    model = of_loss("quantile", quantile=levels).fit(WIDE[TRAIN], NOISY[TRAIN])
    found = model.predict(WIDE[TEST])
    shares = (NOISY[TEST, None] <= found).mean(axis=0)
    np.testing.assert_allclose(shares, levels, atol=0.08)
    mean = np.mean([r2_score(NOISY[TEST], column) for column in found.T])
    assert model.score(WIDE[TEST], NOISY[TEST]) == pytest.approx(mean)
    assert model.integer_network_.score(WIDE[TEST], NOISY[TEST]) == pytest.approx(mean)
    twin = of_loss("quantile", quantile=levels).float_twin().fit(WIDE[TRAIN], NOISY[TRAIN])
    assert (np.diff(twin.predict(WIDE), axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("loss", "y", "power", "glm"),
    [("poisson", COUNTS, 1, PoissonRegressor), ("gamma", TIMES, 2, GammaRegressor)],
)
def test_log_links_are_as_good_as_those_of_scikit_learn(loss, y, power, glm):
    model = of_loss(loss).fit(WIDE[TRAIN], y[TRAIN])
    found = model.predict(WIDE[TEST])
    assert (found > 0).all() and (model.predict(1e6 * WIDE) > 0).all()
    np.testing.assert_allclose(np.log(found), model.integer_network_.decision(WIDE[TEST])[:, 0])
    ours = d2_tweedie_score(y[TEST], found, power=power)
    for peer in (glm(alpha=0), HistGradientBoostingRegressor(loss=loss, random_state=0)):
        theirs = peer.fit(WIDE[TRAIN], y[TRAIN]).predict(WIDE[TEST])
        assert ours > d2_tweedie_score(y[TEST], theirs, power=power) - 0.1
    assert model.score(WIDE[TEST], y[TEST]) == pytest.approx(r2_score(y[TEST], found))
    twin = of_loss(loss).float_twin().fit(WIDE[TRAIN], y[TRAIN])
    assert (twin.predict(WIDE) > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_several_targets(loss):
    both = np.c_[1 + COUNTS, 1e4 * (1 + COUNTS)]
    model = of_loss(loss).fit(WIDE, both)
    assert model.predict(WIDE).shape == (800, 2) and model.n_outputs_ == 2
    assert model.score(WIDE, both) > 0.2


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_targets_of_any_size(loss, factor):
    model = of_loss(loss, max_epochs=10).fit(WIDE, factor * (1 + COUNTS))
    found = model.predict(WIDE) / factor
    assert mean_squared_error(1 + COUNTS, found) < 1.1 * np.var(COUNTS)


@pytest.mark.parametrize("loss", LOSSES)
def test_constant_targets_are_exact(loss):
    quantile = {"quantile": (0.1, 0.9)} if loss == "quantile" else {}
    found = of_loss(loss, **quantile).fit(X, np.full(len(X), 7.5)).predict(X)
    np.testing.assert_allclose(found, 7.5, rtol=1e-14)


# ---------------------------------------------------------------- weights, going on, choosing


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_repeated_rows(loss):
    counts = np.random.default_rng(1).integers(0, 3, len(Y))
    rows = np.repeat(np.arange(len(Y)), counts)
    quantile = {"quantile": (0.2, 0.7)} if loss == "quantile" else {}
    weighted = of_loss(loss, max_epochs=2, **quantile).fit(X, Y, sample_weight=counts)
    repeated = of_loss(loss, max_epochs=2, **quantile).fit(X[rows], Y[rows])
    assert_same_network(weighted, repeated)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_goes_on(loss):
    quantile = {"quantile": (0.2, 0.7)} if loss == "quantile" else {}
    model = of_loss(loss, warm_start=True, max_epochs=2, **quantile).fit(X, Y).fit(X, Y)
    assert model.n_iter_ == 4
    model.partial_fit(X[:50], Y[:50])
    model.prune(X, Y, n_accum_bits=6, max_epochs=2)
    assert np.isfinite(model.predict(X)).all()
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    other = "gamma" if loss != "gamma" else "poisson"
    with pytest.raises(ValueError, match=f"loss='{other}' was '{loss}' when training began"):
        model.set_params(loss=other, quantile=None).fit(X, Y)


def test_partial_fit_of_zeros_after_counts():
    model = of_loss("poisson").partial_fit(WIDE, COUNTS)
    model.partial_fit(WIDE[:20], np.zeros(20))
    assert (model.predict(WIDE) > 0).all()


SCORES = {
    "absolute_error": d2_absolute_error_score,
    "huber": d2_absolute_error_score,
    "quantile": lambda y, p: d2_pinball_score(y, p, alpha=0.5),
    "poisson": lambda y, p: d2_tweedie_score(y, p, power=1),
    "gamma": lambda y, p: d2_tweedie_score(y, p, power=2),
}


@pytest.mark.parametrize("loss", SCORES)
def test_early_stopping_goes_by_the_loss(loss):
    """On all rows scikit-learn's D² is the best of what held-back rows scored, about."""
    model = of_loss(loss, max_epochs=40, early_stopping=True, tol=0.01, n_iter_no_change=5)
    y = 0.5 + COUNTS
    best = max(record["valid_score"] for record in model.fit(WIDE, y).history_)
    assert best == pytest.approx(SCORES[loss](y, model.predict(WIDE)), abs=0.25)
    assert best > 0.2


@pytest.mark.parametrize("loss", ["quantile", "gamma"])
def test_recipes_are_tried(loss):
    quantile = {"quantile": (0.2, 0.7)} if loss == "quantile" else {}
    model = regressor((8,), max_epochs="auto", loss=loss, **quantile).fit(WIDE[:260], TIMES[:260])
    assert model.n_iter_ >= 20 and np.isfinite(model.predict(WIDE)).all()


def test_losses_give_different_networks():
    models = [of_loss(loss, max_epochs=2).fit(X, Y) for loss in LOSSES]
    for k, model in enumerate(models[:-1]):
        assert differ(model, models[k + 1])
    # Its gradient is half as large, which Adam hardly sees.
    np.testing.assert_allclose(models[1].predict(X), models[3].predict(X), rtol=1e-3)


# ---------------------------------------------------------------- what is refused

REFUSED = {
    "negative": ("poisson", {}, -Y, r"loss='poisson' needs targets of 0 or more, but y has -346"),
    "all zero": ("poisson", {}, 0 * Y, r"needs a mean above 0, but y is 0 in all rows"),
    "zero": ("gamma", {}, np.maximum(0, Y - 99), r"needs targets above 0, but y has 0"),
    "no level": ("quantile", {"quantile": None}, Y, r"quantile=None must be a number between 0"),
    "level 0": ("quantile", {"quantile": 0.0}, Y, r"quantile=0.0 must be a number between 0 and 1"),
    "level 1": ("quantile", {"quantile": 1.0}, Y, r"quantile=1.0 must be a number between 0 and 1"),
    "text": ("quantile", {"quantile": "half"}, Y, r"quantile='half' must be a number"),
    "none of several": ("quantile", {"quantile": []}, Y, r"quantile=\[\] must be a number"),
    "falling": ("quantile", {"quantile": (0.9, 0.1)}, Y, r"\(0.9, 0.1\) must be .* ascending"),
    "twice": ("quantile", {"quantile": (0.5, 0.5)}, Y, r"\(0.5, 0.5\) must be .* ascending"),
    "no such loss": ("log_loss", {}, Y, r"The 'loss' parameter .* must be a str among"),
    "other loss": ("huber", {"quantile": 0.5}, Y, r"belongs to loss='quantile', but loss='huber'"),
    "two": ("quantile", {"quantile": (0.1, 0.9)}, np.c_[Y, Y], r"pass one level, or one target"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, monkeypatch):
    loss, settings, y, message = REFUSED[case]
    model = regressor(loss=loss, **settings)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert not hasattr(model, "integer_network_")


def test_parameters_are_as_scikit_learn_has_them():
    model = regressor(loss="quantile", quantile=[0.1, 0.9])
    assert clone(model).get_params()["quantile"] == [0.1, 0.9]
    assert regressor().get_params()["quantile"] is None
    twin = StandardScaler().fit_transform(X)
    assert model.float_twin().fit(twin, Y).predict(twin).shape == (len(Y), 2)
