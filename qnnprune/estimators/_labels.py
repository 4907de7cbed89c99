"""Labels of a classifier: one of several for each row, or any number of several."""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ._magnitudes import even_weight

__all__ = ["AnyOf", "OneOf", "is_matrix"]

# e**-_CERTAIN is nothing beside 1, in float64 and in float32.
_CERTAIN = 64.0
_UNLEARNT = (
    "of the last training, which going on would unlearn: pass rows of every label, or use "
    "partial_fit, or a new estimator."
)


def is_matrix(y) -> bool:
    """Whether y has several columns, each of which stands for a label."""
    return np.ndim(y) == 2 and np.shape(y)[1] > 1


class OneOf:
    """Classes that exclude each other.

    Parameters
    ----------
    classes : array of shape (n_classes,)
        In ascending order.
    """

    shape = "(n_samples,)"

    def __init__(self, classes: np.ndarray):
        self.classes = classes

    @classmethod
    def found(cls, y) -> OneOf:
        """The labels of some rows."""
        y = column_or_1d(y)  # `encoded` warns
        check_classification_targets(y)
        return cls(np.unique(y))

    @property
    def n_outputs(self) -> int:
        """Number of logits: 1 for two classes, else one a class."""
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return "binary" if self.n_outputs == 1 else "multiclass"

    def encoded(self, y) -> np.ndarray:
        """Class indices, int64 of shape (n_samples,).

        Raises
        ------
        ValueError
            If a label is none of the classes.
        """
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        index = self._places(y)
        unknown = self.classes[index] != y
        if unknown.any():
            raise ValueError(f"y has labels that are not among classes: {np.unique(y[unknown])!r}.")
        return index.astype(np.int64)

    def _places(self, y) -> np.ndarray:
        """Where each label is among classes, if it is there."""
        try:
            index = np.searchsorted(self.classes, y)
        except TypeError:  # dates have no order among other labels
            return np.zeros(len(y), dtype=np.intp)
        return np.minimum(index, len(self.classes) - 1)

    def refuse_lack(self, index: np.ndarray, was_learnt: np.ndarray) -> None:
        """Refuse rows that lack a label.

        Raises
        ------
        ValueError
        """
        missing = np.delete(self.classes, np.unique(index))
        if len(missing):
            raise ValueError(f"y lacks the labels {missing.tolist()!r} {_UNLEARNT}")

    def factors(self, class_weight, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """What `class_weight` multiplies the weight of each row by."""
        if class_weight is None:
            return np.ones(len(index))
        if class_weight == "balanced":
            return _balanced(index, weight, len(self.classes))[index]
        return even_weight(self._given(class_weight))[index]

    def _given(self, class_weight: dict) -> np.ndarray:
        """Values of the dict by class; 1 for a class that it lacks."""
        labels = self.classes.tolist()
        known = [label for label in labels if label in class_weight]
        if len(known) < min(len(labels), len(class_weight)):
            raise ValueError(
                f"class_weight={class_weight!r} has keys that are no labels, while "
                f"{[label for label in labels if label not in class_weight]!r} have no weight."
            )
        factors = [class_weight.get(label, 1.0) for label in labels]
        if not all(isinstance(f, Real) and 0 <= f < np.inf for f in factors):
            raise ValueError(f"class_weight={class_weight!r} must be finite and not negative.")
        return np.array(factors, dtype=np.float64)

    def output_map(self, index: np.ndarray, may_follow: bool) -> tuple[np.ndarray, np.ndarray]:
        """Logits as they are; or that leave no choice, where all rows have one label.

        Where others may follow, they do leave one.
        """
        n, first = self.n_outputs, index[0]
        if (may_follow and len(self.classes) > 1) or (index != first).any():
            return np.zeros(n), np.ones(n)
        mean = np.where(np.arange(n) == first, _CERTAIN, 0.0)
        return (mean if n > 1 else np.array([_CERTAIN if first else -_CERTAIN])), np.zeros(n)


class AnyOf:
    """Labels of which a row may have any number; its target has a column of 0 and 1 for each.

    Parameters
    ----------
    classes : array of shape (n_labels,)
        Their numbers, from 0 on.
    """

    loss, shape = "labels", "(n_samples, n_labels)"

    def __init__(self, classes: np.ndarray):
        self.classes = classes

    @classmethod
    def found(cls, y) -> AnyOf:
        """One label a column."""
        return cls(np.arange(y.shape[1]))

    @property
    def n_outputs(self) -> int:
        """Number of logits, one a label."""
        return len(self.classes)

    def encoded(self, y) -> np.ndarray:
        """0 and 1, float64 of shape (n_samples, n_labels).

        Raises
        ------
        ValueError
            If there are other values, or labels.
        """
        others = y[~np.isin(y, (0, 1))] if y.dtype.kind in "biuf" else y.ravel()
        if len(others):
            raise ValueError(
                f"y has {y.shape[1]} columns, and the value {others.tolist()[0]!r} among others: pass a 1d "
                "array of labels or, where a row may have several labels, a column of 0 and 1 for "
                "each, as sklearn.preprocessing.MultiLabelBinarizer makes them."
            )
        if not np.array_equal(self.classes, np.arange(y.shape[1])):
            raise ValueError(
                f"y has {y.shape[1]} columns, but the labels are {self.classes!r}: they must be "
                "the numbers of the columns, from 0 on."
            )
        return y.astype(np.float64)

    def refuse_lack(self, y: np.ndarray, was_learnt: np.ndarray) -> None:
        """Refuse rows that agree in a label that was learnt from others.

        Raises
        ------
        ValueError
        """
        constant = self.classes[_constant(y) & was_learnt]
        if len(constant):
            raise ValueError(
                f"y lacks rows with, or without, the labels {constant.tolist()!r} {_UNLEARNT}"
            )

    def factors(self, class_weight, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """What `class_weight` multiplies the weight of each row by.

        "balanced" multiplies what it would for each label by itself, as scikit-learn does.
        """
        if class_weight is None:
            return np.ones(len(y))
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight={class_weight!r} is for labels of which each row has one: use "
                "'balanced', or sample_weight in fit."
            )
        columns = y.T.astype(np.int64)
        return even_weight(np.prod([_balanced(c, weight, 2)[c] for c in columns], axis=0))

    def output_map(self, y: np.ndarray, may_follow: bool) -> tuple[np.ndarray, np.ndarray]:
        """Logits as they are; of a label in which all rows agree, one that leaves no choice."""
        constant = _constant(y) & (not may_follow)
        certain = np.where(y[0] > 0, _CERTAIN, -_CERTAIN)
        return np.where(constant, certain, 0.0), np.where(constant, 0.0, 1.0)


def _constant(y: np.ndarray) -> np.ndarray:
    return (y == y[0]).all(axis=0)


def _balanced(index: np.ndarray, weight: np.ndarray, n_classes: int) -> np.ndarray:
    """Factors that give all classes with a weight the same."""
    total = np.bincount(index, weight, minlength=n_classes)
    return np.divide(
        weight.sum(), total * np.count_nonzero(total), where=total > 0, out=np.zeros_like(total)
    )
