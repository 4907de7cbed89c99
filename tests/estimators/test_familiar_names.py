"""Parameters of scikit-learn's multilayer perceptrons point to ours."""

import copy
import inspect
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

X, Y = np.eye(6), np.arange(6) % 2
MAKE = [PrunedNeuralNetClassifier, PrunedNeuralNetRegressor]
THEIRS = {
    "max_iter": "max_epochs",
    "solver": "optimizer",
    "learning_rate_init": "lr",
    "learning_rate": "callbacks",
    "power_t": "callbacks",
    "momentum": "optimizer",
    "nesterovs_momentum": "optimizer",
    "beta_1": "optimizer",
    "beta_2": "optimizer",
    "epsilon": "optimizer",
    "max_fun": "max_epochs",
}


def test_all_of_their_names_are_known():
    # Rows are always shuffled; there is nothing to point to.
    assert set(MLPClassifier().get_params()) - set(MAKE[0]().get_params()) - {"shuffle"} == set(
        THEIRS
    )


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("name", THEIRS)
def test_other_names_point_to_ours(make, name):
    message = f"{make.__name__} has no parameter '{name}': use {THEIRS[name]}"
    with pytest.raises(TypeError, match=message):
        make((4,), **{name: 5})
    net = make()
    before = net.get_params()
    with pytest.raises(ValueError, match=message):
        net.set_params(alpha=1, **{name: 5})
    assert net.get_params() == before
    with pytest.raises(ValueError, match=message):
        GridSearchCV(make((4,)), {name: [5]}, cv=2).fit(X, Y)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_logistic_function_is_called_sigmoid(make, method):
    more = {"classes": [0, 1]} if (make, method) == (MAKE[0], "partial_fit") else {}
    with pytest.raises(ValueError, match="activation='logistic' is called 'sigmoid' here"):
        getattr(make((4,), activation="logistic"), method)(X, Y, **more)
    with pytest.raises(ValueError, match="activation.*'sigmoid'.*'logit'"):
        getattr(make((4,), activation="logit"), method)(X, Y, **more)


@pytest.mark.parametrize("make", MAKE)
def test_parameters_stay_explicit(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_epochs'"):
        make(n_epochs=5)
    with pytest.raises(ValueError, match="Invalid parameter 'n_epochs'"):
        make().set_params(n_epochs=5)
    for shown in (make.__init__, make)[: 2 if sys.version_info >= (3, 11) else 1]:
        kinds = {p.kind for p in inspect.signature(shown).parameters.values()}
        assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    net = make((4,), lr=0.5)
    for copied in (clone(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.get_params() == net.get_params()
    assert net.set_params(lr=0.25) is net and net.lr == 0.25
