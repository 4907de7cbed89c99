from functools import lru_cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pipelines import EveryCode, around_thresholds, assert_same, fold
from samples import classifier, regressor
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from qnnprune import IntegerNetwork
from qnnprune.encoding import InputEncoding
from qnnprune.integer import OutputLayer

X, Y = load_iris(return_X_y=True)
WITH_GAPS = np.where(np.random.RandomState(0).random(X.shape) < 0.1, np.nan, X)
TYPES = [np.float64, np.float32]

NUMERIC = {
    "standard": StandardScaler(),
    "standard, not centred": StandardScaler(with_mean=False),
    "min-max": MinMaxScaler((-3, 7)),
    "min-max, clipped": MinMaxScaler(clip=True),
    "largest": MaxAbsScaler(),
    "robust": RobustScaler(),
    "Yeo-Johnson": PowerTransformer(),
    "Box-Cox": PowerTransformer("box-cox"),
    "quantile": QuantileTransformer(n_quantiles=40),
    "quantile, normal": QuantileTransformer(n_quantiles=40, output_distribution="normal"),
    "bins": KBinsDiscretizer(5, encode="ordinal"),
    "bins, one-hot": KBinsDiscretizer(4),
    "bins, one-hot, dense, float32": KBinsDiscretizer(4, encode="onehot-dense", dtype=np.float32),
    "binary": Binarizer(threshold=2.5),
    "identity": FunctionTransformer(),
    "log": FunctionTransformer(np.log),
    "log of magnitude": FunctionTransformer(lambda x: np.sign(x) * np.log1p(np.abs(x))),
    "falling": FunctionTransformer(np.negative),
    "one-hot of numbers": OneHotEncoder(handle_unknown="ignore"),
    "one-hot, rare together": OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=6, drop="first"
    ),
    "one-hot, most frequent": OneHotEncoder(handle_unknown="ignore", max_categories=5),
    "ordinal of numbers": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "ordinal, unknown missing": OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan
    ),
    "target": TargetEncoder(cv=3),
    "imputed, -1 missing": SimpleImputer(missing_values=1.4),
    "imputed, with indicator": SimpleImputer(missing_values=1.4, add_indicator=True),
    "indicator": make_union(MissingIndicator(missing_values=1.4), "passthrough"),
    "best": SelectKBest(k=2),
    "varied": VarianceThreshold(0.6),
    "union": FeatureUnion(
        [("a", StandardScaler()), ("b", KBinsDiscretizer(3)), ("c", "passthrough"), ("d", "drop")],
        transformer_weights={"a": -2.0},
    ),
    "chain": make_pipeline(StandardScaler(), PowerTransformer(), MinMaxScaler(clip=True)),
    "chain to bins": make_pipeline(PowerTransformer(), KBinsDiscretizer(4), MaxAbsScaler()),
    "chain to one-hot": make_pipeline(
        RobustScaler(), KBinsDiscretizer(6, encode="ordinal"), OneHotEncoder()
    ),
    "chain from float32": make_pipeline(
        FunctionTransformer(lambda x: x.astype(np.float32)), StandardScaler()
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NUMERIC)
def test_every_float_gives_what_the_pipeline_gives(name):
    pipeline = make_pipeline(NUMERIC[name], EveryCode()).fit(X, Y)
    network = fold(pipeline)
    for dtype in TYPES:
        assert_same(pipeline, network, X.astype(dtype))
        assert_same(pipeline, network, around_thresholds(network, dtype))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("add_indicator", [False, True])
def test_gaps_are_imputed_as_the_pipeline_does(strategy, add_indicator):
    imputer = SimpleImputer(strategy=strategy, add_indicator=add_indicator, fill_value=3.0)
    pipeline = make_pipeline(imputer, StandardScaler(), EveryCode()).fit(WITH_GAPS)
    network = fold(pipeline)
    for dtype in TYPES:
        assert_same(pipeline, network, WITH_GAPS.astype(dtype))
        rows = around_thresholds(network, dtype)
        rows[::5, 2] = np.nan
        assert_same(pipeline, network, rows)


def test_a_column_of_gaps_alone_is_left_out_as_the_imputer_does():
    rows = np.column_stack([WITH_GAPS, np.full(len(X), np.nan)])
    with pytest.warns(UserWarning, match="Skipping features"):
        pipeline = make_pipeline(SimpleImputer(add_indicator=True), EveryCode()).fit(rows)
    assert_same(pipeline, fold(pipeline), rows)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, bool])
def test_integers_count_as_the_same_floats(dtype):
    pipeline = make_pipeline(StandardScaler(), KBinsDiscretizer(4), EveryCode()).fit(X)
    rows = X.round().astype(dtype)
    np.testing.assert_array_equal(
        fold(pipeline).decision(rows), pipeline.decision_function(rows), strict=True
    )


def test_unknown_numbers_are_refused_where_the_pipeline_refuses_them():
    rows = X[:, 2:].round()
    pipeline = make_pipeline(OrdinalEncoder(), MinMaxScaler(), EveryCode()).fit(rows)
    network = fold(pipeline)
    for dtype in (*TYPES, np.int64):
        assert_same(pipeline, network, rows.astype(dtype))
    for value in (rows.max() + 1, np.nextafter(rows[0, 0], 9)):
        with pytest.raises(ValueError, match="Column 0 has the value"):
            network.decision([[value, rows[0, 1]]])


def test_minus_zero_is_zero():
    pipeline = make_pipeline(StandardScaler(with_mean=False), Binarizer(threshold=0.0), EveryCode())
    pipeline.fit(np.array([[-1.0], [0.0], [1.0]]))
    network = fold(pipeline)
    for dtype in TYPES:
        rows = np.array([[-0.0], [0.0], [-5e-324], [5e-324]], dtype=dtype)
        assert_same(pipeline, network, rows)


@given(st.data())
def test_any_float_after_a_chain(data):
    pipeline, network = chain_of_powers()
    dtype = data.draw(st.sampled_from(TYPES))
    width = np.finfo(dtype).bits
    value = st.floats(width=width, allow_nan=False, allow_infinity=False)
    row = np.array([data.draw(st.lists(value, min_size=4, max_size=4))], dtype=dtype)
    try:
        wanted = pipeline.decision_function(row)
    except ValueError:  # it overflows on its way
        assume(False)
    np.testing.assert_array_equal(network.decision(row), wanted)


@lru_cache
def chain_of_powers():
    steps = [PowerTransformer(), QuantileTransformer(n_quantiles=30), KBinsDiscretizer(5)]
    pipeline = make_pipeline(*steps, EveryCode()).fit(X)
    return pipeline, fold(pipeline)


def test_thresholds_worked_by_hand():
    """(x - 2) / 2 >= .25 from 2.5 on, and x / 4 >= .25 from 1 on."""
    scaler = StandardScaler().fit([[0.0], [4.0]])
    union = FeatureUnion([("a", scaler), ("b", FunctionTransformer(lambda x: x / 4))])
    thresholds, n_segments = np.full((2, 1), 0.25), np.ones(2, dtype=np.int64)
    encoding = InputEncoding(thresholds, n_segments, 1, missing_level=np.zeros(2, dtype=np.int64))
    weight = np.array([[1, 2]], dtype=np.int8)
    layer = OutputLayer(weight, encoding.input_range, scale=np.ones(1), bias=np.zeros(1))
    last = IntegerNetwork(encoding, [layer], n_w_bits=3, n_accum_bits=4)
    union.fit([[0.0], [4.0]])
    network = fold(Pipeline([("union", union), ("net", last)]))
    np.testing.assert_array_equal(network.encoding.thresholds, [[1.0, 2.5]])
    np.testing.assert_array_equal(network.encoding.tables[0], [[-1, -1], [-1, 0], [0, 0]])
    np.testing.assert_array_equal(network.decision([[0.9], [1.0], [2.5]]), [[-3], [-1], [0]])


def test_a_plain_ramp_stays_one():
    scaler, last = StandardScaler(), EveryCode()
    pipeline = make_pipeline(scaler, last).fit(X)
    encoding, scaled = fold(pipeline).encoding, last.integer_network_.encoding
    assert encoding.tables == (None,) * 4
    np.testing.assert_array_equal(encoding.n_segments, scaled.n_segments)
    np.testing.assert_array_equal(encoding.missing_level, scaled.missing_level)
    wanted = scaler.inverse_transform(scaled.thresholds.T).T
    np.testing.assert_allclose(encoding.thresholds, wanted, rtol=1e-12)


class Doubled(StandardScaler):
    """A user's class may do anything, whatever it is derived from."""

    def transform(self, X):
        return super().transform(X) * 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("step", "words"),
    [
        (PCA(2), r"step pca \(PCA\)"),
        (PolynomialFeatures(), r"step polynomialfeatures \(PolynomialFeatures\)"),
        (Normalizer(), r"step normalizer \(Normalizer\)"),
        (KNNImputer(), r"step knnimputer \(KNNImputer\)"),
        (SplineTransformer(), r"step splinetransformer \(SplineTransformer\)"),
        (make_pipeline(StandardScaler(), PCA(2)), r"step pipeline > pca \(PCA\)"),
        (make_column_transformer((PCA(2), [0, 1, 2])), r"step columntransformer > pca \(PCA\)"),
        (make_union(StandardScaler(), PCA(1)), r"step featureunion > pca \(PCA\)"),
        (FunctionTransformer(np.sin), "step functiontransformer .* rises and falls"),
        (FunctionTransformer(np.square), "step functiontransformer .* rises and falls"),
        (FunctionTransformer(lambda x: x - x.mean(axis=0)), "functiontransformer .* other rows"),
        (FunctionTransformer(lambda x: x[:, ::-1]), "functiontransformer .* other rows"),
        (FunctionTransformer(lambda x: x + x[:, :1]), "functiontransformer .* other rows"),
        (FunctionTransformer(lambda x: x[:, :2]), "functiontransformer .* 4 .* 2"),
        (Doubled(), r"step doubled \(Doubled\)"),
    ],
)
def test_what_cannot_be_folded_is_refused_by_name(step, words):
    pipeline = make_pipeline(step, EveryCode()).fit(X, Y)
    with pytest.raises(ValueError, match=words):
        fold(pipeline)


@pytest.mark.parametrize(
    "model",
    [StandardScaler(), make_pipeline(StandardScaler()), make_pipeline(LogisticRegression())],
)
def test_what_does_not_end_in_an_estimator_of_this_package_is_refused(model):
    with pytest.raises(TypeError, match="pipeline"):
        IntegerNetwork.from_pipeline(model.fit(X, Y))


@pytest.mark.parametrize("task", ["classes", "values"])
def test_estimators_at_the_end(task):
    steps = [SimpleImputer(), make_pipeline(PowerTransformer(), classifier(max_epochs=2))]
    if task == "values":
        steps = [StandardScaler(), regressor(max_epochs=2)]
    pipeline = make_pipeline(*steps).fit(X, Y)
    network = fold(pipeline)
    np.testing.assert_array_equal(network.predict(X), pipeline.predict(X), strict=True)
    if task == "classes":
        np.testing.assert_array_equal(network.predict_proba(X), pipeline.predict_proba(X))


def test_numbers_overflow_before_a_feature_with_a_table():
    rng = np.random.default_rng(0)
    few = rng.choice([1e-3, 2e-3, np.nan], 60)
    X = np.stack([rng.normal(size=60), few], axis=1)
    pipeline = make_pipeline(MinMaxScaler(), EveryCode()).fit(X)
    assert pipeline[-1].integer_network_.encoding.tables[1] is not None
    network = fold(pipeline)
    largest = np.finfo(np.float64).max
    beyond, within = [[0, largest]], [[0, largest / 1e5]]
    np.testing.assert_array_equal(network.decision(beyond), pipeline.decision_function(within))
