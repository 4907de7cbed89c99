"""Columns of texts become numbers where that is sure, and whatever happens is named."""

import numpy as np
import pytest

from qnnprune.cli._errors import InputError
from qnnprune.cli._reading import read_table
from qnnprune.cli._texts import Conventions

pd = pytest.importorskip("pandas")

N = 60


@pytest.fixture
def read(tmp_path):
    """Write columns beside a label, and read them."""

    def _read(target="label", sep=",", n_rows=N, **columns):
        options = {name: columns.pop(name) for name in _OPTIONS if name in columns}
        frame = pd.DataFrame({"label": ["a", "b"] * (n_rows // 2), **columns})
        path = tmp_path / "table.csv"
        frame.to_csv(path, index=False, sep=sep)
        return read_table(str(path), target, **options)

    return _read


_OPTIONS = ("conventions", "drop", "categories", "task")


def _floats(seed=0, scale=1.0):
    return (np.random.default_rng(seed).normal(size=N) * scale).round(2)


def _texts(values, format_):
    return [format_.format(value) for value in values]


def _line(table, heading):
    """The part of the description under a heading."""
    lines = [line for line in table.description if line.startswith(f"{heading}: ")]
    assert len(lines) == 1, table.description
    return lines[0].removeprefix(f"{heading}: ")


def _all_lines(table):
    return " | ".join(table.description)


def _swapped(texts):
    return [text.translate(str.maketrans(".,", ",.")) for text in texts]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_decimal_commas(read, sep):
    values = _floats()
    table = read(x=_swapped(_texts(values, "{:.2f}")), sep=sep)
    np.testing.assert_array_equal(table.X["x"], values)
    line = _line(table, "read as numbers")
    assert line.startswith("'x' ('")
    assert "1 numeric column and 0 columns of categories" in table.description[0]


@pytest.mark.parametrize(
    ("format_", "heading"),
    [("${:,.0f}", "'x' ('$"), ("{:.0f}%", "'x' ('"), ("{:.0f} km", "'x' ('")],
)
def test_amounts_percentages_and_units(read, format_, heading):
    values = np.arange(N) * 137.0
    table = read(x=_texts(values, format_))
    np.testing.assert_array_equal(table.X["x"], values)
    assert heading in _line(table, "read as numbers")


def test_plain_numbers_need_no_word(read):
    table = read(x=_floats(), n=np.arange(N) % 7)
    assert len(table.description) == 2


def test_dates(read):
    days = pd.date_range("2026-01-25", periods=N)
    table = read(
        iso=days.strftime("%Y-%m-%d"),
        us=days.strftime("%m/%d/%Y"),
        words=days.strftime("%b %d, %Y"),
    )
    for name in ("iso", "us", "words"):
        np.testing.assert_array_equal(table.X[name], days)
    line = _line(table, "read as dates, in days since the earliest")
    assert "'us' ('01/25/2026' is 2026-01-25)" in line


def test_an_open_question_is_named_and_settled(read):
    thousands = _texts(np.arange(N) * 100 + 1000, "{:,}")
    dates = [f"{i % 12 + 1:02d}/{i // 12 + 1:02d}/2026" for i in range(N)]
    table = read(x=thousands, day=dates, c=np.arange(N) % 7)
    text = _all_lines(table)
    assert "'1,000' is 1000 with --decimal . or 1 with --decimal ," in text
    assert "2026-01-02 with --date-order dmy or 2026-02-01 with --date-order mdy" in text
    assert list(table.X) == ["c"]

    table = read(x=thousands, day=dates, conventions=Conventions(".", "mdy"))
    np.testing.assert_array_equal(table.X["x"], np.arange(N) * 100 + 1000)
    wanted = [pd.Timestamp(2026, i % 12 + 1, i // 12 + 1) for i in range(N)]
    np.testing.assert_array_equal(table.X["day"], wanted)
    table = read(x=thousands, day=dates, conventions=Conventions(",", "dmy"))
    np.testing.assert_array_equal(table.X["x"], np.arange(N) / 10 + 1)


@pytest.mark.parametrize(
    ("other", "values"),
    [(["1,5", "2"], np.arange(N) / 10 + 1), (["1.5", "2"], np.arange(N) * 100.0 + 1000)],
)
def test_other_columns_settle_it(read, other, values):
    table = read(x=_texts(np.arange(N) * 100 + 1000, "{:,}"), other=other * (N // 2))
    np.testing.assert_array_equal(table.X["x"], values)
    assert "'x' ('" in _line(table, "read as numbers")


def test_points_group_thousands_beside_decimal_commas(read):
    thousands = _swapped(_texts(np.arange(N) * 100 + 1000, "{:,}"))
    table = read(x=thousands, other=["1,5", "2"] * (N // 2))
    np.testing.assert_array_equal(table.X["x"], np.arange(N) * 100 + 1000)
    assert "'x' ('1.000' is 1000)" in _line(table, "read as numbers")
    # alone, it is the usual notation
    table = read(x=thousands)
    np.testing.assert_array_equal(table.X["x"], np.arange(N) / 10 + 1)


def test_columns_that_contradict_each_other_settle_nothing(read):
    table = read(
        x=_texts(np.arange(N) % 3 * 100 + 1000, "{:,}"),
        comma=["1,5", "2"] * (N // 2),
        point=["1.5", "2"] * (N // 2),
    )
    assert table.X["x"].dtype == object
    assert table.X["comma"].tolist() == table.X["point"].tolist() == [1.5, 2] * (N // 2)
    assert "'x' ('1,000' is" in _line(table, "undecided, so kept as categories")


def test_texts_that_a_given_convention_excludes(read):
    table = read(x=["1,5", "2"] * (N // 2), conventions=Conventions(decimal="."))
    assert table.X["x"].dtype == object
    line = _line(table, "undecided, so kept as categories")
    assert line == "'x' (not all are numbers with --decimal .)"


@pytest.mark.parametrize("mark", ["?", "-", "n/a", "N.A.", "inf", "#DIV/0!", "unknown", "  "])
def test_marks_of_missing_values(read, mark):
    numbers = [mark if i % 5 == 0 else str(i % 11) for i in range(N)]
    table = read(x=numbers, c=_floats())
    wanted = [np.nan if i % 5 == 0 else i % 11 for i in range(N)]
    np.testing.assert_array_equal(table.X["x"], wanted)
    if mark.strip() and mark != "n/a":
        assert _line(table, "counted as missing") == f"'x' ({mark!r})"


def test_a_mark_is_a_category_among_texts(read):
    table = read(x=["red", "?", "blue"] * (N // 3))
    assert set(table.X["x"]) == {"red", "?", "blue"}


def test_numbers_but_for_some_texts(read):
    numbers = [["none given", "over 90"][i % 2] if i % 5 == 0 else str(i % 11) for i in range(N)]
    table = read(x=numbers)
    assert table.X["x"].dtype == object
    line = _line(table, "undecided, so kept as categories")
    assert line == "'x' (numbers but for 'none given', 'over 90': --missing)"
    table = read(x=numbers, conventions=Conventions(missing=("none given", "over 90")))
    assert table.X["x"].isna().sum() == 12
    assert table.X["x"].dtype == float


def test_only_the_given_texts_are_missing(read):
    given = Conventions(missing=("-999",))
    table = read(x=["-999", "1", "2"] * (N // 3), region=["NA", "EU"] * (N // 2), conventions=given)
    np.testing.assert_array_equal(table.X["x"], [np.nan, 1, 2] * (N // 3))
    assert set(table.X["region"]) == {"NA", "EU"}


def test_given_missing_numbers_in_parquet(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    path = str(tmp_path / "table.parquet")
    pd.DataFrame({"x": [-999, 1, 2] * 10, "y": ["a", "b"] * 15}).to_parquet(path)
    table = read_table(path, "y", conventions=Conventions(missing=("-999",)))
    np.testing.assert_array_equal(table.X["x"], [np.nan, 1, 2] * 10)


def test_numbers_of_two_kinds(read):
    table = read(x=["5 GB", "500 MB"] * (N // 2))
    line = _line(table, "kept as categories")
    assert line == "'x' (numbers of two kinds, like '5 GB' and '500 MB')"


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["01234", "10115", "80331"], "leading zeros"),
        (["1234567890123456789", "1234567890123456788", "1"], "integers of more than 15 digits"),
    ],
)
def test_codes_stay_categories(read, texts, why):
    table = read(code=texts * (N // 3))
    assert set(table.X["code"]) == set(texts)
    assert _line(table, "kept as categories") == f"'code' ({why})"


def test_texts_in_parquet_are_read_like_those_of_csv(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    path = str(tmp_path / "table.parquet")
    pd.DataFrame({"x": ["1,5", "2", None] * 10, "y": ["a", "b"] * 15}).to_parquet(path)
    np.testing.assert_array_equal(read_table(path, "y").X["x"], [1.5, 2, np.nan] * 10)


def test_long_integers_of_parquet_stay_categories(tmp_path):
    pytest.importorskip("pyarrow", exc_type=ImportError)
    path = str(tmp_path / "table.parquet")
    frame = pd.DataFrame({"x": [2**60, 2**60 + 1] * 15, "z": 1.5, "y": ["a", "b", "b"] * 10})
    frame.to_parquet(path)
    table = read_table(path, "y")
    assert set(table.X["x"]) == {str(2**60), str(2**60 + 1)}


def test_yes_and_no_stay_two_categories(read):
    table = read(x=["yes", "no"] * (N // 2), flag=[True, False, False] * (N // 3))
    assert set(table.X["x"]) == {"yes", "no"}
    assert set(table.X["flag"]) == {"True", "False"}


def test_spaces_around_texts_mean_nothing(read):
    table = read(x=["red", " red", "red ", "blue"] * (N // 4), n=[" 1", "2 "] * (N // 2))
    assert set(table.X["x"]) == {"red", "blue"}
    assert table.X["n"].tolist() == [1, 2] * (N // 2)


def test_identifiers_are_left_out(read):
    names = [f"K{i:03d}" for i in range(N)]
    table = read(key=names, c=_floats())
    assert list(table.X) == ["c"]
    assert _line(table, "left out") == "'key' (60 different texts in 60 rows: --categories)"
    assert list(read(key=names, c=_floats(), categories=["key"]).X) == ["key", "c"]


def test_columns_that_say_nothing_are_left_out(read):
    table = read(c=_floats(), five=5, word="x", empty="", gaps=["x", ""] * (N // 2))
    assert list(table.X) == ["c", "gaps"]
    line = _line(table, "left out")
    assert line == "'five' (always 5), 'word' (always x), 'empty' (no value)"


def test_one_number_with_gaps_stays_a_number(read):
    table = read(flag=["1", "", ""] * (N // 3))
    np.testing.assert_array_equal(table.X["flag"], [1, np.nan, np.nan] * (N // 3))


def test_row_numbers(read, tmp_path):
    frame = pd.DataFrame({"c": _floats(), "label": ["a", "b"] * (N // 2)})
    frame.to_csv(tmp_path / "numbered.csv")
    table = read_table(str(tmp_path / "numbered.csv"), "label")
    assert list(table.X) == ["c"]
    assert _line(table, "left out") == "'Unnamed: 0' (numbers the rows)"
    # under a name it may mean something
    shuffled = np.random.default_rng(0).permutation(N) + 1000
    table = read(t=np.arange(N) + 1, userId=shuffled, paid=shuffled)
    assert list(table.X) == ["t", "userId", "paid"]
    line = _line(table, "perhaps without meaning, see --drop")
    assert line == "'t' (numbers the rows), 'userId' (a different number in every row)"


def test_a_copy_of_the_target_is_named(read):
    table = read(c=_floats(), again=["a", "b"] * (N // 2))
    line = _line(table, "perhaps without meaning, see --drop")
    assert line == "'again' (equal to the target)"


def test_many_categories_are_named(read):
    table = read(n_rows=180, x=[f"n{i}" for i in range(152)] + ["n0"] * (180 - 152))
    line = _line(table, "kept as categories, all but the 128 most frequent as one")
    assert line == "'x' (152 different texts)"


def test_drop(read):
    table = read(a=_floats(), b=_floats(1), drop=["a"])
    assert list(table.X) == ["b"]
    assert "left out by --drop: 'a'" in table.description
    with pytest.raises(InputError, match="cannot leave out the target 'label'"):
        read(a=_floats(), drop=["label"])
    with pytest.raises(InputError, match="no column 'aa': did you mean 'a'"):
        read(a=_floats(), drop=["aa"])


def test_categories(read):
    codes = [1, 2, 3] * (N // 3)
    assert read(x=codes).X["x"].dtype == float
    table = read(x=codes, categories=["x"])
    assert set(table.X["x"]) == {"1", "2", "3"}
    assert len(table.description) == 2


def test_no_column_is_left(read):
    message = "no column besides 'label'.*; left out: 'key' .*'1,000' is 1000 with --decimal"
    with pytest.raises(InputError, match=message):
        read(key=_texts(np.arange(N) + 1000, "{:,}"))


def test_long_lists_of_names_are_cut(read):
    table = read(**{f"x{i}": ["1,5", "2"] * (N // 2) for i in range(25)})
    line = _line(table, "read as numbers")
    assert "'x19'" in line
    assert line.endswith(" and 5 more")


@pytest.mark.parametrize("format_", ["{:.2f}", "€ {:.2f}", "{:.2f} %"])
def test_targets_with_decimal_commas(read, format_):
    values = _floats(scale=10)
    table = read("price", c=_floats(1), price=_swapped(_texts(values, format_)))
    assert table.task == "regression"
    np.testing.assert_array_equal(table.y, values)
    assert "'price' (" in _line(table, "read as numbers")


def test_an_open_target_is_refused(read):
    texts = _texts(np.arange(N) * 100 + 1000, "{:,}")
    with pytest.raises(InputError, match="'1,000' is 1000 with --decimal . or 1 with --decimal ,"):
        read("price", price=texts, n=np.arange(N) % 7)
    with pytest.raises(InputError, match="not numeric .*--decimal"):
        read("price", price=texts, n=np.arange(N) % 7, task="regression")
    table = read("price", price=texts, n=np.arange(N) % 7, conventions=Conventions(decimal="."))
    np.testing.assert_array_equal(table.y, np.arange(N) * 100 + 1000)


def test_codes_are_labels(read):
    table = read("code", code=["01", "02", "10"] * (N // 3), c=_floats())
    assert set(table.y) == {"01", "02", "10"}


def test_what_stands_for_no_target_is_named(read):
    table = read("price", price=["?", "n/a", "1,5", "2,5", "3,5"] * (N // 5), c=_floats())
    assert len(table.y) == N * 3 // 5
    assert f"left out: {N * 2 // 5} without a value of 'price' ('?', 'n/a')" in table.description


def test_a_label_that_may_stand_for_no_value_is_named(read):
    table = read("kind", kind=["?", "red", "NA"] * (N // 3), c=_floats())
    assert set(table.y) == {"?", "red"}
    assert "'?' counts as a label of 'kind': --missing" in table.description
    assert f"left out: {N // 3} without a value of 'kind' ('NA')" in table.description
    given = Conventions(missing=("?",))
    table = read("kind", kind=["?", "red", "NA"] * (N // 3), c=_floats(), conventions=given)
    assert set(table.y) == {"red", "NA"}
