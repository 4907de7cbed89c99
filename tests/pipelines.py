"""Pipelines to fold, with an estimator that is fitted in no time, and rows to compare them on."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from qnnprune import IntegerNetwork
from qnnprune.encoding import fit_input_encoding
from qnnprune.encoding._categories import learn_columns
from qnnprune.encoding._rows import numbers_of
from qnnprune.integer import OutputLayer

ULPS = 3  # floats on either side of a threshold


class EveryCode(ClassifierMixin, BaseEstimator):
    """An integer network that is not trained: random weights tell almost any codes apart."""

    def __init__(self, n_bits=2, n_segments=4):
        self.n_bits = n_bits
        self.n_segments = n_segments

    def fit(self, X, y=None):
        """Fit the encoding alone."""
        X = X.toarray() if hasattr(X, "toarray") else X
        settings = {"n_segments": self.n_segments, "n_bits": self.n_bits, "random_state": None}
        weight = np.ones(len(X))
        if hasattr(X, "columns"):
            kinds = learn_columns(X, weight, "from_dtype")
            known = {"categories": kinds.categories, "is_date": kinds.is_date}
            X = numbers_of(X, **known)
        else:
            X, known = np.asarray(X).astype(np.result_type(np.asarray(X).dtype, np.float32)), {}
        encoding = fit_input_encoding(X, weight, **settings, **known)
        shape = (8, len(encoding.input_range))
        weight = np.random.RandomState(0).randint(-127, 128, shape).astype(np.int8)
        layer = OutputLayer(weight, encoding.input_range, scale=np.ones(8), bias=np.zeros(8))
        self.integer_network_ = IntegerNetwork(encoding, [layer], n_w_bits=8, n_accum_bits=32)
        return self

    def decision_function(self, X):
        """Sums of all codes, eight of them."""
        return self.integer_network_.decision(X)


def fold(pipeline):
    """The network of a pipeline; folding warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return IntegerNetwork.from_pipeline(pipeline)


def around_thresholds(network, dtype, *, of_all_sizes=True):
    """Rows with each feature on its thresholds and on the floats beside them, and elsewhere."""
    others = anywhere(dtype) if of_all_sizes else []
    columns = []
    for thresholds in network.encoding.thresholds_for(dtype):
        places = thresholds[np.isfinite(thresholds)].astype(dtype)
        below, above = places, places
        near = [places]
        for _ in range(ULPS):
            with np.errstate(over="ignore"):
                below = np.nextafter(below, -np.inf, dtype=dtype)
                above = np.nextafter(above, np.inf, dtype=dtype)
            near += [below, above]
        near = np.concatenate([*near, *others])
        columns.append(near[np.isfinite(near)])
    longest = max(map(len, columns))
    return np.stack([np.resize(column, longest) for column in columns], axis=1)


def anywhere(dtype):
    """Floats of all sizes: zeros, denormals, the largest, and random bits."""
    info = np.finfo(dtype)
    ends = [0, info.smallest_subnormal, info.tiny, 1, 1e10, info.max / 2, info.max]
    integer = np.int32 if dtype == np.float32 else np.int64
    bits = np.random.RandomState(0).randint(np.iinfo(integer).max, size=60, dtype=integer)
    random = bits.view(dtype)
    random = random[np.isfinite(random)]
    common = np.random.RandomState(1).normal(size=200) * 10
    return [np.array(v, dtype=dtype) for v in (ends, random, common)] + [
        -np.array(v, dtype=dtype) for v in (ends, random)
    ]


def assert_same(pipeline, network, rows):
    """Rows for which the pipeline raises an error are left out; most must be left."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        taken = np.concatenate(_taken(pipeline, rows))
        wanted = pipeline.decision_function(rows[taken])
    assert taken.mean() > 0.5
    np.testing.assert_array_equal(network.decision(rows[taken]), wanted)


def _taken(pipeline, rows):
    """Which rows raise no error, part by part."""
    try:
        pipeline.decision_function(rows)
    except ValueError:
        if len(rows) == 1:
            return [np.array([False])]
        half = len(rows) // 2
        return _taken(pipeline, rows[:half]) + _taken(pipeline, rows[half:])
    return [np.ones(len(rows), dtype=bool)]
