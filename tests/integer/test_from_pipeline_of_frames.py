import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pipelines import EveryCode, around_thresholds, assert_same, fold
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
    TargetEncoder,
)

from qnnprune import IntegerNetwork

pytestmark = pytest.mark.filterwarnings("ignore")
NUMBERS = ["height", "income"]


def frame(n=300, seed=0, *, unseen=False):
    """Numbers with gaps, integers, texts with gaps and rare values, truth values, names."""
    rng = np.random.default_rng(seed)
    height = np.where(rng.random(n) < 0.1, np.nan, rng.normal(170, 10, n))
    colour = rng.choice(["red", "green", "blue", *["mauve"] * unseen], n).astype(object)
    size = rng.choice(["S", "M", "L"], n).astype(object)
    size[:3] = "XXL"
    size[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "height": height,
            "income": np.exp(rng.normal(8, 1, n)),
            "rooms": rng.integers(1, 6, n),
            "colour": colour,
            "size": size,
            "owner": rng.random(n) < 0.5,
            "name": [f"person {i}" for i in range(n)],
        }
    )


X = frame()
Y = (X["income"] > 3000).astype(int) + (X["colour"] == "red")

NUMERIC = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
TEXTS = make_pipeline(
    SimpleImputer(strategy="most_frequent"),
    OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", drop="if_binary"),
)
MIXED = {
    "everything": ColumnTransformer(
        [
            ("numbers", NUMERIC, NUMBERS),
            ("income", make_union(PowerTransformer(), KBinsDiscretizer(4)), ["income"]),
            ("texts", TEXTS, ["colour", "size"]),
            ("rooms", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["rooms"]),
            (
                "rank",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
                ["size"],
            ),
            ("mean", TargetEncoder(cv=3), ["colour", "size"]),
            ("left out", "drop", ["name"]),
        ],
        remainder="passthrough",
    ),
    "selectors": make_column_transformer(
        (NUMERIC, make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(handle_unknown="ignore"), ["colour", "size", "owner"]),
        verbose_feature_names_out=False,
        sparse_threshold=1,
    ),
    "selection after": make_pipeline(
        make_column_transformer((NUMERIC, NUMBERS), (TEXTS, ["colour", "size"])), SelectKBest(k=5)
    ),
    "two levels": make_column_transformer(
        (make_column_transformer((NUMERIC, ["income"]), remainder="passthrough"), NUMBERS),
        (make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), TEXTS), ["size"]),
        remainder="drop",
    ),
    "texts to the estimator": make_column_transformer(
        (NUMERIC, NUMBERS),
        (SimpleImputer(strategy="constant", fill_value="none"), ["size"]),
        ("passthrough", ["colour", "owner"]),
    ).set_output(transform="pandas"),
    "a text that means missing": make_column_transformer(
        (SimpleImputer(missing_values="blue", strategy="most_frequent"), ["colour"]),
        (NUMERIC, NUMBERS),
    ).set_output(transform="pandas"),
}


def fitted(name):
    return make_pipeline(MIXED[name], EveryCode()).fit(X, Y)


def hard_rows(network):
    """Unseen categories, gaps, and numbers on thresholds."""
    rows = around_thresholds(network, np.float64, of_all_sizes=False)
    table = frame(len(rows), seed=1, unseen=True)
    for name in NUMBERS:
        place = list(table).index(name)
        table[name] = rows[:, place]
    table.loc[::11, "height"] = np.nan
    table.loc[::13, "colour"] = np.nan
    return table


@pytest.mark.parametrize("name", MIXED)
def test_every_row_gives_what_the_pipeline_gives(name):
    pipeline = fitted(name)
    network = fold(pipeline)
    assert list(network.feature_names) == list(X)
    assert_same(pipeline, network, X)
    assert_same(pipeline, network, frame(500, seed=2))
    assert_same(pipeline, network, hard_rows(network))


@pytest.mark.parametrize("kinds", [dict.fromkeys(NUMBERS, "float32"), {"income": "float32"}])
def test_float32_counts_as_the_pipeline_counts_it(kinds):
    """Both columns in float32 are scaled in float32, one beside a float64 column is not."""
    pipeline = fitted("selectors" if len(kinds) == 1 else "everything")
    network = fold(pipeline)
    numbers = around_thresholds(network, np.float32, of_all_sizes=False)
    rows = frame(len(numbers), seed=3)
    for name in NUMBERS:
        rows[name] = numbers[:, list(rows).index(name)].astype(np.float64)
    rows = rows.astype(kinds)
    assert_same(pipeline, network, rows)


def test_numbers_that_are_categories_in_a_frame_of_float32():
    both = make_column_transformer((OneHotEncoder(), ["rooms"]), (NUMERIC, ["income"]))
    rows = X[["rooms", "income"]].astype("float32")
    pipeline = make_pipeline(both, EveryCode()).fit(rows)
    network = fold(pipeline)
    assert network.encoding.categories[0].tolist() == [1, 2, 3, 4, 5]
    assert network.encoding.single_thresholds is not None
    assert_same(pipeline, network, rows)
    assert_same(pipeline, network, rows.astype("float64"))


@pytest.mark.parametrize("convert", ["category", "string", "object"])
def test_types_of_text_columns(convert):
    texts = ["colour", "size", "name"]
    rows = X.astype(dict.fromkeys(texts, convert))
    pipeline = fitted("selectors")
    np.testing.assert_array_equal(
        fold(pipeline).decision(rows), pipeline.decision_function(X), strict=True
    )


def test_a_dict_of_columns_and_a_frame_of_polars():
    pl = pytest.importorskip("polars")
    network = fold(fitted("everything"))
    for rows in (X.to_dict("list"), pl.from_pandas(X)):
        np.testing.assert_array_equal(network.decision(rows), network.decision(X))


def test_a_dropped_column_may_hold_anything():
    network = fold(fitted("selectors"))
    rows = X.assign(name=[object()] * len(X))
    np.testing.assert_array_equal(network.decision(rows), network.decision(X))


@pytest.mark.parametrize(
    ("encoder", "column", "value"),
    [
        (OneHotEncoder(), "colour", "mauve"),
        (OrdinalEncoder(), "colour", "mauve"),
        (OneHotEncoder(), "rooms", 9),
        (OneHotEncoder(), "colour", None),
        (OneHotEncoder(), "owner", None),
        (KBinsDiscretizer(3), "income", np.nan),
    ],
)
def test_what_the_pipeline_refuses_is_refused(encoder, column, value):
    pipeline = make_pipeline(make_column_transformer((encoder, [column])), EveryCode()).fit(X)
    network = fold(pipeline)
    assert_same(pipeline, network, X)
    rows = X.head(3).astype({column: object})
    rows.loc[1, column] = value
    with pytest.raises(ValueError):
        pipeline.decision_function(rows)
    with pytest.raises(ValueError, match=f"Column '{column}'"):
        network.decision(rows)


def test_a_saved_network_needs_neither_torch_nor_scikit_learn(tmp_path):
    network = fold(fitted("everything"))
    network.save(tmp_path / "net.npz")
    X.to_json(tmp_path / "rows.json", orient="split")
    np.save(tmp_path / "wanted.npy", network.decision(X))
    code = """
import json, sys
import numpy as np
sys.modules.update(dict.fromkeys(["torch", "sklearn", "pandas", "brevitas"]))
from qnnprune import IntegerNetwork
rows = json.load(open("rows.json"))
X = dict(zip(rows["columns"], map(list, zip(*rows["data"]))))
found = IntegerNetwork.load("net.npz").decision(X)
np.testing.assert_array_equal(found, np.load("wanted.npy"))
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_file_holds_thresholds_for_float32(tmp_path):
    network = fold(make_pipeline(NUMERIC, EveryCode()).fit(X[NUMBERS]))
    assert network.encoding.single_thresholds is not None
    network.save(tmp_path / "net.npz")
    loaded = IntegerNetwork.load(tmp_path / "net.npz")
    rows = around_thresholds(network, np.float32, of_all_sizes=False)
    np.testing.assert_array_equal(loaded.decision(rows), network.decision(rows))
