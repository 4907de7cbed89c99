"""Whether features that come as integers can be in the units of training.

A network knows its thresholds, and no training value.  But all segments of a feature begin and
end at training values, and thresholds lie between training values, at least a quarter of the
gap away from either (`qnnprune.encoding.fit_encoding`).  That is enough to tell where features
were scaled in training and would come unscaled.
"""

from __future__ import annotations

import numpy as np

__all__ = ["check_units"]

_ROUNDING = 1e-3  # what an edge may be off that is computed from two thresholds


def check_units(
    thresholds: list[np.ndarray], steps: int | None, dtype: np.dtype, labels=None
) -> None:
    """Refuse an integer type that thresholds were not made for.

    Parameters
    ----------
    thresholds : list of float64 arrays of shape (n_segments * steps,)
        Those of each feature, ascending; empty where it is not read.
    steps : int or None
        Thresholds of a segment; None where they are not those of segments, which tells less.
    dtype : numpy integer dtype
        Of the features.
    labels : sequence of str of shape (n_features,), optional
        What messages call the features, in place of ``x[0]`` and so on.

    Raises
    ------
    ValueError
        If training values of a feature were beyond the type, or lie between thresholds that
        no value of the type tells apart.

    Examples
    --------
    >>> counts, scaled = np.array([2.0, 6.0, 10.0]), np.array([-0.8, 0.1, 0.9])
    >>> check_units([counts], 3, np.dtype("int16"))
    >>> check_units([scaled], 3, np.dtype("int16"))
    Traceback (most recent call last):
    ...
    ValueError: x[0] has 3 thresholds from -0.8 to 0.9, and as int16 they are 2...
    """
    info = np.iinfo(dtype)
    for index, found in enumerate(thresholds):
        if not len(found):
            continue
        name = f"x[{index}]" if labels is None else labels[index]
        n_thresholds, n_left = len(np.unique(found)), len(np.unique(np.ceil(found)))
        text = f"{name} has {n_thresholds} thresholds from {found[0]:.6g} to {found[-1]:.6g}, and"
        if found[0] <= info.min or found[-1] > info.max:
            raise ValueError(
                f"{text} {dtype} goes from {info.min} to {info.max}: training values were beyond "
                "it. Use an input type that holds them."
            )
        if steps is not None and _merges_training_values(found.reshape(-1, steps)):
            raise ValueError(
                f"{text} as {dtype} they are {n_left}: training values lie between those that "
                "become one, as where features were scaled in training. Use input='float' and "
                f"scale them in C as well, or fit on {dtype} features as they come."
            )


def _merges_training_values(ramps: np.ndarray) -> bool:
    """Whether thresholds become one that training values lie between.

    `ramps` has a row for each segment.  Between two segments lies the training value at which
    one ends and the other begins.  Within a segment there may be none, if all were integers.
    """
    reached_by = np.ceil(ramps)
    end, begin = ramps[:-1, -1], ramps[1:, 0]
    if ((reached_by[:-1, -1] == reached_by[1:, 0]) & (end < begin)).any():
        return True
    merged = (np.diff(reached_by) == 0) & (np.diff(ramps) > 0)
    return not all(_may_be_fitted_on_integers(ramp) for ramp in ramps[merged.any(axis=1)])


def _may_be_fitted_on_integers(ramp: np.ndarray) -> bool:
    """Whether a segment's thresholds can be those of integer training values.

    They rise evenly from one edge to the other, except that one too near to a training value
    is moved to a quarter of the gap, which between integers is a multiple of 1/4.  Two others
    tell where the edges are.
    """
    evenly = np.flatnonzero(ramp * 4 % 1)
    if len(evenly) < 2:
        return True
    first, last = evenly[[0, -1]]
    rise = (ramp[last] - ramp[first]) / (last - first)
    edges = ramp[first] + rise * (np.array([-0.5, len(ramp) - 0.5]) - first)
    whole = np.rint(edges)
    apart = np.abs(ramp[:, None] - whole).min() > 0.25 - _ROUNDING
    return bool(apart and (np.abs(edges - whole) < _ROUNDING).all())
