"""Functions of ``runtime.h`` by name, for any prefix and any types."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["instances", "memory"]

# Types that differ between the tables of one header; its other types have a name in each header.
_TYPES = ("value", "threshold", "acc", "count", "start")
_SHORT = {"float": "f32", "double": "f64"}
_SHORT |= {f"int{n}_t": f"i{n}" for n in (8, 16, 32, 64)}
_SHORT |= {f"uint{n}_t": f"u{n}" for n in (8, 16, 32, 64)}
_NAME = re.compile(r"\bqnn_(\w+)\b")


def instances(function: str, prefix: str, macro: str, **types: str) -> dict[str, str]:
    """A function of the runtime and all that it calls, under names of their own.

    Parameters
    ----------
    function : str
        Its name in ``runtime.h``, without ``qnn_``.
    prefix, macro : str
        Of the names, and of the macros, in the exported header.
    **types : str
        C types in place of ``qnn_acc_t`` and the like, by the word in the middle.

    Returns
    -------
    dict of str to str
        Definitions by name, in an order that C takes.  The last is that of `function`; types
        that it depends on are part of its name.

    Examples
    --------
    >>> names = instances("magnitudes", "net", "NET", acc="int8_t", count="uint8_t")
    >>> list(names)
    ['net_signs_i8_u8', 'net_magnitudes_i8_u8']
    """
    found: dict[str, str] = {}
    for called in _called(function):
        found |= instances(called, prefix, macro, **types)

    def renamed(match: re.Match) -> str:
        name = match[1]
        if name in _functions():
            return _instance_name(name, prefix, types)
        return types.get(name.removesuffix("_t"), f"{prefix}_{name}")

    text = _NAME.sub(renamed, _functions()[function]).replace("QNN_", f"{macro}_")
    return found | {_instance_name(function, prefix, types): text}


def memory(macro: str) -> str:
    """The macros that say where tables lie and how they are read."""
    (block,) = [block for block in _blocks() if "define QNN_READ(" in block]
    return block.replace("QNN_", f"{macro}_")


@cache
def _blocks() -> list[str]:
    """What stands between two empty lines of the runtime."""
    text = files(__package__).joinpath("runtime.h").read_text("ascii")
    return [block.strip("\n") for block in text.split("\n\n")]


@cache
def _functions() -> dict[str, str]:
    """Definitions by name, each with its comment."""
    return {
        re.search(r"qnn_(\w+)\(", block[block.index("static inline") :])[1]: block
        for block in _blocks()
        if "static inline" in block
    }


@cache
def _called(function: str) -> tuple[str, ...]:
    names = re.findall(r"\bqnn_(\w+)\(", _functions()[function])
    return tuple(dict.fromkeys(name for name in names if name != function))


@cache
def _types_of(function: str) -> tuple[str, ...]:
    """The types that a function depends on, by the order of `_TYPES`."""
    words = set(_NAME.findall(_functions()[function]))
    own = {name for name in _TYPES if f"{name}_t" in words}
    own.update(*map(_types_of, _called(function)))
    return tuple(name for name in _TYPES if name in own)


def _instance_name(function: str, prefix: str, types: dict[str, str]) -> str:
    suffixes = [_SHORT[types[name]] for name in _types_of(function)]
    return "_".join([prefix, function, *suffixes])
