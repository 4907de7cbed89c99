"""Validation rows of the user's own: whether they can be used, and how errors name them."""

from __future__ import annotations

from contextlib import contextmanager

__all__ = ["check_given", "of_validation"]


def check_given(X_val, y_val, sample_weight_val, *, early_stopping: bool) -> tuple | None:
    """The three as a tuple, or None where they are not given.

    Raises
    ------
    ValueError
        If only some are given, or nothing would use them.
    """
    if X_val is None and y_val is None:
        if sample_weight_val is not None:
            raise ValueError(
                "sample_weight_val is provided, but X_val and y_val were not provided: pass them too."
            )
        return None
    if y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided: pass it too.")
    if X_val is None:
        raise ValueError("y_val is provided, but X_val was not provided: pass it too.")
    if not early_stopping:
        raise ValueError(
            "X_val and y_val are passed to fit while at the same time early_stopping is False, so "
            "nothing would use them: set early_stopping=True, or leave them out."
        )
    return X_val, y_val, sample_weight_val


@contextmanager
def of_validation():
    """Let errors say that they are about validation rows: their checks speak of X and y."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Of X_val, y_val and sample_weight_val: {error}") from error
