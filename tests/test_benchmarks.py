"""What published margins rest on: gaps by hand, synthetic tables, and rows of a CSV."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a module of the benchmarks, which lie outside the package."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    return importlib.import_module


def _rows(scores, task="classification"):
    """Rows from scores by set, then by method, one per seed."""
    return pd.DataFrame(
        {"kind": "real", "task": task, "method": method, "bits": bits, "set": name, "seed": seed}
        | {"score": score, "cpu_seconds": cpu}
        for name, methods in scores.items()
        for (method, bits, cpu), values in methods.items()
        for seed, score in enumerate(values)
    )


MLP, OWN = ("mlp", None, 2.0), ("qnnprune", 8, 6.0)


def test_margins_by_hand(load):
    scores = {
        "far": {MLP: [0.80, 0.80], OWN: [0.92, 0.88]},  # +12 and +8 points, clipped to +5
        "near": {MLP: [0.80, 0.82], OWN: [0.81, 0.82]},  # +1 and 0
        "behind": {MLP: [0.90, 0.90], OWN: [0.87, 0.87]},  # -3
    }
    found = load("_margins").margins(_rows(scores)).set_index("method").loc["qnnprune"]
    assert found["gap"] == pytest.approx((5 + 0.5 - 3) / 3)
    # Seed 0: (5 + 1 - 3) / 3; seed 1: (5 + 0 - 3) / 3.
    assert found["gap_sd"] == pytest.approx(np.std([1, 2 / 3], ddof=1))
    assert (found["n_sets"], found["n_seeds"], found["cpu_ratio"]) == (3, 2, 3)
    assert found["behind"] == "behind -3.0"


def test_margins_of_targets_are_clipped_at_a_tenth(load):
    scores = {
        "far": {MLP: [0.9], OWN: [0.4]},
        "near": {MLP: [0.9], OWN: [0.86]},
    }
    found = load("_margins").margins(_rows(scores, "regression")).set_index("method")
    assert found.loc["qnnprune", "gap"] == pytest.approx((-0.1 - 0.04) / 2)
    assert found.loc["qnnprune", "behind"] == "far -0.500"
    assert np.isnan(found.loc["mlp", "gap"])


def test_seeds_that_not_all_sets_have_do_not_count_for_the_spread(load):
    scores = {
        "both": {MLP: [0.8, 0.8, 0.8], OWN: [0.81, 0.82, 0.9]},
        "short": {MLP: [0.8, 0.8, 0.8], OWN: [0.81, 0.82]},
    }
    found = load("_margins").margins(_rows(scores)).set_index("method").loc["qnnprune"]
    assert found["gap_sd"] == pytest.approx(np.std([1, 2], ddof=1))
    assert found["n_seeds"] == 2


def test_synthetic_tables_are_drawn_by_their_seed(load):
    synthetic = load("_synthetic")
    for name in synthetic.FAMILIES:
        X, X_test, y, y_test = synthetic.make(name, 3)
        for part, again in zip((X, X_test, y, y_test), synthetic.make(name, 3), strict=True):
            np.testing.assert_array_equal(part, again)
        assert 200 <= len(X) == len(y) <= 6000 and len(X_test) == len(y_test) == 2000, name
        assert X.dtype == np.float32 and np.isfinite(X).all() and np.isfinite(X_test).all(), name
        assert y.dtype == np.float32 or set(y_test) <= set(y), name
        assert not np.array_equal(X[:200, :2], synthetic.make(name, 4)[0][:200, :2]), name


def test_families_are_what_they_say(load):
    make = load("_synthetic").make
    assert [len(set(make(f"classes_{n}", 0)[2])) for n in (30, 100)] == [30, 100]
    X, X_test, *_ = make("duplicates", 0)
    assert len(np.unique(X, axis=0)) < len(X) * 0.8
    assert {row.tobytes() for row in X} & {row.tobytes() for row in X_test}
    X, _, y, _ = make("arm", 0)
    angles = X.astype(float).cumsum(axis=1)
    # The squared distance is linear in products of the joints' sines and cosines.
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    products = (waves[:, :, None] * waves[:, None]).reshape(len(X), -1)
    design = np.concatenate([products, waves], axis=1)
    solved = design @ np.linalg.lstsq(design, y.astype(float) ** 2, rcond=None)[0]
    np.testing.assert_allclose(solved, y.astype(float) ** 2, atol=1e-4)


def test_a_run_goes_on_where_the_csv_ends(load, tmp_path):
    run, read = load("_runner").run, load("_tables").read
    cells = [{"set": "a", "bits": None}, {"set": "a", "bits": 8}, {"set": "b", "bits": 8}]
    path, measured = tmp_path / "new" / "cells.csv", []

    def measure(set, bits):
        measured.append((set, bits))
        if len(measured) == 2:  # another run adds a row to the same file
            run(lambda set, bits: {"score": 1.5}, [cells[2]], path)
        return {"score": 0.5}

    run(measure, cells[:2], path)
    run(measure, cells, path)
    assert measured == [("a", None), ("a", 8)]
    where, rows = read(path)
    assert where.startswith("qnnprune ")
    assert sorted(rows["score"]) == [0.5, 0.5, 1.5]


def test_merging_takes_over_only_what_is_missing(load, tmp_path):
    runner, keys = load("_runner"), ["set", "bits"]
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    runner.run(lambda set, bits: {"score": 0.5}, [{"set": "a", "bits": None}], here)
    both = [{"set": "a", "bits": None}, {"set": "a", "bits": 8}]
    runner.run(lambda set, bits: {"score": 1.5, "proven_bits": 7}, both, there)
    runner.merge([there, there], here, keys)
    rows = load("_tables").read(here)[1]
    assert rows["score"].tolist() == [0.5, 1.5]
    assert rows["bits"].isna().tolist() == [True, False]
    there.write_text(there.read_text().replace("qnnprune", "another", 1))
    with pytest.raises(SystemExit, match="another"):
        runner.merge([there], here, keys)
