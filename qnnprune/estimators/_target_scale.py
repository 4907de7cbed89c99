"""Centre and scale of targets, by the loss, and targets in these units.

=======================================  =================  ========================  ===========
loss                                     centre             scale                     y becomes
=======================================  =================  ========================  ===========
"squared_error"                          mean               standard deviation        (y - c) / s
"absolute_error", "huber", "quantile"    median, quantile   mean absolute deviation   (y - c) / s
                                                            from the median
"poisson", "gamma"                       log of the mean    1                         y / e**c
=======================================  =================  ========================  ===========

The output 0 of a network is then the best constant, and ``c + s * output`` what it predicts, or
the logarithm of that.  A scale of 0 is that of a target that does not vary.
"""

from __future__ import annotations

import numpy as np

from ._magnitudes import exponents

__all__ = [
    "LOSSES",
    "centre_and_scale",
    "check_centre",
    "check_loss",
    "check_targets",
    "levels_of",
    "standardised",
]

LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")

_LOG_LINK = ("poisson", "gamma")


def levels_of(loss: str, quantile) -> tuple | None:
    """The quantiles as a tuple of floats; None of other losses."""
    return tuple(np.ravel(quantile).tolist()) if loss == "quantile" else None


def check_loss(loss: str, quantile) -> None:
    """Refuse quantiles that are none, or have no loss.

    Raises
    ------
    ValueError
    """
    if loss != "quantile":
        if quantile is not None:
            raise ValueError(
                f"quantile={quantile!r} belongs to loss='quantile', but loss={loss!r}: leave it "
                "out, or set that loss."
            )
        return
    levels = np.ravel(quantile)
    right = levels.dtype.kind == "f" and len(levels) and np.ndim(quantile) < 2
    if not right or not (np.diff([0, *levels, 1]) > 0).all():
        raise ValueError(
            f"quantile={quantile!r} must be a number between 0 and 1, or several in ascending "
            "order, for instance quantile=(0.05, 0.5, 0.95)."
        )


def check_targets(y: np.ndarray, loss: str) -> None:
    """Refuse targets that the loss has no value for.

    Parameters
    ----------
    y : float64 array of shape (n_samples, n_targets)
    loss : str

    Raises
    ------
    ValueError
    """
    lowest = y.min()
    if loss in _LOG_LINK and (lowest < 0 or (loss == "gamma" and lowest == 0)):
        needed = "of 0 or more" if loss == "poisson" else "above 0"
        raise ValueError(
            f"loss={loss!r} needs targets {needed}, but y has {lowest:g}: use another loss, for "
            "instance 'squared_error'."
        )


def check_centre(centre: np.ndarray, loss: str) -> None:
    """Refuse targets without a logarithm of their mean.

    Raises
    ------
    ValueError
    """
    if not np.isfinite(centre).all():
        raise ValueError(
            f"loss={loss!r} needs a mean above 0, but y is 0 in all rows that have a weight: use "
            "loss='squared_error', which predicts 0."
        )


def centre_and_scale(y, weight, loss: str, levels=None) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of every output; see the top of this module.

    Parameters
    ----------
    y : float64 array of shape (n_samples, n_targets)
    weight : float64 array of shape (n_samples,)
        All above 0.
    loss : str
    levels : tuple of float, optional
        Quantiles: one for all targets, or several of one target.

    Returns
    -------
    centre, scale : float64 arrays of shape (n_outputs,)
    """
    constant = (y == y[0]).all(axis=0)
    if loss in _LOG_LINK:
        mean, _ = _mean_and_deviation(y, weight)
        with np.errstate(divide="ignore"):
            return np.log(np.where(constant, y[0], mean)), np.ones(y.shape[1])
    if loss == "squared_error":
        centre, scale = _mean_and_deviation(y, weight)
    else:
        centre, scale = _quantiles_and_deviation(y, weight, levels or (0.5,))
    return np.where(constant, y[0], centre), np.where(constant, 0.0, scale)


def _mean_and_deviation(y, weight) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of every column."""
    exponent = exponents(y)
    y = np.ldexp(y, -exponent)
    unit = _largest_magnitude(y)
    mean = np.average(y / unit, axis=0, weights=weight) * unit
    rest = y - mean
    unit = _largest_magnitude(rest)
    scale = np.sqrt(np.average((rest / unit) ** 2, axis=0, weights=weight)) * unit
    return np.ldexp(mean, exponent), np.ldexp(scale, exponent)


def _largest_magnitude(y: np.ndarray) -> np.ndarray:
    """A unit for each column in which no square overflows or vanishes."""
    largest = np.abs(y).max(axis=0)
    return np.where(largest > 0, largest, 1.0)


def _quantiles_and_deviation(y, weight, levels) -> tuple[np.ndarray, np.ndarray]:
    """Weighted quantiles, one of every column or several of one; mean deviation from medians."""
    exponent = exponents(y)
    y = np.ldexp(y, -exponent)
    centre = np.concatenate([_quantile(y, weight, level) for level in levels])
    scale = np.average(np.abs(y - _quantile(y, weight, 0.5)), axis=0, weights=weight)
    return np.ldexp(centre, exponent), np.ldexp(np.broadcast_to(scale, centre.shape), exponent)


def _quantile(y, weight, level: float) -> np.ndarray:
    """Smallest value of each column that at least a share of the weight does not exceed."""
    order = np.argsort(y, axis=0, kind="stable")
    below = np.cumsum(weight[order], axis=0)
    place = (below < level * below[-1]).sum(axis=0, keepdims=True)
    place = np.minimum(place, len(y) - 1)
    return np.take_along_axis(np.take_along_axis(y, order, axis=0), place, axis=0)[0]


def standardised(y, centre, scale, loss: str) -> np.ndarray:
    """Targets in the units of the network's outputs; no step overflows.

    Parameters
    ----------
    y : float64 array of shape (n_samples, n_targets)
    centre, scale : float64 arrays of shape (n_outputs,)
    loss : str

    Returns
    -------
    float64 array of shape (n_samples, n_outputs)
        0 where the scale is.
    """
    if loss in _LOG_LINK:
        return y / np.exp(centre)
    y = np.broadcast_to(y, (len(y), len(centre)))
    exponent = exponents(np.vstack([y, centre]))
    y, centre, scale = (np.ldexp(value, -exponent) for value in (y, centre, scale))
    return np.divide(y - centre, scale, out=np.zeros_like(y), where=scale > 0)
