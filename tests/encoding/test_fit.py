"""Thresholds between training values, however close these are; columns of sparse tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix

from qnnprune.encoding import fit_encoding, fit_input_encoding
from qnnprune.encoding._fit import count_graded


@given(st.floats(-1e300, 1e300), st.integers(1, 4), st.integers(1, 3))
def test_neighbouring_floats_get_levels_of_their_own(value, n_values, n_bits):
    values = [value]
    for _ in range(n_values):
        values.append(np.nextafter(values[-1], np.inf))
    column = np.array(values)
    encoding = fit_encoding([column], None, n_segments=16, n_bits=n_bits)
    levels = encoding.levels(column[:, None]).ravel().tolist()
    assert len(set(levels)) == len(values)


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix])
def test_sparse_columns_are_those_of_the_dense_table(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 9)).round(1) * (rng.random((60, 9)) < 0.3)
    X[:, 4] = 0
    table = kind(X)
    doubled = csr_matrix(
        (
            np.r_[table.tocoo().data, [1.0, 2.0]],
            (np.r_[table.tocoo().row, [0, 0]], np.r_[table.tocoo().col, [4, 4]]),
        ),
        shape=X.shape,
    )
    X2 = X.copy()
    X2[0, 4] = 3  # entries that are there twice add up
    weight = rng.integers(0, 3, 60).astype(float)
    for found, dense in ((table, X), (doubled, X2)):
        fits = [
            fit_input_encoding(t, weight, n_segments=16, n_bits=2, random_state=None)
            for t in (found, dense)
        ]
        np.testing.assert_array_equal(fits[0].thresholds, fits[1].thresholds)
        np.testing.assert_array_equal(fits[0].n_segments, fits[1].n_segments)
        assert (
            count_graded(found, weight)
            == count_graded(dense, weight)
            == sum(len(np.unique(column[weight > 0])) > 2 for column in dense.T)
        )
