"""Results that fits of the same rows share."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import joblib

__all__ = ["KNOWN", "shared"]

#: Results by function and arguments; None where a fit shares nothing.
KNOWN: ContextVar[dict | None] = ContextVar("known", default=None)


def shared(function: Callable, *args) -> Any:
    """What a function returns, computed once for all fits that run together.

    Parameters
    ----------
    function : callable
        Nobody changes what it returns.
    *args
        Their pickles tell whether they are equal.
    """
    known = KNOWN.get()
    if known is None:
        return function(*args)
    key = function, joblib.hash(args)
    if key not in known:
        known[key] = function(*args)
    return known[key]
