"""Features as C takes them: thresholds in the input's type, and the units that they are in."""

from __future__ import annotations

import numpy as np

from ...encoding import InputEncoding
from ...encoding._thresholds import rounded_up
from ._source import c_string, c_type
from ._tables import Comparison, compare
from ._units import check_units

__all__ = ["code_lines", "feature_lines", "input_thresholds", "needed_segments"]


def needed_segments(encoding: InputEncoding, inputs: np.ndarray) -> np.ndarray:
    """Segments of each feature, all or none: none of a feature that no code is read of.

    Parameters
    ----------
    encoding : InputEncoding
    inputs : integer array
        The input codes that are read.

    Returns
    -------
    int64 array of shape (n_features,)
    """
    read = np.isin(np.arange(encoding.n_features), encoding.feature[inputs])
    return np.where(read, encoding.n_segments, 0)


def input_thresholds(
    encoding: InputEncoding, n_segments: np.ndarray, dtype: np.dtype, names=None
) -> Comparison:
    """Thresholds of the features, exact for every input of a type.

    A value of that type reaches a threshold if it reaches the next value of the type.

    Parameters
    ----------
    encoding : InputEncoding
    n_segments : int64 array of shape (n_features,)
        Segments of each feature that are needed, all or none.
    dtype : numpy dtype
        float64, float32 or an integer type.
    names : array of str of shape (n_features,), optional

    Returns
    -------
    Comparison
        With thresholds of shape (n,), feature after feature.

    Raises
    ------
    ValueError
        If a threshold is beyond the largest float32, or the features of an integer type
        cannot be in the units of training.
    """
    needed = _needed(encoding, n_segments)
    thresholds = np.concatenate(needed)
    if dtype.kind == "f":
        return Comparison(">=", _finite(rounded_up(thresholds, dtype), thresholds))
    check_units(needed, encoding.steps, dtype, names)
    info = np.iinfo(dtype)
    return compare(np.ceil(thresholds), info.min, info.max, signed=dtype.kind == "i")


def _needed(encoding: InputEncoding, n_segments: np.ndarray) -> list[np.ndarray]:
    """The thresholds of each feature; none of one that is not needed."""
    counts = n_segments * encoding.steps
    return [row[:count] for row, count in zip(encoding.thresholds, counts, strict=True)]


def _finite(rounded: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"The input encoding has the threshold {thresholds.max()}, beyond the largest "
            f"{rounded.dtype}: use input='double' or scale that feature."
        )
    return rounded


def feature_lines(
    macro: str, dtype: np.dtype, encoding: InputEncoding, n_segments: np.ndarray, names
) -> list[str]:
    """What a header says of features: the units of each, by the range of its thresholds.

    Parameters
    ----------
    macro : str
        Prefix of the header's macros.
    dtype : numpy dtype
    encoding : InputEncoding
    n_segments : int64 array of shape (n_features,)
        Segments of each feature that are needed, all or none.
    names : array of str of shape (n_features,), or None
    """
    lines = [f"Input: {macro}_N_FEATURES features in {c_type(dtype)}, in the units of training."]
    if dtype.kind == "f":
        lines.append("A NaN counts as below every threshold.")
    for index, thresholds in enumerate(_needed(encoding, n_segments)):
        name = "" if names is None else f"{c_string(str(names[index]))}, "
        units = "not read"
        if len(thresholds):
            units = f"compared with {thresholds[0]:.6g} to {thresholds[-1]:.6g}"
        lines.append(f"  x[{index}]: {name}{units}")
    return lines


def code_lines(macro: str, encoding: InputEncoding) -> list[str]:
    """What a header says of codes that come from the caller."""
    low, high = encoding.input_range.T
    return [
        f"Input: {macro}_N_CODES codes, as quantize_input returns them, within "
        f"{low.min()}..{high.max()}:",
        "what is beyond is not checked, and voids the proof.",
    ]
