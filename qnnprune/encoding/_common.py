"""One set of levels that several encodings of the same columns share.

A fit may try encodings of several resolutions.  Rows are read once, as levels between which all
of these encodings can tell; the levels of each follow from these by a table per feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._encoding import InputEncoding

__all__ = ["common_encoding", "recoded_levels"]


def common_encoding(encodings: Sequence[InputEncoding]) -> InputEncoding:
    """The coarsest levels that tell apart all that any of the encodings tells apart.

    Parameters
    ----------
    encodings : sequence of InputEncoding
        Of the same columns.

    Returns
    -------
    InputEncoding
        Good for levels alone, not for codes; of one encoding, itself.
    """
    first = encodings[0]
    if len(encodings) == 1:
        return first
    rows = [
        np.unique(np.concatenate([encoding.thresholds[feature] for encoding in encodings]))
        for feature in range(first.n_features)
    ]
    rows = [row[np.isfinite(row)] for row in rows]
    thresholds = np.full((len(rows), max([1, *map(len, rows)])), np.inf)
    for feature, row in enumerate(rows):
        thresholds[feature, : len(row)] = row
    return InputEncoding(
        thresholds,
        np.zeros(len(rows), dtype=np.int64),
        first.n_bits,
        categories=first.categories,
        missing_level=np.array([len(row) + 1 for row in rows], dtype=np.int64),
        is_date=first.is_date,
    )


def recoded_levels(
    levels: np.ndarray, common: InputEncoding, encoding: InputEncoding
) -> np.ndarray:
    """Levels of one encoding from those of `common_encoding`.

    Parameters
    ----------
    levels : unsigned integer array of shape (n_samples, n_features)
    common : InputEncoding
        What `levels` are of.
    encoding : InputEncoding
        One of those that `common` was made from.

    Returns
    -------
    unsigned integer array of shape (n_samples, n_features)
    """
    recoded = np.empty(levels.shape, dtype=encoding.level_dtype)
    for feature, gap in enumerate(common.missing_level):
        reached = common.thresholds[feature, : gap - 1]
        table = np.zeros(gap + 1, dtype=encoding.level_dtype)
        table[1:gap] = np.searchsorted(encoding.thresholds[feature], reached, side="right")
        table[gap] = max(encoding.missing_level[feature], 0)
        recoded[:, feature] = table[levels[:, feature]]
    return recoded
