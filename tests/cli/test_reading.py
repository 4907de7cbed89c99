"""Files of mixed types become a task, or one clear sentence."""

import numpy as np
import pytest

from qnnprune.cli._errors import InputError
from qnnprune.cli._reading import read_table

pd = pytest.importorskip("pandas")


def _frame(n_rows=40):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": rng.normal(size=n_rows),
            "count": rng.integers(0, 100, n_rows),
            "colour": rng.choice(["red", "green"], n_rows),
            "flag": rng.integers(0, 2, n_rows).astype(bool),
            "label": np.arange(n_rows) % 2,
        }
    )


@pytest.fixture
def write(tmp_path):
    def _write(frame, name="table.csv", **options):
        path = tmp_path / name
        if name.endswith(".parquet"):
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, **options)
        return str(path)

    return _write


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("table.csv", {}),
        ("table.csv", {"sep": ";"}),
        ("table.tsv", {"sep": "\t"}),
        ("table.csv.gz", {}),
        ("table.parquet", {}),
    ],
)
def test_formats_give_the_same_table(write, name, options):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", exc_type=ImportError)
    table = read_table(write(_frame(), name, **options), "label")
    assert table.task == "classification"
    np.testing.assert_array_equal(table.y, np.arange(40) % 2)
    expected = _frame().drop(columns="label")
    for column in ("amount", "count"):
        np.testing.assert_allclose(table.X[column], expected[column], atol=1e-12)
    for column in ("colour", "flag"):
        assert table.X[column].tolist() == expected[column].astype(str).tolist()
    assert len(table.X.columns) == 4


@pytest.mark.parametrize(
    ("values", "task", "dtype"),
    [
        (["yes", "no"], "classification", "U"),
        ([True, False], "classification", "U"),
        ([1, 2, 3], "classification", "i"),
        ([1.0, 2.0, 3.0], "classification", "i"),
        ([0.5, 1.5, 2.5], "regression", "f"),
        (list(range(30)), "regression", "f"),
    ],
)
def test_the_target_decides_the_task(write, values, task, dtype):
    frame = _frame(60).assign(target=np.resize(np.array(values), 60))
    table = read_table(write(frame), "target")
    assert table.task == task
    assert table.y.dtype.kind == dtype
    assert table.n_classes == (len(values) if task == "classification" else 0)


def test_task_is_forced(write):
    path = write(_frame())
    assert read_table(path, "label", "regression").y.dtype == np.float64
    assert read_table(path, "flag", "classification").task == "classification"
    with pytest.raises(InputError, match="'colour' is not numeric"):
        read_table(path, "colour", "regression")


def test_missing_values(write):
    frame = _frame()
    frame.loc[0, "amount"] = np.inf
    frame.loc[1, "amount"] = np.nan
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[2, "colour"] = None
    frame["flag"] = frame["flag"].astype(object)
    frame.loc[3, "flag"] = None
    frame["nothing"] = np.nan
    frame["label"] = frame["label"].astype("Int64")
    frame.loc[4, "label"] = pd.NA
    table = read_table(write(frame), "label")
    assert len(table.y) == 39
    assert "left out: 1 without a value of 'label'" in table.description
    # rows 0 and 1 lost an infinity and a gap; row 4 has no label
    assert np.flatnonzero(table.X["amount"].isna()).tolist() == [0, 1]
    assert np.flatnonzero(table.X["colour"].isna()).tolist() == [2]
    assert np.flatnonzero(table.X["flag"].isna()).tolist() == [3]
    assert list(table.X) == ["amount", "count", "colour", "flag"]
    assert "left out: 'nothing' (no value)" in table.description
    assert "counted as missing: 'amount' ('inf')" in table.description


def test_columns_that_only_parquet_has(write):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    from datetime import date, timedelta
    from decimal import Decimal

    frame = _frame().assign(
        day=[date(2026, 1, 1) + timedelta(days=i) for i in range(40)],
        time=pd.date_range("2026-01-01", periods=40, freq="h", tz="UTC"),
        price=[Decimal(i) / 4 for i in range(40)],
        kind=pd.Categorical(["a", "b"] * 20),
        whole=pd.array([1, 2, None, None] * 10, dtype="Int64"),
    )
    table = read_table(write(frame, "table.parquet"), "label")
    numbers, dates = table.X.select_dtypes("number"), table.X.select_dtypes("datetime")
    assert set(numbers) == {"amount", "count", "price", "whole"}
    assert dates["day"].tolist() == list(pd.date_range("2026-01-01", periods=40))
    assert dates["time"].tolist() == list(pd.date_range("2026-01-01", periods=40, freq="h"))
    np.testing.assert_allclose(numbers["price"], np.arange(40) / 4)
    assert set(table.X) - set(numbers) - set(dates) == {"colour", "flag", "kind"}
    assert any("'day' (from 2026-01-01" in line for line in table.description)


def test_split_keeps_every_class_in_both_parts(write):
    frame = _frame(100).assign(label=np.r_[np.zeros(92, int), np.ones(8, int)])
    X_train, X_test, y_train, y_test = read_table(write(frame), "label").split(seed=0)
    assert (len(X_train), len(X_test)) == (75, 25)
    assert (y_train.sum(), y_test.sum()) == (6, 2)


def test_split_with_a_class_of_one_row(write):
    frame = _frame(40).assign(label=["a"] * 20 + ["b"] * 19 + ["c"])
    parts = read_table(write(frame), "label").split(seed=0)
    assert sorted([*parts[2], *parts[3]]) == sorted(frame["label"])


@pytest.mark.parametrize(
    ("change", "target", "message"),
    [
        (lambda f: f, "labl", "no column 'labl': did you mean 'label'"),
        (lambda f: f, "zzz", "its columns are 'amount', 'count'"),
        (lambda f: f.assign(label=1), "label", "only one value, 1.0"),
        (lambda f: f.assign(label="x"), "label", "only one value, x"),
        (lambda f: f[:19], "label", "19 rows"),
        (lambda f: f[["label"]], "label", "no column besides 'label'"),
        (lambda f: f.assign(name=[f"n{i}" for i in range(40)]), "name", "40 different labels"),
    ],
)
def test_unusable_tables(write, change, target, message):
    with pytest.raises(InputError, match=message):
        read_table(write(change(_frame())), target)


def test_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_table(str(tmp_path / "none.csv"), "label")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(str(tmp_path / "empty.csv"), "label")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(InputError, match=r"cannot be read|pyarrow"):
        read_table(str(tmp_path / "bad.parquet"), "label")


def test_without_pandas(write, monkeypatch):
    path = write(_frame())
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        read_table(path, "label")
