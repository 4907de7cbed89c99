"""Docstrings of the public names: nothing is missing, and those of both estimators agree."""

import dataclasses
import importlib
import inspect
import warnings
from functools import cached_property
from types import FunctionType

import pytest
from sklearn.utils._testing import assert_docstring_consistency

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.estimators import FloatTwinClassifier, FloatTwinRegressor

validation = pytest.importorskip("numpydoc.validate")
docscrape = pytest.importorskip("numpydoc.docscrape")

MODULES = [
    "qnnprune", "qnnprune.accumulators", "qnnprune.audit", "qnnprune.encoding", "qnnprune.estimators",
    "qnnprune.exceptions", "qnnprune.export", "qnnprune.inspection", "qnnprune.integer", "qnnprune.nn",
    "qnnprune.pruning", "qnnprune.search", "qnnprune.service",
]  # fmt: skip

# What numpydoc asks for and this code base does not, with the reason.
HOUSE_STYLE = {
    "ES01": "a summary is often enough",
    "EX01": "examples are where they teach something",
    "SA01": "references are where a reader may look for the other name",
    "SS05": "a summary may be a noun phrase, whose plural looks like a verb",
    "PR06": "an integer array may have any integer type, not only int",
    "PR07": "the type with its shape can say all, as in X",
    "RT03": "the type with its shape can say all, as in predictions",
}
# Made by `float_twin`, with the parameters of the estimator.
TWINS = {
    FloatTwinClassifier: PrunedNeuralNetClassifier,
    FloatTwinRegressor: PrunedNeuralNetRegressor,
}


def _members(cls):
    """Public methods and properties that this package defines."""
    members = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("qnnprune"):
            members.update(vars(base))
    kinds = (FunctionType, staticmethod, classmethod, property, cached_property)
    # skorch documents what it hands to the hooks of a callback.
    hidden = ("_", "on_")
    return {n: m for n, m in members.items() if not n.startswith(hidden) and isinstance(m, kinds)}


def _public():
    """Functions, classes, their methods and properties, each with one name to import it by."""
    names = {}
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            item, path = getattr(module, name), f"{module.__name__}.{name}"
            if callable(item):
                names.setdefault(item, path)
            if inspect.isclass(item):
                for method, member in _members(item).items():
                    names.setdefault(member, f"{path}.{method}")
    return {name: item for item, name in names.items()}


PUBLIC = _public()
DATACLASSES = {name: item for name, item in PUBLIC.items() if dataclasses.is_dataclass(item)}


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_is_complete(name):
    allowed = set(HOUSE_STYLE)
    if name in DATACLASSES or PUBLIC[name] in TWINS:
        allowed.add("PR01")  # the tests below are about their parameters
    errors = validation.validate(name)["errors"]
    assert [error for error in errors if error[0] not in allowed] == []


@pytest.mark.parametrize("name", DATACLASSES)
def test_attributes_are_the_fields(name):
    sections = docscrape.NumpyDocString(inspect.getdoc(DATACLASSES[name]))
    documented = {field for entry in sections["Attributes"] for field in entry.name.split(", ")}
    assert {field.name for field in dataclasses.fields(DATACLASSES[name])} <= documented


@pytest.mark.parametrize(("twin", "estimator"), TWINS.items(), ids=lambda cls: cls.__name__)
def test_twins_take_what_their_estimators_take(twin, estimator):
    assert inspect.signature(twin) == inspect.signature(estimator)


def test_the_estimators_document_what_they_share_in_the_same_words():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an entry that only one of them has is a warning
        assert_docstring_consistency(
            [PrunedNeuralNetClassifier, PrunedNeuralNetRegressor],
            include_params=True,
            exclude_params=["class_weight", "loss", "quantile"],
            include_attrs=True,
            exclude_attrs=["classes_"],
        )
