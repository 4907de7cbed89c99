"""Fixtures of the estimators' tests."""

import pytest
from samples import X, Y, classifier


@pytest.fixture(scope="session")
def fitted():
    return classifier((16, 8), max_epochs=20).fit(X, Y)
