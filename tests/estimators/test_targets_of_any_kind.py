"""Targets and sample weights of any type: what they mean, or a refusal before training."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from samples import NoTraining

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X = np.random.default_rng(0).normal(size=(40, 3))
INDEX = (X[:, 0] > 0).astype(int)
ODD = np.arange(40) % 2 == 1
DAYS = np.arange("2020-01-01", "2020-02-10", dtype="M8[D]")


def classifier(**settings):
    return PrunedNeuralNetClassifier((4,), max_epochs=1, random_state=0, **settings)


def regressor(**settings):
    return PrunedNeuralNetRegressor((4,), max_epochs=1, random_state=0, **settings)


def refused(make, y, message, **fit):
    with pytest.raises(ValueError, match=message):
        make(callbacks=[NoTraining()]).fit(X, y, **fit)


# ------------------------------------------------------------- targets

NO_NUMBERS = {
    "dates": (DAYS, r"y has dtype datetime64\[D\].*y - y.min\(\)\) / np.timedelta64"),
    "spans": (DAYS - DAYS[0], r"y has dtype timedelta64\[D\].*y / np.timedelta64"),
    "pandas dates": (pd.Series(DAYS), "datetime64"),
    "dates of a time zone": (pd.Series(DAYS).dt.tz_localize("UTC"), "type Timestamp"),
    "periods": (pd.Series(pd.period_range("2020", periods=40)), "type Period"),
    "pandas spans": (pd.Series(DAYS - DAYS[0]), "timedelta64"),
    "arrow dates": (pa.array(DAYS.astype("M8[s]")), "datetime64"),
    "pandas arrow dates": (pd.Series(DAYS).astype("timestamp[ns][pyarrow]"), "datetime64"),
    "polars dates": (pl.Series(DAYS.tolist()), "datetime64"),
    "polars spans": (pl.Series([dt.timedelta(i) for i in range(40)]), "timedelta64"),
    "datetime": ([dt.datetime(2020, 1, 1) + dt.timedelta(i) for i in range(40)], "type datetime"),
    "date": (DAYS.tolist(), "type date"),
    "timedelta": ([dt.timedelta(i) for i in range(40)], "type timedelta"),
    "dates as objects": (np.array(list(DAYS), dtype=object), "type datetime64"),
    "spans as objects": (np.array(list(DAYS - DAYS[0]), dtype=object), "type timedelta64"),
    "one span as an object": (np.array([*X[1:, 0], np.timedelta64(1)], object), "timedelta64"),
    "numbers in text": (X[:, 0].astype(str), r"dtype <U32.*y.astype\(float\)"),
    "numbers in text as objects": (X[:, 0].astype(str).astype(object), "type str"),
    "numbers in text of pandas": (pd.Series(X[:, 0].astype(str)), "type str"),
    "categories of text": (pd.Series(INDEX.astype(str), dtype="category"), "type str"),
    "bytes": (INDEX.astype("S"), r"dtype \|S"),
    "complex": (X[:, 0] + 0j, "Complex data not supported: y has dtype complex128.*y.real"),
    "complex objects": ((X[:, 0] + 0j).astype(object), "type complex"),
    "records": (np.zeros(40, dtype=[("a", int), ("b", int)]), r"dtype \[\('a'"),
    "masked": (np.ma.array(X[:, 0], mask=ODD), r"y is masked at 20 places.*y.filled"),
    "None": ([None, *X[1:, 0]], "y contains None"),
    "NA": (pd.Series(ODD, dtype="boolean").where(ODD), "y contains <NA>"),
    "NaT": (np.array([np.datetime64("NaT"), *X[1:, 0]], dtype=object), "y contains NaT"),
    "NaN of integers": (pd.Series(INDEX, dtype="Int64").where(ODD), "y contains NaN"),
    "null of polars": (pl.Series([None, *INDEX[1:].tolist()]), "y contains NaN"),
    "null of text": (pl.Series([None, *INDEX[1:].astype(str).tolist()]), "y contains None"),
    "NaN of decimals": ([Decimal("nan"), *map(Decimal, range(39))], "y contains NaN"),
    "beyond float64": (np.full(40, np.longdouble("1e400")), "y has values too large for float64"),
    "huge integers": ([10**400 * i for i in range(40)], "y has values too large for float64"),
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_a_regressor_refuses_what_is_no_number(name):
    refused(regressor, *NO_NUMBERS[name])


REAL = {
    "bool": (ODD, ODD),
    "bool objects": (ODD.astype(object), ODD),
    "float16": (INDEX.astype(np.float16), INDEX),
    "long double": (X[:, 0].astype(np.longdouble), X[:, 0]),
    "integers beyond int64": ([2**70 * int(i) for i in INDEX], 2.0**70 * INDEX),
    "decimals": ([Decimal(i) / 4 for i in range(40)], np.arange(40) / 4),
    "arrow decimals": (pa.array([Decimal(i) for i in range(40)]), np.arange(40)),
    "fractions": ([Fraction(i, 4) for i in range(40)], np.arange(40) / 4),
    "mixed numbers": (np.array([True, 2, 3.5, *range(37)], object), [1, 2, 3.5, *range(37)]),
    "unmasked": (np.ma.array(X[:, 0]), X[:, 0]),
    "Int64": (pd.Series(INDEX, dtype="Int64"), INDEX),
    "boolean": (pd.Series(ODD, dtype="boolean"), ODD),
    "pandas arrow": (pd.Series(INDEX, dtype="int64[pyarrow]"), INDEX),
    "arrow": (pa.chunked_array([INDEX]), INDEX),
    "categories of numbers": (pd.Series(INDEX, dtype="category"), INDEX),
    "two columns": (pd.DataFrame({"a": INDEX, "b": ODD}), np.c_[INDEX, ODD]),
}


@pytest.mark.parametrize("name", REAL)
def test_a_regressor_takes_real_numbers_of_any_type(name):
    y, plain = REAL[name]
    model, expected = regressor().fit(X, y), regressor().fit(X, np.asarray(plain, float))
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert model.score(X, y) == expected.score(X, np.asarray(plain, float))


# -------------------------------------------------------------- labels

NO_LABELS = {
    "masked": (np.ma.array(INDEX, mask=ODD), "y is masked at 20 places"),
    "None": (np.array([None, *INDEX[1:].astype(str)], dtype=object), "y contains None"),
    "None in a list": ([None, *INDEX[1:].tolist()], "y contains None"),
    "NaN among text": (pd.Series(INDEX.astype(str)).where(ODD), "y contains nan"),
    "NA of bool": (pd.Series(ODD, dtype="boolean").where(ODD), "y contains <NA>"),
    "NA of text": (pd.Series(INDEX.astype(str), dtype="string").where(ODD), "y contains <NA>"),
    "NaN of integers": (pd.Series(INDEX, dtype="Int64").where(ODD), "y contains NaN"),
    "NaN of categories": (pd.Series(INDEX, dtype="category").where(ODD), "y contains NaN"),
    "null": (pl.Series([None, *INDEX[1:].astype(str).tolist()]), "y contains None"),
    "NaT": (np.where(ODD, DAYS[0], np.datetime64("NaT")), "y contains NaT"),
    "mixed": (np.array([1, "a"], dtype=object)[INDEX], "labels of type int, str"),
    "mixed in a list": ([[1, "a"][i] for i in INDEX], "labels of type int, str"),
    "decimals": ([Decimal(int(i)) for i in INDEX], "labels of type Decimal"),
    "dates of a time zone": (pd.Series(DAYS).dt.tz_localize("UTC"), "labels of type Timestamp"),
    "date": ([dt.date(2020, 1, 1 + int(i)) for i in INDEX], "labels of type date"),
    "complex": (INDEX + 0j, "Complex data not supported: y has dtype complex128"),
    "complex objects": ((INDEX + 0j).astype(object), "labels of type complex"),
    "bytes": (INDEX.astype("S"), r"y has dtype \|S.*y.astype\(str\)"),
    "records": (np.zeros(40, dtype=[("a", int), ("b", int)]), r"y has dtype \[\('a'"),
    "integers beyond int64": ([10**30 * int(i) for i in INDEX], "integers of at most 64 bits"),
    # As floats, the first two would be one label.
    "integers of no type": ([2**63, 2**63 + 1, -1] * 13 + [-1], "integers of at most 64 bits"),
    "lists of some length": ([[1] * (1 + int(i)) for i in INDEX], "inhomogeneous"),
}


@pytest.mark.parametrize("name", NO_LABELS)
def test_a_classifier_refuses_what_is_no_label(name):
    refused(classifier, *NO_LABELS[name])


LABELS = {
    "bool objects": (ODD.astype(object), [False, True]),
    "integer objects": (INDEX.astype(object), [0, 1]),
    "numpy integers as objects": (np.array(list(INDEX), dtype=object), [0, 1]),
    "Int64": (pd.Series(INDEX, dtype="Int64"), [0, 1]),
    "Int64 that floats cannot tell": (pd.Series(2**60 + INDEX, dtype="Int64"), [2**60, 2**60 + 1]),
    "Float64": (pd.Series(INDEX, dtype="Float64"), [0.0, 1.0]),
    "boolean": (pd.Series(ODD, dtype="boolean"), [False, True]),
    "string": (pd.Series(INDEX.astype(str), dtype="string"), ["0", "1"]),
    "pandas arrow integers": (pd.Series(INDEX, dtype="int64[pyarrow]"), [0, 1]),
    "pandas arrow bool": (pd.Series(ODD, dtype="bool[pyarrow]"), [False, True]),
    "arrow": (pa.array(INDEX.astype(str)), ["0", "1"]),
    "arrow dictionary": (pa.array(INDEX.astype(str)).dictionary_encode(), ["0", "1"]),
    "polars categories": (pl.Series(INDEX.astype(str).tolist(), dtype=pl.Categorical), ["0", "1"]),
    "dates": (DAYS[INDEX], DAYS[:2].tolist()),
    "spans": ((DAYS - DAYS[0])[INDEX], (DAYS - DAYS[0])[:2].tolist()),
    "unmasked": (np.ma.array(INDEX), [0, 1]),
}


@pytest.mark.parametrize("name", LABELS)
def test_a_classifier_gives_labels_back_as_their_own_type(name):
    y, classes = LABELS[name]
    index = ODD.astype(int) if isinstance(classes[0], bool) else INDEX
    model, plain = classifier().fit(X, y), classifier().fit(X, index)
    assert model.classes_.tolist() == classes
    assert list(map(type, model.classes_.tolist())) == list(map(type, classes))
    predicted = plain.predict(X)
    assert model.predict(X).tolist() == [classes[i] for i in predicted]
    assert model.score(X, y) == np.mean(predicted == index)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="needs numpy 2")
def test_numpy_strings():
    y = np.array(["a", "b"], dtype=np.dtypes.StringDType())[INDEX]
    refused(regressor, y, "y has dtype StringDType")
    model = classifier().fit(X, y)
    assert model.predict(X).tolist() == classifier().fit(X, y.astype(object)).predict(X).tolist()
    y = np.array(["a", np.nan], dtype=np.dtypes.StringDType(na_object=np.nan))[INDEX]
    refused(classifier, y, "y contains nan")


@pytest.mark.parametrize("y", [DAYS[INDEX], INDEX.astype(str), np.array(["a", "b"])[INDEX]])
def test_labels_of_another_type_than_before_are_unknown(y):
    model = classifier().partial_fit(X, INDEX, classes=[0, 1])
    with pytest.raises(ValueError, match="not among classes"):
        model.partial_fit(X, y)


@pytest.mark.parametrize(
    ("classes", "message"),
    [([0, 1, None], "classes contains None"), ([0, 1, "a"], "classes has labels of type int, str"),
     ([0.0, 1.0, np.nan], "classes contains nan"), ([], "classes is empty")],
)  # fmt: skip
def test_classes_are_labels_as_well(classes, message):
    with pytest.raises(ValueError, match=message):
        classifier(callbacks=[NoTraining()]).partial_fit(X, INDEX, classes=classes)


# ------------------------------------------------- masked tables, weights


@pytest.mark.parametrize("make", [classifier, regressor])
def test_masked_tables_are_refused(make):
    masked = np.ma.array(X, mask=X > 1)
    message = f"X is masked at {(X > 1).sum()} places"
    with pytest.raises(ValueError, match=message):
        make(callbacks=[NoTraining()]).fit(masked, INDEX)
    model = make().fit(np.ma.array(X), INDEX)
    with pytest.raises(ValueError, match=message):
        model.predict(masked)


NO_WEIGHTS = {
    "spans": (np.ones(40, dtype="m8[s]"), r"sample_weight has dtype timedelta64\[s\]"),
    "dates": (DAYS, r"sample_weight has dtype datetime64\[D\]"),
    "text": (np.full(40, "1"), "sample_weight has dtype <U1"),
    "masked": (np.ma.array(np.ones(40), mask=ODD), "sample_weight is masked at 20 places"),
    "None": ([None] + [1] * 39, "sample_weight contains None"),
    "complex": (np.ones(40) + 0j, "Complex data not supported: sample_weight"),
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_are_numbers(make, name):
    weight, message = NO_WEIGHTS[name]
    refused(make, INDEX, message, sample_weight=weight)
    with pytest.raises(ValueError, match=message):
        make().fit(X, INDEX).score(X, INDEX, sample_weight=weight)
