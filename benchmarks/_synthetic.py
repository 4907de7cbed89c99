"""Synthetic tables: families whose parameters are drawn by a seed.

They stand for what the public sets lack.  A family fixes the kind of a table; the seed draws its
number of rows and columns, its function and its noise.  The test part has the same noise as the
training part.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from scipy.special import expit
from sklearn import datasets

__all__ = ["FAMILIES", "make"]

N_TEST = 2000
FAMILIES: dict[str, tuple[Callable, int, int]] = {}


def make(name: str, seed: int):
    """A table of a family.

    Parameters
    ----------
    name : str
        One of `FAMILIES`.
    seed : int
        Not negative.  Another seed is another table, not another split of the same one.

    Returns
    -------
    X_train, X_test : float32 arrays of shape (n_rows, n_columns)
        The test part has 2,000 rows.
    y_train, y_test : float32 arrays for regression, else int64 arrays of labels
    """
    table, low, high = FAMILIES[name]
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    n_train = round(np.exp(rng.uniform(np.log(low), np.log(high))))
    X, y = table(rng, n_train + N_TEST)
    X = X.astype(np.float32)
    y = y.astype(np.float32 if y.dtype.kind == "f" else np.int64)
    return X[:n_train], X[n_train:], y[:n_train], y[n_train:]


def family(low: int, high: int):
    """Register a family whose training parts have `low` to `high` rows."""

    def register(table):
        FAMILIES[table.__name__] = (table, low, high)
        return table

    return register


def _correlated(rng, n, columns):
    """Columns that share a few factors, each of mean 0 and variance 1."""
    factors = rng.standard_normal((n, int(rng.integers(1, 1 + columns // 2))))
    loadings = rng.standard_normal((factors.shape[1], columns)) / np.sqrt(factors.shape[1])
    own = rng.uniform(0.3, 1, columns) * rng.standard_normal((n, columns))
    X = factors @ loadings + own
    return (X - X.mean(axis=0)) / X.std(axis=0)


def _columns(rng, low=4, high=32):
    return round(np.exp(rng.uniform(np.log(low), np.log(high))))


def _smooth(rng, X):
    """A sum of a plane and of waves along directions of up to 4 columns; variance 1."""
    columns, steepest = X.shape[1], rng.uniform(0.5, 2)
    y = X @ rng.standard_normal(columns)
    y = rng.uniform(0, 1.2) * y / y.std()
    for _ in range(int(rng.integers(3, 9))):
        used = rng.choice(columns, min(columns, int(rng.integers(1, 5))), replace=False)
        along = X[:, used] @ rng.standard_normal(len(used)) / np.sqrt(len(used))
        wave = np.sin(rng.uniform(0.3, steepest) * along + rng.uniform(0, 2 * np.pi))
        y = y + rng.uniform(0.3, 1) * wave
    return (y - y.mean()) / y.std()


def _classes(rng, y, low=2, high=5):
    """Labels that cut a target at quantiles, into classes of similar sizes."""
    n_classes = int(rng.integers(low, high + 1))
    cuts = np.quantile(y, (np.arange(1, n_classes) + rng.uniform(-0.2, 0.2)) / n_classes)
    return np.searchsorted(cuts, y)


def _relabel(rng, y, share):
    """Labels of which a share is drawn again, from all classes alike."""
    again = rng.random(len(y)) < share
    return np.where(again, rng.integers(0, y.max() + 1, len(y)), y)


@family(500, 6000)
def smooth(rng, n):
    """Noiseless smooth function of 4 to 32 correlated columns."""
    X = _correlated(rng, n, _columns(rng))
    return X, _smooth(rng, X)


@family(300, 6000)
def smooth_noisy(rng, n):
    """The same with noise: .2 to 1 of the signal's standard deviation."""
    X = _correlated(rng, n, _columns(rng))
    return X, _smooth(rng, X) + rng.uniform(0.2, 1) * rng.standard_normal(n)


@family(500, 6000)
def smooth_grid(rng, n):
    """Noiseless smooth function of columns of 4 to 30 values each."""
    X = _correlated(rng, n, _columns(rng))
    X = np.round(X.clip(-2.5, 2.5) * rng.integers(4, 31, X.shape[1]) / 5)
    return X, _smooth(rng, X / X.std(axis=0))


@family(300, 6000)
def smooth_grid_noisy(rng, n):
    """The same with noise."""
    X, y = smooth_grid(rng, n)
    return X, y + rng.uniform(0.2, 1) * rng.standard_normal(n)


@family(300, 6000)
def smooth_classes(rng, n):
    """2 to 5 classes, without noise, along level lines of a smooth function."""
    X = _correlated(rng, n, _columns(rng))
    return X, _classes(rng, _smooth(rng, X))


@family(1000, 6000)
def arm(rng, n):
    """Noiseless distance from a point to the hand of an arm that turns at 4 to 8 joints."""
    lengths = rng.uniform(0.3, 1, int(rng.integers(4, 9)))
    angles = rng.uniform(-np.pi / 2, np.pi / 2, (n, len(lengths)))
    turned = np.cumsum(angles, axis=1)
    hand = np.stack([np.cos(turned) @ lengths, np.sin(turned) @ lengths], axis=1)
    return angles, np.linalg.norm(hand - rng.uniform(-1, 1, 2), axis=1)


@family(200, 3000)
def friedman1(rng, n):
    """scikit-learn's `make_friedman1`, with columns that do not matter."""
    noise, columns = rng.uniform(0, 2), int(rng.integers(5, 16))
    return datasets.make_friedman1(n, columns, noise=noise, random_state=_state(rng))


@family(200, 3000)
def friedman2(rng, n):
    """scikit-learn's `make_friedman2`: columns of very different size."""
    return datasets.make_friedman2(n, noise=rng.uniform(0, 150), random_state=_state(rng))


@family(200, 3000)
def friedman3(rng, n):
    """scikit-learn's `make_friedman3`: a steep arctangent."""
    return datasets.make_friedman3(n, noise=rng.uniform(0, 0.2), random_state=_state(rng))


@family(400, 6000)
def steps(rng, n):
    """A noisy target that is constant within boxes: what trees are made for."""
    X = _correlated(rng, n, _columns(rng))
    y = rng.uniform(0.1, 0.5) * rng.standard_normal(n)
    for _ in range(int(rng.integers(10, 40))):
        used = rng.choice(X.shape[1], int(rng.integers(1, 4)), replace=False)
        y = y + rng.standard_normal() * (X[:, used] > rng.normal(0, 0.7, len(used))).all(axis=1)
    return X, y


@family(300, 4000)
def counts(rng, n):
    """Small Poisson counts."""
    X = _correlated(rng, n, _columns(rng))
    return X, rng.poisson(np.exp(0.7 * _smooth(rng, X) + rng.uniform(-0.5, 1.5))).astype(float)


@family(300, 4000)
def heavy_tails(rng, n):
    """Columns and noise with heavy tails."""
    X = _correlated(rng, n, _columns(rng))
    y = _smooth(rng, X) + rng.uniform(0.1, 0.4) * rng.standard_t(3, n)
    return _heavy(rng, X), y


@family(300, 4000)
def heavy_tails_classes(rng, n):
    """Labels from columns with heavy tails."""
    X = _correlated(rng, n, _columns(rng))
    return _heavy(rng, X), _classes(rng, _smooth(rng, X))


@family(300, 4000)
def gaussian_quantiles(rng, n):
    """scikit-learn's `make_gaussian_quantiles`: nested shells of equal size."""
    columns, classes = int(rng.integers(2, 11)), int(rng.integers(2, 6))
    return datasets.make_gaussian_quantiles(
        n_samples=n, n_features=columns, n_classes=classes, random_state=_state(rng)
    )


@family(1000, 6000)
def spheres(rng, n):
    """Hastie's 10-D sphere."""
    X, y = datasets.make_hastie_10_2(n, random_state=_state(rng))
    return X, y.astype(int)


@family(2000, 6000)
def classes_30(rng, n):
    """30 classes on columns of whole numbers."""
    return _clusters(rng, n, 30)


@family(3000, 6000)
def classes_100(rng, n):
    """100 classes on columns of whole numbers."""
    return _clusters(rng, n, 100)


@family(200, 400)
def wide(rng, n):
    """Few rows of 100 to 400 columns, 5 to 20 of which matter: labels."""
    X, y = _wide(rng, n)
    return X, _relabel(rng, _classes(rng, y, 2, 3), 0.05)


@family(200, 400)
def wide_targets(rng, n):
    """Few rows of 100 to 400 columns, 5 to 20 of which matter: targets."""
    return _wide(rng, n)


@family(300, 6000)
def label_noise(rng, n):
    """Smooth classes of which 10 to 40 % of the labels are drawn again."""
    X, y = smooth_classes(rng, n)
    return X, _relabel(rng, y, rng.uniform(0.1, 0.4))


@family(300, 4000)
def interactions(rng, n):
    """Labels from the signs of products of 2 or 3 columns, with noise."""
    X = rng.standard_normal((n, _columns(rng, 6, 20)))
    y = rng.uniform(0, 0.3) * rng.standard_normal(n)
    for _ in range(int(rng.integers(1, 5))):
        used = rng.choice(X.shape[1], int(rng.integers(2, 4)), replace=False)
        y = y + np.sign(X[:, used]).prod(axis=1) * rng.uniform(0.5, 1)
    return X, (y > 0).astype(int)


@family(300, 4000)
def rare_class(rng, n):
    """Two classes, the rarer one 2 to 10 % of the rows."""
    X = _correlated(rng, n, _columns(rng))
    score = _smooth(rng, X) + 0.3 * rng.standard_normal(n)
    return X, (score > np.quantile(score, rng.uniform(0.9, 0.98))).astype(int)


@family(200, 2000)
def plane(rng, n):
    """Noisy labels on two sides of a plane: what a linear model is made for."""
    X = _correlated(rng, n, _columns(rng))
    along = X @ rng.standard_normal(X.shape[1]) / np.sqrt(X.shape[1])
    return X, (rng.random(n) < expit(rng.uniform(2, 6) * along)).astype(int)


@family(500, 4000)
def duplicates(rng, n):
    """Rows that come 2 to 6 times on average, in both parts, with labels that may differ."""
    X, y = smooth_classes(rng, n)
    rows = rng.integers(0, round(n / rng.uniform(2, 6)), n)
    return X[rows], _relabel(rng, y[rows], rng.uniform(0, 0.2))


@family(500, 4000)
def duplicates_targets(rng, n):
    """Rows that come 2 to 6 times on average, in both parts, with targets that differ."""
    X, y = smooth_grid(rng, n)
    rows = rng.integers(0, round(n / rng.uniform(2, 6)), n)
    return X[rows], y[rows] + rng.uniform(0, 0.5) * rng.standard_normal(n)


def _state(rng):
    """A seed for scikit-learn."""
    return int(rng.integers(2**31))


def _heavy(rng, X):
    """Each column stretched: sinh with either sign, or exp with positive values alone."""
    stretch, one_sided = rng.uniform(0.8, 2, X.shape[1]), rng.random(X.shape[1]) < 0.5
    return np.where(one_sided, np.exp(stretch * X), np.sinh(stretch * X))


def _clusters(rng, n, n_classes):
    """1 to 3 Gaussian clusters per class, each with its own spread, rounded to 0..15."""
    columns, n_clusters = int(rng.integers(10, 25)), n_classes * int(rng.integers(1, 4))
    centres = rng.uniform(3, 12, (n_clusters, columns))
    spreads = rng.uniform(1, 3.5, (n_clusters, columns))
    drawn = rng.integers(0, n_clusters, n)
    X = centres[drawn] + spreads[drawn] * rng.standard_normal((n, columns))
    return np.round(X).clip(0, 15), drawn % n_classes


def _wide(rng, n):
    X = _correlated(rng, n, int(rng.integers(100, 401)))
    used = rng.choice(X.shape[1], int(rng.integers(5, 21)), replace=False)
    y = X[:, used] @ rng.standard_normal(len(used)) / np.sqrt(len(used))
    y = y + 0.5 * np.tanh(X[:, used[0]] * X[:, used[1]])
    return X, y + 0.2 * rng.standard_normal(n)
