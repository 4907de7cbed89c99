"""Powers of two that keep sums of weights, and squares of targets, within float64.

Multiplying by a power of two rounds nothing.  So what is trained and scored is the same, bit for
bit, as without it, wherever that would not have overflowed or vanished.
"""

from __future__ import annotations

import numpy as np

__all__ = ["even_weight", "exponents"]

# Of two weights from here to its inverse, products and quotients stay far from the ends.
_LEAST = 2.0**-480


def exponents(values: np.ndarray) -> np.ndarray:
    """Smallest e of each column such that all of its ``values * 2**-e`` lie between -1 and 1.

    Parameters
    ----------
    values : float64 array of shape (n,) or (n, n_columns)
        Finite.

    Returns
    -------
    int array of shape () or (n_columns,)

    Examples
    --------
    >>> exponents(np.array([[3.0, 0.25], [-5.0, 0.0]])).tolist()
    [3, -1]
    """
    return np.frexp(np.abs(values).max(axis=0, initial=0.0))[1]


def even_weight(weight: np.ndarray) -> np.ndarray:
    """Weights of which no product, quotient or sum leaves float64; only their ratios matter.

    Equal ones become 1, as if there were none.  The others stay as they are if they lie between
    2**-480 and 2**480.  If not, the largest comes to lie between 1/2 and 1, and what is more
    than 2**480 times smaller becomes as large as that: it stays positive.

    Parameters
    ----------
    weight : float64 array of shape (n,)
        Not negative.  What is not finite, or 0 everywhere, is returned as it is.

    Returns
    -------
    float64 array of shape (n,)

    Examples
    --------
    >>> even_weight(np.array([3.0, 1.5, 0.0])).tolist()
    [3.0, 1.5, 0.0]
    >>> even_weight(2.0**900 * np.array([3.0, 1.5, 0.0])).tolist()
    [0.75, 0.375, 0.0]
    """
    positive = weight > 0
    if not positive.any() or not np.isfinite(weight).all():
        return weight
    least, largest = weight[positive].min(), weight.max()
    if least == largest:
        return np.where(positive, 1.0, weight)
    if least >= _LEAST and largest <= 1 / _LEAST:
        return weight
    even = np.ldexp(weight, -exponents(weight))
    return np.where(positive, np.maximum(even, _LEAST), even)
