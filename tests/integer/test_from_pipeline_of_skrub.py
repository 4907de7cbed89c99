"""Pipelines that begin with skrub's TableVectorizer: its own, and a small one of the same shape."""

import numpy as np
import pandas as pd
import pytest
from pipelines import EveryCode, fold
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore")


class OfOneColumn:
    """Takes a column, where a step of scikit-learn takes a table."""

    __single_column_transformer__ = True


class CleanNullStrings(OfOneColumn):
    __module__ = "skrub._like"

    def transform(self, column):
        texts = column.astype(object)
        return texts.mask([v in ("None", "nan") or not str(v).strip() for v in texts], None)


class DropUninformative(OfOneColumn):
    __module__ = "skrub._like"

    def __init__(self, drop_):
        self.drop_ = drop_

    def transform(self, column):
        return [] if self.drop_ else column


class CleanCategories(OfOneColumn):
    __module__ = "skrub._like"

    def transform(self, column):
        return column.astype(object).where(column.notna(), np.nan)


class ToStr(CleanCategories):
    __module__ = "skrub._like"

    def transform(self, column):
        return super().transform(column)


class ToFloat(OfOneColumn):
    __module__ = "skrub._like"

    def transform(self, column):
        return pd.to_numeric(column, errors="coerce").astype(np.float32)


class ToDatetime(OfOneColumn):
    __module__ = "skrub._like"

    def transform(self, column):
        return pd.to_datetime(column)


class CheckInputDataFrame:
    module_name_ = "pandas"

    def __init__(self, names):
        self.feature_names_in_, self.feature_names_out_ = names, [str(name) for name in names]


class TableVectorizer(TransformerMixin, BaseEstimator):
    """The attributes that skrub's has after a fit, which puts encoded columns out first."""

    __module__ = "skrub._like"

    def __init__(self, drop_if_constant=False):
        self.drop_if_constant = drop_if_constant

    def fit(self, X, y=None):
        self.feature_names_in_ = list(X.columns)
        self.n_features_in_ = X.shape[1]
        self._preprocessors = [CheckInputDataFrame(self.feature_names_in_)]
        self.all_processing_steps_ = {name: self._fitted(X[[name]]) for name in X}
        made = {name: self._made(X[[name]], name) for name in X}
        self.input_to_outputs_ = {k: list(v.columns) or [k] for k, v in made.items()}
        self.all_outputs_ = list(self._joined(made).columns)
        return self

    def _fitted(self, X):
        column = X.iloc[:, 0]
        first = DropUninformative(self.drop_if_constant and column.nunique(dropna=False) == 1)
        if first.drop_:
            return [first]
        if column.dtype.kind == "M":
            return [first, ToDatetime()]
        if column.dtype.kind in "fib":
            return [first, ToFloat(), {column.name: ToFloat()}]
        categorical = isinstance(column.dtype, pd.CategoricalDtype)
        if not categorical and pd.to_numeric(column, errors="coerce").notna().any():
            return [CleanNullStrings(), first, ToFloat()]
        steps = [first, CleanCategories()] if categorical else [CleanNullStrings(), first, ToStr()]
        for step in steps:
            column = step.transform(column)
        encoder = OneHotEncoder(drop="if_binary", sparse_output=False, handle_unknown="ignore")
        encoder.set_output(transform="pandas").fit(column.to_frame())
        return [*steps, encoder, {name: ToFloat() for name in encoder.get_feature_names_out()}]

    def _made(self, X, name):
        for step in self.all_processing_steps_[name]:
            if isinstance(step, dict):
                X = X.apply(lambda column, step=step: step[column.name].transform(column))
            elif isinstance(step, OneHotEncoder):
                X = step.transform(X)
            else:
                made = step.transform(X.iloc[:, 0])
                X = X.iloc[:, :0] if isinstance(made, list) else made.to_frame()
        return X

    def _joined(self, made):
        return pd.concat(sorted(made.values(), key=lambda part: -part.shape[1]), axis=1)

    def transform(self, X):
        return self._joined({name: self._made(X[[name]], name) for name in X})


@pytest.fixture(params=["alike", "skrub"])
def vectorizer(request):
    return TableVectorizer if request.param == "alike" else _of_skrub()


def _of_skrub():
    return pytest.importorskip("skrub").TableVectorizer


def frame(n=60):
    rng = np.random.default_rng(0)
    size = rng.choice(["S", "M", "L"], n).astype(object)
    size[:5] = None
    return pd.DataFrame(
        {
            "age": np.where(np.arange(n) < 3, np.nan, rng.uniform(0, 90, n)),
            "rooms": rng.integers(1, 6, n),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], n),
            "size": pd.Categorical(size),
            "sex": rng.choice(["m", "f"], n),
            "owner": rng.random(n) < 0.5,
            "always": "same",
        }
    )


def rows(**columns):
    """Rows of the frame, with other values in some columns."""
    n = max(map(len, columns.values()))
    return frame().tail(n).reset_index(drop=True).assign(**columns)


X = frame()
NULL = ["Ulm", "x", " Ulm", "", " ", "\t \n", "None", "nan", "NULL", "?", "N/A", None, np.nan]


def pipeline_of(vectorizer, X=X, *between, **settings):
    return make_pipeline(vectorizer(**settings), *between, EveryCode()).fit(X)


def assert_predicts_the_same(pipeline, network, table):
    np.testing.assert_array_equal(network.decision(table), pipeline.decision_function(table))


@pytest.mark.parametrize("between", [[], [SimpleImputer(), StandardScaler()]])
@pytest.mark.parametrize("drop_if_constant", [False, True])
def test_rows_are_taken_as_the_pipeline_takes_them(vectorizer, between, drop_if_constant):
    pipeline = pipeline_of(vectorizer, X, *between, drop_if_constant=drop_if_constant)
    network = fold(pipeline)
    thresholds = network.encoding.thresholds[0]
    near = [t for t in thresholds[np.isfinite(thresholds)] for _ in range(3)]
    near = np.nextafter(near, np.resize([-np.inf, np.inf, 0], len(near)))
    single = near.astype(np.float32)
    assert_predicts_the_same(pipeline, network, X)
    assert_predicts_the_same(pipeline, network, rows(age=near))
    assert_predicts_the_same(pipeline, network, rows(age=single))
    assert_predicts_the_same(pipeline, network, rows(town=pd.Series(NULL, dtype=object)))
    assert_predicts_the_same(pipeline, network, rows(sex=pd.Series(NULL, dtype=object)))


def test_texts_that_stand_for_gaps_are_unknown_in_a_categorical_column(vectorizer):
    pipeline = pipeline_of(vectorizer)
    network = fold(pipeline)
    sizes = rows(size=pd.Categorical(["S", *NULL, None]))
    assert_predicts_the_same(pipeline, network, sizes)
    codes = network.encoding.codes(network.encoding.levels(network.encoding.numbers(sizes)))
    assert (codes[NULL.index("None") + 1] != codes[-1]).any()  # a text, and a true gap


def test_a_text_column_whose_gaps_are_a_category_is_refused(vectorizer):
    town = X["town"].astype(object).mask(np.arange(len(X)) < 5, None)
    with pytest.raises(ValueError, match=r"'town' cannot be folded: texts such as ' '.*astype"):
        fold(pipeline_of(vectorizer, X.assign(town=town)))
    fold(pipeline_of(vectorizer, X.assign(town=town.astype("category"))))


def test_texts_that_are_read_as_numbers_are_refused(vectorizer):
    texts = X["rooms"].astype(str)
    with pytest.raises(ValueError, match=r"tablevectorizer > rooms \(ToFloat\) .*to_numeric"):
        fold(pipeline_of(vectorizer, X.assign(rooms=texts)))


def test_dates_are_refused_by_name(vectorizer):
    dates = pd.date_range("2020-01-01", periods=len(X)).astype("datetime64[ns]")
    X_dates = X.assign(born=dates)
    vectorized = vectorizer().fit(X_dates)
    pipeline = make_pipeline(vectorized, EveryCode())
    pipeline[-1].fit(np.zeros((4, 1)))
    with pytest.raises(ValueError, match=r"tablevectorizer > born \((ToDatetime|DatetimeEncoder)"):
        fold(pipeline)


def test_frames_that_cannot_be_made_again_are_refused(vectorizer):
    numbered = X[["age", "owner"]].set_axis([0, 1], axis=1)
    with pytest.raises(ValueError, match="columns .'0', '1'.*texts, all different"):
        fold(pipeline_of(vectorizer, numbered))


def test_frames_of_polars_are_refused():
    frame = pytest.importorskip("polars").DataFrame({"age": np.arange(60.0)})
    with pytest.raises(ValueError, match="fitted on a frame of polars .* frame of pandas"):
        fold(pipeline_of(_of_skrub(), frame))


def test_nullable_integers_are_taken(vectorizer):
    rooms = X["rooms"].astype("Int64").mask(X["rooms"] == 2)
    pipeline = pipeline_of(vectorizer, X.assign(rooms=rooms))
    assert_predicts_the_same(pipeline, fold(pipeline), X.assign(rooms=rooms))


def test_many_texts_are_refused_by_name():
    names = [f"person {i}" for i in range(len(X))]
    with pytest.raises(ValueError, match=r"tablevectorizer > name \(StringEncoder\)"):
        fold(pipeline_of(_of_skrub(), X.assign(name=names)))


def test_encoders_of_ones_own_and_columns_left_out():
    settings = {
        "numeric": StandardScaler(),
        "specific_transformers": [
            ("drop", ["town"]),
            (OneHotEncoder(sparse_output=False), ["sex"]),
        ],
    }
    pipeline = pipeline_of(_of_skrub(), **settings)
    network = fold(pipeline)
    assert_predicts_the_same(pipeline, network, X)
    with pytest.raises(ValueError, match="'sex' has the value 'x'"):
        network.decision(rows(sex=["x"]))


def test_null_strings_of_ones_own_are_gaps():
    pipeline = pipeline_of(_of_skrub(), null_strings="-")
    assert_predicts_the_same(pipeline, fold(pipeline), rows(town=["-", "Ulm", "--"]))
