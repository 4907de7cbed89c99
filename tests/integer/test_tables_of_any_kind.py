"""Tables of any kind: a network takes what the estimator takes, and says what it refuses."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from qnnprune import PrunedNeuralNetClassifier

NAMES = ["a", "b", "column_names"]
X = np.random.default_rng(0).normal(size=(60, 3)).round(2)
FRAME = pd.DataFrame(X, columns=NAMES)
GAPS = FRAME.where(FRAME < 1)


@pytest.fixture(scope="module")
def model():
    settings = {"max_epochs": 5, "random_state": 0}
    return PrunedNeuralNetClassifier((6,), **settings).fit(FRAME, X[:, 0] > 0)


def columns(change):
    return {name: change(FRAME[name]).tolist() for name in NAMES}


WHOLE = FRAME.round().astype(int)
TABLES = {
    "pandas": FRAME,
    "pandas objects": FRAME.astype(object),
    "pandas Float64": FRAME.astype("Float64"),
    "pandas Int64": WHOLE.astype("Int64"),
    "pandas boolean": (FRAME > 0).astype("boolean"),
    "pandas arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas categories": WHOLE.astype("category"),
    "mixed": FRAME.assign(a=WHOLE.a, b=FRAME.b > 0),
    "mixed nullable": FRAME.assign(a=WHOLE.a.astype("Int64"), b=(FRAME.b > 0).astype("boolean")),
    "decimals": FRAME.map(lambda value: Decimal(str(value))),
    "polars": pl.from_pandas(FRAME),
    "polars integers": pl.from_pandas(WHOLE),
    "arrow": pa.Table.from_pandas(FRAME),
    "arrow batch": pa.RecordBatch.from_pandas(FRAME),
    "arrow integers": pa.Table.from_pandas(WHOLE),
    "a dict": {name: X[:, place].tolist() for place, name in enumerate(NAMES)},
    "lists": X.tolist(),
    "tuples": list(map(tuple, X)),
    "unmasked": np.ma.array(X),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", TABLES)
def test_a_network_takes_what_the_estimator_takes(model, name):
    table, network = TABLES[name], model.integer_network_
    plain = np.array(list(table.values())).T if isinstance(table, dict) else np.asarray(table)
    plain = plain.astype(float)
    expected = model.predict_proba(plain)[:, 1]
    decision = network.decision(table)[:, 0]
    np.testing.assert_allclose(1 / (1 + np.exp(-decision)), expected)
    np.testing.assert_array_equal(network.predict(table), expected > 0.5)
    np.testing.assert_array_equal(network.simulate(table).predictions, expected > 0.5)
    if not isinstance(table, dict):
        np.testing.assert_array_equal(model.predict(table), expected > 0.5)
    np.testing.assert_array_equal(network.quantize_input(table), network.quantize_input(plain))


WITH_GAPS = {
    "NaN": GAPS,
    "NA of Float64": GAPS.astype("Float64"),
    "NA of arrow": GAPS.convert_dtypes(dtype_backend="pyarrow"),
    "null of arrow": pa.Table.from_pandas(GAPS),
    "null of polars": pl.from_pandas(GAPS),
    "None": FRAME.astype(object).where(FRAME < 1, None),
    "decimals": FRAME.map(lambda value: Decimal(str(value))).where(FRAME < 1, None),
    "lists": [[None if value >= 1 else value for value in row] for row in X.tolist()],
    "a dict": {name: [None if v >= 1 else v for v in FRAME[name]] for name in NAMES},
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", WITH_GAPS)
def test_gaps_count_as_the_median_where_training_had_none(model, name):
    table, network = WITH_GAPS[name], model.integer_network_
    medians = np.sort(X, axis=0)[29]  # the lower one of 60
    filled = np.where(GAPS.isna(), medians, X)
    np.testing.assert_array_equal(network.decision(table), network.decision(filled))
    if name not in ("lists", "a dict"):
        np.testing.assert_array_equal(model.predict(table), model.predict(filled))


OTHER = FRAME[["b", "a", "column_names"]]
REFUSED = {
    "pandas": (OTHER, r"columns \['b', 'a', 'column_names'\]"),
    "polars": (pl.from_pandas(OTHER), r"columns \['b', 'a', 'column_names'\]"),
    "arrow": (pa.Table.from_pandas(OTHER), r"columns \['b', 'a', 'column_names'\]"),
    "arrow batch": (pa.RecordBatch.from_pandas(OTHER), r"columns \['b', 'a', 'column_names'\]"),
    "pandas text": (FRAME.astype(str), "'a' holds text, but numbers were fitted"),
    "polars text": (pl.DataFrame(columns(lambda c: c.astype(str))), "'a' holds text, but numbers"),
    "arrow text": (pa.table(columns(lambda c: c.astype(str))), "'a' holds text, but numbers"),
    "text in lists": ([["a", 1, 2]], "'a' holds text, but numbers"),
    "dates": (FRAME.assign(b=pd.date_range("2020", periods=60)), "'b' holds dates, but numbers"),
    "spans": (
        FRAME.assign(b=pd.to_timedelta(FRAME.b)),
        "'b' holds values of type timedelta64.*, but numbers",
    ),
    "complex numbers": (
        FRAME.assign(b=1j),
        "'b' holds values of type complex128, but numbers were fitted",
    ),
    "text among numbers": (FRAME.assign(b=["x", *X[1:, 1]]), "'b' holds values of different kinds"),
    "other objects": (
        FRAME.assign(b=[{}] * 60),
        "'b' holds values of type dict, but numbers were fitted",
    ),
    "masked": (np.ma.array(X, mask=X > 1), "X has masked values"),
    "records": (FRAME.to_records(index=False), r"X has shape \(60,\)"),
    "a dict of uneven columns": ({"a": [0.0], "b": [], "column_names": [1]}, "different lengths"),
    "a wide frame": (FRAME.assign(more=1, other=2), r"has the columns \['more', 'other'\]"),
    "a narrow frame": (FRAME[["b"]], r"lacks the columns \['a', 'column_names'\]"),
    "huge integers": ([[10**400, 0, 0]], "'a' has values too large"),
    "a column twice": (
        FRAME[["a", "b", "column_names", "b"]],
        r"has the columns \['b'\] more than once",
    ),
    "a dict of one row": (dict(zip(NAMES, X[0], strict=True)), "each must be a list of values"),
    "uneven rows": ([[1, 2, 3], [4]], "rows of different lengths"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_a_sentence(model, name):
    table, message = REFUSED[name]
    for call in (model.integer_network_.predict, model.integer_network_.quantize_input):
        with pytest.raises(ValueError, match=message) as error:
            call(table)
        assert len(str(error.value)) < 300


def test_what_estimators_refuse_in_a_sentence_of_their_own(model):
    twice = FRAME[["a", "b", "column_names", "b"]]
    for call in (model.predict, lambda X: model.fit(X, [0, 1] * 30)):
        with pytest.raises(ValueError, match=r"X has the columns \['b'\] more than once"):
            call(twice)
        with pytest.raises(TypeError, match="X is a dict of columns: pass a DataFrame"):
            call({name: FRAME[name].tolist() for name in NAMES})
