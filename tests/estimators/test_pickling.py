"""Pickles and copies."""

import copy
import io
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from samples import X, Y, assert_same_network, classifier, regressor
from sklearn.base import clone


def by_joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": by_joblib,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("n_steps", [1, 10, pytest.param(400, marks=pytest.mark.slow)])
def test_copies_of_fitted_estimators(n_steps):
    for make in (classifier, regressor):
        model = make(max_epochs=n_steps, batch_size=150).fit(X, Y)
        levels = torch.from_numpy(model.integer_network_.encoding.levels(X))
        output = model.module_(levels)
        for duplicate in COPIES.values():
            twin = duplicate(model)
            assert_same_network(twin, model)
            assert not twin.module_.training
            assert torch.equal(twin.module_(levels), output)
            np.testing.assert_array_equal(twin.predict(X), model.predict(X))
            assert twin.history_ == model.history_ and twin.get_params() == model.get_params()
            twin.partial_fit(X, Y)
        assert torch.equal(model.module_(levels), output), "a copy shares nothing"
        assert not hasattr(clone(model), "integer_network_")


def test_copies_before_fit_and_before_the_module_is_asked_for():
    for duplicate in COPIES.values():
        assert_same_network(duplicate(classifier()).fit(X, Y), classifier().fit(X, Y))
        model = classifier().fit(X, Y)
        duplicate(model).module_  # noqa: B018


def test_copies_train_on_with_the_same_moments():
    # The moments of the optimizer used to stay behind, so results depended on n_jobs.
    model = classifier(max_epochs=2).fit(X, Y)
    twins = [duplicate(model) for duplicate in COPIES.values()]
    model.partial_fit(X, Y)
    for twin in twins:
        assert_same_network(twin.partial_fit(X, Y), model)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_pickles_of_the_first_version_are_refused(kind):
    with pytest.raises(ImportError, match=r"pickled by qnnprune 0\.1\.0.*integer_network_\.save"):
        pickle.loads((Path(__file__).parent / "data" / f"{kind}-0.1.0.pkl").read_bytes())
