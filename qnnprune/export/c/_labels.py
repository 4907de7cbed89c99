"""Labels of a classifier in C: strings, whole numbers or doubles."""

from __future__ import annotations

import numpy as np

from ..._utils import plain_labels
from ._source import Source
from ._tables import narrowest

__all__ = ["checked_labels", "write_labels"]

_LONGEST_STRING = 4095  # characters that every C99 compiler takes


def checked_labels(classes) -> np.ndarray | None:
    """Labels as an array of str, float64 or integers; None of a regressor.

    Parameters
    ----------
    classes : array-like of shape (n_classes,), or None

    Raises
    ------
    ValueError
        If a label has no form in C.
    """
    if classes is None:
        return None
    labels = plain_labels(classes)
    if labels is not None and labels.dtype.kind == "U":
        return np.array([_checked_string(label) for label in labels.tolist()])
    if labels is not None and np.isfinite(labels).all():
        return labels.astype({"f": np.float64, "b": np.int64}.get(labels.dtype.kind, labels.dtype))
    raise ValueError(
        f"The labels {classes!r} have no form in C, as not all are str or all finite numbers: "
        "turn them into str first."
    )


def _checked_string(label: str) -> str:
    try:
        size = len(label.encode())
    except UnicodeEncodeError:
        size = None
    if size is None or size > _LONGEST_STRING or "\0" in label:
        raise ValueError(
            f"The label {label[:80]!r} is no C string: it has a NUL character, a lone surrogate "
            f"or more than {_LONGEST_STRING} bytes."
        )
    return label


def write_labels(source: Source, labels: np.ndarray) -> None:
    """A table of labels for callers."""
    macro = f"{source.macro}_INTEGER_ONLY"
    source.everywhere(f"/* Labels by index; {macro} leaves out those in floats. */")
    if labels.dtype.kind == "U":
        source.strings("label", labels.tolist())
    elif labels.dtype.kind == "f":
        source.everywhere(f"#ifndef {macro}")
        source.table("label", labels, counted=False, public=True)
        source.everywhere("#endif")
    else:
        source.table("label", labels.astype(narrowest(labels)), counted=False, public=True)
