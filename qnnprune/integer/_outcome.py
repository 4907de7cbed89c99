"""What the values of an output layer stand for, and the predictions that they lead to.

=============  ==========================  =================================================
outcome        the values are              predictions are
=============  ==========================  =================================================
"class"        logits of the classes [1]_  the label of the largest
"labels"       a logit for each label      1 where it is positive, else 0
"value"        target values               the same
"log"          their logarithms            their exponentials, which are positive
"quantiles"    quantiles of one target     the same, in ascending order: they never cross [2]_
=============  ==========================  =================================================

.. [1] Of two classes one logit, that of the second.
.. [2] V. Chernozhukov, I. Fernández-Val and A. Galichon, "Quantile and probability curves
   without crossing", Econometrica 2010.  Sorting makes the sum of the pinball losses of a row no
   larger, whatever its target.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LOG_RANGE", "OUTCOMES", "decode", "default_outcome", "log_probabilities", "scaled"]

OUTCOMES = ("class", "labels", "value", "log", "quantiles")

# Beyond these logarithms the exponential is no normal number of float64.
LOG_RANGE = (-708.0, 709.0)


def default_outcome(classes) -> str:
    """What values stand for where nothing is said."""
    return "value" if classes is None else "class"


def decode(
    decision: np.ndarray, classes: np.ndarray | None, outcome: str | None = None
) -> np.ndarray:
    """Turn the output layer's values into predictions.

    Parameters
    ----------
    decision : float64 array of shape (n_samples, n_logits)
    classes : array of shape (n_classes,), or None
        None of a regressor.
    outcome : str, optional
        One of `OUTCOMES`; "class" or "value" by default.

    Returns
    -------
    array of shape (n_samples,), or (n_samples, n_logits) of several labels or values
        Values beyond float64 become its ends.

    Examples
    --------
    >>> decision = np.array([[0.5, -0.5], [-2.0, 1.0]])
    >>> decode(decision, np.array(["a", "b"]))
    array(['a', 'b'], dtype='<U1')
    >>> decode(decision, np.array([0, 1]), "labels")
    array([[1, 0],
           [0, 1]])
    >>> decode(decision, None, "quantiles")
    array([[-0.5,  0.5],
           [-2. ,  1. ]])
    """
    if outcome == "labels":
        return (decision > 0).astype(np.int64)
    if classes is None:
        values = _values(decision, outcome)
        return values[:, 0] if values.shape[1] == 1 else values
    if decision.shape[1] == 1:
        return classes[(decision[:, 0] > 0).astype(np.intp)]
    return classes[decision.argmax(axis=1)]


def _values(decision: np.ndarray, outcome: str | None) -> np.ndarray:
    if outcome == "log":
        return np.exp(np.clip(decision, *LOG_RANGE))
    decision = np.clip(decision, np.finfo(np.float64).min, np.finfo(np.float64).max)
    return np.sort(decision, axis=1) if outcome == "quantiles" else decision


def scaled(values: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """``value * scale + bias`` of every channel.

    Parameters
    ----------
    values : array of shape (n_rows, n_channels, ...)
        Integers in any type.
    scale, bias : float64 arrays of shape (n_channels,)

    Returns
    -------
    float64 array of the shape of `values`

    Examples
    --------
    >>> scaled(np.array([[[1, 2], [3, 4]]]), np.array([10.0, 0.5]), np.array([0.0, 1.0]))
    array([[[10. , 20. ],
            [ 2.5,  3. ]]])
    """
    scale, bias = (part.reshape(-1, *[1] * (values.ndim - 2)) for part in (scale, bias))
    return values * scale + bias


def log_probabilities(
    decision: np.ndarray, n_classes: int, outcome: str | None = None
) -> np.ndarray:
    """Logarithms of the probabilities of classes or, where `outcome` is "labels", of labels.

    Parameters
    ----------
    decision : float64 array of shape (n_samples, n_logits)
        One logit for two classes, else one per class or label.
    n_classes : int
    outcome : str, optional

    Returns
    -------
    float64 array of shape (n_samples, n_classes)

    Examples
    --------
    >>> np.exp(log_probabilities(np.array([[0.0], [np.log(3)]]), n_classes=2))
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
    """
    if outcome == "labels":
        return -np.logaddexp(0, -decision)
    if n_classes == 2:
        decision = np.hstack([np.zeros_like(decision), decision])
    logits = decision - decision.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
