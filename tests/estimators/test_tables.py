"""Tables of any kind, type and size."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from samples import X, Y, assert_same_network, classifier
from scipy import sparse

X_INT = np.round(X * 10)  # whole numbers up to 79: exact in every dtype


def frame(names, make):
    return lambda X: make(dict(zip(names, X.T, strict=True)))


DTYPES = ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u8", ">f8", ">i4"]
DENSE = {
    **{dtype: lambda X, dtype=dtype: X.astype(dtype) for dtype in DTYPES},
    "object": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "pandas": frame("abcd", pd.DataFrame),
    "pandas nullable": lambda X: pd.DataFrame(X).convert_dtypes(),
    "polars": frame("abcd", pl.DataFrame),
}
SPARSE = {
    f"{kind}_{shape}": getattr(sparse, f"{kind}_{shape}")
    for kind in ("csr", "csc", "coo")
    for shape in ("matrix", "array")
}


@pytest.mark.parametrize("name", [*DENSE, *SPARSE])
def test_any_kind_of_table(name):
    to_table = (DENSE | SPARSE)[name]
    plain = classifier().fit(X_INT, Y)
    model = classifier().fit(to_table(X_INT), Y)
    assert_same_network(model, plain)
    for rows in (slice(None), slice(0, 3)):  # few rows are encoded another way
        table = to_table(X_INT[rows])
        np.testing.assert_array_equal(
            model.decision_function(table), plain.decision_function(X_INT[rows])
        )
        np.testing.assert_array_equal(
            model.simulate(table, n_accum_bits=4).predictions,
            plain.simulate(X_INT[rows], n_accum_bits=4).predictions,
        )


def test_bool_tables():
    table = X_INT.mean(axis=0) < X_INT
    model = classifier().fit(table, Y)
    assert_same_network(model, classifier().fit(table.astype(float), Y))
    np.testing.assert_array_equal(model.predict(table[:2]), model.predict(table)[:2])


def test_read_only_input_is_left_alone():
    table, y = X.copy(), Y.copy()
    table.setflags(write=False)
    y.setflags(write=False)
    classifier(early_stopping=True).fit(table, y).predict(table)


@pytest.mark.parametrize("value", [1e300, 1e-300, np.finfo("f4").max, 1e305])
def test_extreme_values(value):
    table = np.clip((X - X.mean(axis=0)) / X.std(axis=0) / 4, -1, 1) * value
    model = classifier((16,), max_epochs=30).fit(table, Y)
    assert model.score(table, Y) > 0.8
    assert np.isfinite(model.decision_function(-table)).all()


def test_small_and_constant_tables():
    for table, y in [
        (X[[0, 60]], Y[[0, 60]]),  # two rows
        (X[:, :1], Y),  # one column
        (np.ones((30, 3)), np.arange(30) % 2),  # nothing to learn from
        (np.hstack([X, np.ones((150, 2))]), Y),  # constant columns
    ]:
        model = classifier().fit(table, y)
        assert np.isin(model.predict(table * 3 - 1), y).all()
        assert model.simulate(table - 7).overflow_rate == 0
        for layer in model.integer_network_.layers:
            assert layer.accumulator_bits.max() <= 8


def test_large_sparse_tables_are_never_dense_as_a_whole():
    rng = np.random.default_rng(0)
    table = sparse.random(20_000, 400, 0.01, format="csr", random_state=rng)
    y = np.asarray(table[:, :200].sum(axis=1)).ravel() > 1
    model = classifier(max_epochs=1, n_input_segments=1).fit(table[:400], y[:400])
    tracemalloc.start()
    try:
        predictions = model.predict(table)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * 20_000 * 400 * 8, "as much as the dense table"
    np.testing.assert_array_equal(predictions[-50:], model.predict(table[-50:].toarray()))


def test_huge_float16_values_are_not_infinite():
    table = (X * 8000).astype(np.float16)
    assert classifier().fit(table, Y).predict(table[:2]).shape == (2,)


def test_feature_names(fitted):
    table = pd.DataFrame(X, columns=["w", "x", "y", "z"])
    model = classifier().fit(table, Y)
    np.testing.assert_array_equal(model.feature_names_in_, table.columns)
    np.testing.assert_array_equal(model.integer_network_.feature_names, table.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.rename(columns={"w": "unseen"}))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[["z", "y", "x", "w"]])
    model.fit(X, Y)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 4
