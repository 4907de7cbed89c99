"""Which of many trade-offs no other one beats."""

from __future__ import annotations

import numpy as np

__all__ = ["unbeaten"]


def unbeaten(score: np.ndarray, *costs: np.ndarray) -> np.ndarray:
    """Points that no other point beats in one respect without being behind in another.

    Parameters
    ----------
    score : float array of shape (n_points,)
        Larger is better.
    *costs : arrays of shape (n_points,)
        Smaller is better.

    Returns
    -------
    bool array of shape (n_points,)
        Points that are equal in everything do not beat each other.

    Examples
    --------
    >>> unbeaten(np.array([0.9, 0.8, 0.8]), np.array([8, 6, 7])).tolist()
    [True, True, False]
    """
    losses = np.column_stack([-np.asarray(score), *costs])
    not_worse = (losses[:, None] <= losses).all(axis=2)
    better = (losses[:, None] < losses).any(axis=2)
    return ~(not_worse & better).any(axis=0)
