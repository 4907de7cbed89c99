"""Functions, modules and partial functions that a user passes: when two of them are the same."""

from __future__ import annotations

from functools import partial

__all__ = ["same"]

_OF_MODULES = ("training", "inplace")  # make no difference to what comes out


def same(a, b) -> bool:
    """Whether two values of a parameter mean the same.

    Copies of a torch module, or of a `functools.partial`, are not equal for Python.  Here they are
    the same if their types and arguments are.

    Examples
    --------
    >>> same(partial(int, base=2), partial(int, base=2)), partial(int) == partial(int)
    (True, False)
    """
    return a is b or _meaning(a) == _meaning(b)


def _meaning(value):
    if isinstance(value, partial):
        arguments = sorted((name, _meaning(each)) for name, each in value.keywords.items())
        return partial, _meaning(value.func), tuple(map(_meaning, value.args)), arguments
    if hasattr(value, "named_modules") and not isinstance(value, type):
        return [_settings(name, module) for name, module in value.named_modules()]
    return value


def _settings(name, module) -> tuple:
    public = {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in _OF_MODULES
    }
    return name, type(module), public
