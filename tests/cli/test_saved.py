"""Jobs on a saved network: predictions for files of raw rows, and what a network is."""

import io

import numpy as np
import pytest
from samples import regressor

from qnnprune import IntegerNetwork
from qnnprune.cli._main import main

pd = pytest.importorskip("pandas")


def _frame(n_rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "width": rng.normal(size=n_rows).round(3),
            "colour": rng.choice(["red", "green", None], n_rows),
            "code": rng.choice(["01", "02"], n_rows),
            "day": pd.Timestamp("2026-01-25") + pd.to_timedelta(rng.integers(0, 99, n_rows), "D"),
            "flag": rng.integers(0, 2, n_rows).astype(bool),
        }
    )
    frame.loc[::7, "width"] = np.nan
    frame["kind"] = np.where(frame["day"] > "2026-03-01", "late", "early")
    return frame


@pytest.fixture(scope="module", params=["csv", "parquet"])
def saved(request, tmp_path_factory):
    """A table's path and its network's, as the main job saves it."""
    folder = tmp_path_factory.mktemp("saved")
    table, net = folder / f"table.{request.param}", folder / "net.npz"
    if request.param == "csv":
        _frame().to_csv(table, index=False)
    else:
        pytest.importorskip("pyarrow", exc_type=ImportError)
        _frame().to_parquet(table)
    options = ["--epochs", "2", "--accum-bits", "8", "--categories", "code", "--save", str(net)]
    assert main([str(table), "--target", "kind", *options]) == 0
    return str(table), str(net)


def _predicted(capsys, *arguments):
    capsys.readouterr()
    assert main(["predict", *arguments]) == 0
    return pd.read_csv(io.StringIO(capsys.readouterr().out), dtype=str)["prediction"].tolist()


def _expected(net, frame):
    rows = frame.assign(flag=frame.flag.astype(str))[list(net.feature_names)]
    return net.predict(rows).tolist()


def test_predictions_are_those_of_the_network(saved, capsys, tmp_path):
    table, path = saved
    net = IntegerNetwork.load(path)
    assert set(net.feature_names) == {"width", "colour", "code", "day", "flag"}
    expected = _expected(net, _frame())
    assert _predicted(capsys, path, table) == expected
    new = _frame().iloc[[5, 1]].assign(colour=["violet", None], width=[1e9, np.nan])
    written = tmp_path / "new.csv"
    new[new.columns[::-1]].to_csv(written, index=False, sep=";")
    assert _predicted(capsys, path, str(written)) == _expected(net, new)
    assert main(["predict", path, table, "--out", str(tmp_path / "out.csv")]) == 0
    assert capsys.readouterr().out == ""
    assert pd.read_csv(tmp_path / "out.csv")["prediction"].tolist() == expected


def test_inspect(saved, capsys):
    capsys.readouterr()
    assert main(["inspect", saved[1]]) == 0
    text = capsys.readouterr().out
    net = IntegerNetwork.load(saved[1])
    for part in (
        "Labels   early, late", "width: a number", "colour: one of green, red", "day: a date",
        "code: one of 01, 02", net.model_id, "Proven for every input",
    ):  # fmt: skip
        assert part in text


def test_several_targets_and_columns_without_names(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(40, 2))
    net = regressor().fit(X, np.c_[X[:, 0], -X[:, 1]]).integer_network_
    net.save(tmp_path / "net.npz")
    pd.DataFrame(X).to_csv(tmp_path / "rows.csv", index=False)
    assert main(["predict", str(tmp_path / "net.npz"), str(tmp_path / "rows.csv")]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(found) == ["prediction_0", "prediction_1"]
    np.testing.assert_allclose(found.to_numpy(), net.predict(X))
    pd.DataFrame(X[:, :1]).to_csv(tmp_path / "rows.csv", index=False)
    assert main(["predict", str(tmp_path / "net.npz"), str(tmp_path / "rows.csv")]) == 2
    assert "has 1 columns, but the network takes 2" in capsys.readouterr().err


def test_mistakes_are_one_line(saved, tmp_path, capsys):
    table, path = saved
    rows = str(tmp_path / "rows.csv")
    _frame().drop(columns="day").to_csv(rows, index=False)
    wrong = str(tmp_path / "wrong.csv")
    _frame().assign(width="wide").to_csv(wrong, index=False)
    for arguments, message in [
        (["predict", path, rows], r"lacks the columns ['day']"),
        (["predict", path, wrong], "'width' holds text, but numbers were fitted"),
        (["predict", path, "no-such.csv"], "no file no-such.csv"),
        (["predict", "no-such.npz", table], "no-such.npz"),
        (["predict", table, table], "holds no network"),
        (["predict", path, table, "--out", str(tmp_path / "no" / "such")], "cannot be written"),
        (["predict", path], "required"),
        (["inspect", table], "holds no network"),
    ]:
        capsys.readouterr()
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err and err.count("\n") == 1
