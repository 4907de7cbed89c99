"""Trials beside each other: the same network, whatever `n_jobs`."""

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetClassifier


@pytest.fixture(scope="module")
def rows():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(260, 4))
    return X, (np.sin(3 * X[:, 0]) + X[:, 1] > 0).astype(int)


@pytest.mark.slow
def test_the_network_does_not_depend_on_the_number_of_jobs(rows):
    X, y = rows
    one, two = (
        PrunedNeuralNetClassifier((16,), n_jobs=n_jobs, random_state=0).fit(X, y)
        for n_jobs in (None, 2)
    )
    assert one.integer_network_.model_id == two.integer_network_.model_id
    assert one.loss_curve_ == two.loss_curve_
    for name in ("n_input_segments_", "dropout_", "n_output_sums_"):
        assert getattr(one, name) == getattr(two, name)


def test_numbers_of_jobs_are_checked(rows):
    with pytest.raises(ValueError, match="n_jobs"):
        PrunedNeuralNetClassifier(n_jobs=0.5).fit(*rows)
