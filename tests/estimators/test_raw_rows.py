"""Raw rows: gaps, categories and dates, as they stand in a frame."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from samples import NoTraining, assert_same_network, assert_unchanged, classifier, regressor
from sklearn.utils import get_tags
from skorch.callbacks import EpochScoring

from qnnprune import IntegerNetwork
from qnnprune.encoding._categories import MOST_CATEGORIES

RNG = np.random.default_rng(0)
N = 240
AGE = RNG.normal(40, 9, N).round(1)
CITY = RNG.choice(["Bonn", "Köln", "Ulm"], N, p=[0.6, 0.3, 0.1])
COUNT = RNG.integers(0, 5, N)
DAY = np.datetime64("2020-01-01") + RNG.integers(0, 900, N)
FRAME = pd.DataFrame({"age": AGE, "city": CITY, "count": COUNT, "member": AGE > 45, "since": DAY})
Y = (AGE > 40) ^ (CITY == "Köln")
GAPS = FRAME.astype({"count": float, "city": object, "member": object})
for place, name in enumerate(("age", "city", "count")):
    GAPS.loc[place::9, name] = None
GAPS.loc[5::7, "since"] = pd.NaT


def texts(frame):
    return frame.assign(city=frame.city.astype(object))


FRAMES = {
    "objects": texts,
    "strings": lambda frame: frame.assign(city=frame.city.astype("string")),
    "categories": lambda frame: frame.assign(city=frame.city.astype("category")),
    "nullable": lambda frame: frame.convert_dtypes(),
    "arrow types": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.from_pandas,
    "polars categories": lambda frame: pl.from_pandas(frame).with_columns(
        pl.col("city").cast(pl.Categorical)
    ),
    "polars enumeration": lambda frame: pl.from_pandas(frame).with_columns(
        pl.col("city").cast(pl.Enum(["Ulm", "Köln", "Bonn"]))
    ),
    "arrow": pa.Table.from_pandas,
    "arrow dictionary": lambda frame: pa.Table.from_pandas(
        frame.assign(city=frame.city.astype("category"))
    ),
    "dates of days": lambda frame: frame.assign(since=frame.since.astype("datetime64[s]")),
    "dates as objects": lambda frame: frame.assign(since=frame.since.dt.date.astype(object)),
    "dates of a zone": lambda frame: frame.assign(since=frame.since.dt.tz_localize("UTC")),
}


@pytest.fixture(scope="module")
def model():
    return classifier((16,), max_epochs=20).fit(FRAME, Y)


@pytest.fixture(scope="module")
def gappy():
    return classifier((16,), max_epochs=20).fit(GAPS, Y)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("gaps", [False, True])
def test_frames_of_any_kind(model, gappy, name, gaps):
    model, frame = (gappy, GAPS) if gaps else (model, FRAME)
    table = FRAMES[name](frame.astype({"member": bool}))
    again = classifier((16,), max_epochs=20).fit(table, Y)
    assert_same_network(again, model)
    expected = model.predict_proba(frame)
    for predict in (again.predict_proba, model.integer_network_.predict_proba):
        np.testing.assert_array_equal(predict(table), expected)
        np.testing.assert_array_equal(predict(table[:1]), expected[:1])


def test_what_was_learned(model, gappy):
    encoding = model.integer_network_.encoding
    assert [None if c is None else c.tolist() for c in model.categories_] == [
        None, ["Bonn", "Köln", "Ulm"], None, None, None
    ]  # fmt: skip
    assert encoding.is_date.tolist() == [False, False, False, False, True]
    assert [table is None for table in encoding.tables] == [True, False, True, True, True]
    gaps = gappy.integer_network_.encoding
    assert [table is None for table in gaps.tables] == [False, False, False, True, False]
    assert model.score(FRAME, Y) > 0.85
    assert get_tags(model).input_tags.allow_nan


def test_days_are_counted_from_1970(model):
    encoding = model.integer_network_.encoding
    row = FRAME.iloc[:1].assign(since=pd.Timestamp("1970-01-03 18:00"))
    assert encoding.numbers(row)[0].tolist()[-1] == 2.75
    zone = row.assign(since=pd.Timestamp("1970-01-03 18:00", tz="Etc/GMT-2"))  # 16:00 in UTC
    assert encoding.numbers(zone)[0, -1] == pytest.approx(2 + 16 / 24)


def test_unknown_categories_are_as_rare_ones():
    names = np.array([f"c{i:03}" for i in range(200)])
    city = np.concatenate([np.repeat(names[:150], 5), np.repeat(names[150:], 2)])
    frame = pd.DataFrame({"city": city, "x": np.arange(len(city)) % 7})
    model = classifier().fit(frame, np.arange(len(city)) % 2)
    known = model.categories_[0]
    assert known.tolist() == names[:MOST_CATEGORIES].tolist()  # the first ones of equal frequency
    others = frame.iloc[:1].assign(city="c199"), frame.iloc[:1].assign(city="never seen")
    codes = [model.integer_network_.quantize_input(other).tolist() for other in others]
    assert codes[0] == codes[1]
    expected = [[-2] * MOST_CATEGORIES + [1]]  # a code of their own, as training saw some
    assert [row[: MOST_CATEGORIES + 1] for row in codes[0]] == expected


def test_codes_of_categories_and_gaps(gappy, model):
    encoding = gappy.integer_network_.encoding
    bonn, gap = GAPS.assign(city="Bonn").iloc[[3]], GAPS.assign(city=None).iloc[[3]]
    new = GAPS.assign(city="Aachen").iloc[[3]]
    at = np.flatnonzero(encoding.feature == 1)
    rows = [gappy.integer_network_.quantize_input(row)[0, at].tolist() for row in (bonn, gap, new)]
    assert rows == [[1, -2, -2, -2], [-2, -2, -2, 1], [-2, -2, -2, -2]]
    # The numbers with gaps: their median, and a code that tells.
    at = np.flatnonzero(encoding.feature == 0)
    median = GAPS.assign(age=np.sort(GAPS.age.dropna())[(GAPS.age.count() - 1) // 2]).iloc[[3]]
    rows = [
        gappy.integer_network_.quantize_input(row)[0, at].tolist()
        for row in (median, GAPS.assign(age=np.nan).iloc[[3]])
    ]
    assert rows[0][:-1] == rows[1][:-1]
    assert [row[-1] for row in rows] == [-2, 1]
    # Where training saw no gaps, a category is unknown and a number is the median.
    network = model.integer_network_
    gaps = FRAME.iloc[[3]].assign(city=None, age=np.nan)
    filled = FRAME.iloc[[3]].assign(city="Aachen", age=np.sort(AGE)[(N - 1) // 2])
    np.testing.assert_array_equal(network.quantize_input(gaps), network.quantize_input(filled))


def test_categories_of_arrays():
    table = np.column_stack([COUNT, AGE])
    for chosen in ([0], [True, False], np.array([-2])):
        model = classifier(categorical_features=chosen).fit(table, Y)
        assert model.categories_[0].tolist() == [0, 1, 2, 3, 4]
        assert model.categories_[1] is None
        unknown, fraction = table[:1].copy(), table[:1].copy()
        unknown[0, 0], fraction[0, 0] = 99, 2.5
        assert model.predict_proba(unknown).tolist() == model.predict_proba(fraction).tolist()
    mixed = pd.DataFrame({"city": CITY, "age": AGE}).to_numpy(dtype=object)
    model = classifier(categorical_features=[0]).fit(mixed, Y)
    expected = model.predict_proba(mixed)
    assert model.categories_[0].tolist() == ["Bonn", "Köln", "Ulm"]
    np.testing.assert_array_equal(model.predict_proba(mixed.tolist()), expected)
    network = model.integer_network_
    np.testing.assert_array_equal(network.predict_proba(mixed), expected)
    by_name = classifier(categorical_features=["city"]).fit(FRAME[["city", "age"]], Y)
    assert_same_network(by_name, model)


def test_gaps_in_arrays_and_sparse_tables():
    from scipy import sparse

    table = np.column_stack([COUNT, AGE])
    table[::5, 1] = np.nan
    model = classifier().fit(table, Y)
    assert_same_network(classifier().fit(sparse.csr_matrix(table), Y), model)
    np.testing.assert_array_equal(model.predict(sparse.csr_matrix(table)), model.predict(table))
    expected = model.predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(pd.DataFrame(table)), expected)
    with pytest.raises(ValueError, match=r"categorical_features=\[0\] needs a dense table"):
        classifier(categorical_features=[0]).fit(sparse.csr_matrix(table), Y)
    nothing = np.full_like(table, np.nan)
    assert np.isin(classifier().fit(nothing, Y).predict(table), Y).all()


def test_weights_count_rows_and_their_order_does_not_matter():
    weight = RNG.integers(0, 3, N)
    rows = RNG.permutation(np.repeat(np.arange(N), weight))
    for frame in (FRAME, GAPS):
        weighted = classifier().fit(frame, Y, sample_weight=weight)
        assert_same_network(classifier().fit(frame.iloc[rows], Y[rows]), weighted)
    frame = FRAME.assign(city=np.where(weight > 0, "a", "b"))
    assert classifier().fit(frame, Y, sample_weight=weight).categories_[1].tolist() == ["a"]


def test_further_training_keeps_the_categories():
    first = FRAME[CITY != "Ulm"]
    model = classifier().partial_fit(first, Y[CITY != "Ulm"], classes=[False, True])
    model.partial_fit(GAPS, Y).prune(FRAME, Y, n_accum_bits=6)
    assert model.categories_[1].tolist() == ["Bonn", "Köln"]
    assert model.narrow_accumulator(FRAME, Y, tol=1.0, least=5).best == 5
    warm = classifier(warm_start=True).fit(first, Y[CITY != "Ulm"]).fit(GAPS, Y)
    assert warm.categories_[1].tolist() == ["Bonn", "Köln"]
    assert warm.n_iter_ == 6


def test_float_twins_take_the_same_rows(model):
    twin = model.float_twin().fit(GAPS, Y)
    assert twin.score(GAPS, Y) > 0.8
    assert twin.categories_[1].tolist() == ["Bonn", "Köln", "Ulm"]
    gaps = GAPS.assign(city="Aachen")
    assert twin.predict_proba(gaps).shape == (N, 2)


def test_the_module_and_the_network_agree(gappy):
    import torch

    network, levels = gappy.integer_network_, None
    levels = network.encoding.levels(network.encoding.numbers(GAPS))
    with torch.no_grad():
        output = gappy.module_(torch.from_numpy(levels)).numpy()
    np.testing.assert_allclose(output, network.decision(GAPS), rtol=1e-4, atol=1e-4)
    values = gappy.module_.input(torch.from_numpy(levels)).numpy()
    expected = (network.encoding.codes(levels) + 0.5) * 2 / 3
    constant = np.ptp(network.encoding.input_range, axis=1) == 0
    np.testing.assert_allclose(values[:, ~constant], expected[:, ~constant], atol=1e-6)


def test_callbacks_score_raw_rows():
    scoring = EpochScoring("accuracy", on_train=True, name="seen", lower_is_better=False)
    model = classifier(callbacks=[scoring]).fit(GAPS, Y)
    assert len([record["seen"] for record in model.history_]) == 3


def test_regression_on_raw_rows():
    model = regressor((16,), max_epochs=20).fit(GAPS, AGE)
    network = model.integer_network_
    np.testing.assert_array_equal(network.predict(GAPS), model.predict(GAPS))
    assert model.score(GAPS[GAPS.age.notna()], AGE[GAPS.age.notna()]) > 0.8


REFUSED = {
    "another name": (FRAME.rename(columns={"age": "years"}), "years"),
    "another order": (FRAME[FRAME.columns[::-1]], "order"),
    "too many columns": (FRAME.assign(more=1), "more"),
    "too few": (FRAME[["age"]], "city"),
    "text for a number": (FRAME.assign(age="old"), "'age' holds text, but numbers were fitted"),
    "number for text": (FRAME.assign(city=1.5), "'city' holds numbers, but text was fitted"),
    "date for a number": (FRAME.assign(age=FRAME.since), "'age' holds dates, but numbers were"),
    "number for a date": (FRAME.assign(since=1.5), "'since' holds numbers, but dates were fitted"),
    "text for a date": (FRAME.assign(since="now"), "'since' holds text, but dates were fitted"),
    "date for text": (FRAME.assign(city=FRAME.since), "'city' holds dates, but text was fitted"),
    "some numbers": (FRAME.assign(city=[1, *CITY[1:]]), "'city' holds values of different kinds"),
    "infinity": (FRAME.assign(age=np.inf), "'age' contains infinity"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_column(model, name):
    table, message = REFUSED[name]
    for predict in (model.predict, model.integer_network_.predict, model.simulate):
        with pytest.raises(ValueError, match=message):
            predict(table)
    going_on = classifier(warm_start=True, max_epochs=1).fit(FRAME, Y)
    going_on.set_params(callbacks=[NoTraining()])
    before = dict(vars(going_on))
    with pytest.raises(ValueError, match=message):
        going_on.fit(table, Y)
    assert_unchanged(going_on, before)


UNFIT = {
    "mixed": (FRAME.assign(city=[1, *CITY[1:]]), "from_dtype", "'city' holds values of different"),
    "spans": (FRAME.assign(age=pd.to_timedelta(AGE)), "from_dtype", "'age' holds values of type"),
    "text": (FRAME, None, "'city' holds text, but is not among categorical_features"),
    "other text": (FRAME, ["count"], "'city' holds text, but is not among"),
    "a wrong name": (FRAME, ["town"], r"names \['town'\], which are no columns"),
    "a wrong index": (FRAME, [9], r"categorical_features=\[9\] has no such columns"),
    "a short mask": (FRAME, [True], "mask of 5"),
    "floats": (FRAME, [0.5], "mask of 5"),
    "dates": (FRAME, ["city", "since"], "'since' holds dates, but categories must be"),
    "infinity": (FRAME.assign(age=np.inf), "from_dtype", "'age' contains infinity"),
    "infinite category": (FRAME.assign(age=np.inf), ["age", "city"], "'age' contains infinity"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_be_fitted(name):
    table, chosen, message = UNFIT[name]
    model = classifier(categorical_features=chosen, callbacks=[NoTraining()])
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(table, Y)
    assert_unchanged(model, before)


def test_a_saved_network_takes_raw_rows_with_numpy_alone(gappy, tmp_path):
    gappy.integer_network_.save(tmp_path / "net.npz")
    rows = GAPS.iloc[:20]
    columns = {
        "age": rows.age.tolist(), "city": rows.city.tolist(), "count": rows["count"].tolist(),
        "member": rows.member.tolist(), "since": rows.since.astype(str).fillna("NaT").tolist(),
    }  # fmt: skip
    program = f"""
import sys
for name in ("torch", "sklearn", "pandas", "brevitas", "skorch"):
    sys.modules[name] = None
import numpy as np
from numpy import nan
from qnnprune import IntegerNetwork
columns = {columns!r}
columns["since"] = np.array(columns["since"], dtype="M8[D]")
network = IntegerNetwork.load({str(tmp_path / "net.npz")!r})
print(network.predict_proba(columns).tolist())
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert eval(found.stdout) == gappy.predict_proba(rows).tolist()
    loaded = IntegerNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(loaded.predict(GAPS), gappy.predict(GAPS))


@pytest.mark.parametrize("changed", [None, ["x"], [1]])
def test_what_is_categorical_stays_in_further_training(changed):
    frame = pd.DataFrame({"x": np.arange(40) % 7, "city": ["Bonn", "Ulm"] * 20})
    y = np.arange(40) % 2
    model = classifier(categorical_features=["city"], warm_start=True).fit(frame, y)
    model.set_params(categorical_features=np.array(["city"])).fit(frame, y)
    model.set_params(categorical_features=changed)
    with pytest.raises(ValueError, match=r"categorical_features=.* was \('city',\)"):
        model.fit(frame, y)
