import numpy as np
import pytest
from pipelines import EveryCode, around_thresholds, assert_same, fold
from sklearn.datasets import load_iris
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

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
