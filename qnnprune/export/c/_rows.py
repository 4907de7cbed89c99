"""The form in which rows come: an array of one type, or a struct with a field per column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...integer import IntegerNetwork
from ._columns import TYPES

__all__ = ["Rows", "chosen_rows"]

_CODES = "codes"


@dataclass(frozen=True)
class Rows:
    """What the C functions take.

    Attributes
    ----------
    form : {"array", "struct", "codes"}
    types : list of str
        The type of each column, by its name in `to_c`.
    """

    form: str
    types: list[str]


def chosen_rows(network: IntegerNetwork, input, row: str) -> Rows:
    """The form and the types that the arguments of `to_c` ask for.

    Raises
    ------
    ValueError
        If they are unknown, name no numeric column, or do not go together.
    """
    if row not in ("auto", "array", "struct"):
        raise ValueError(f"row={row!r} must be one of ['auto', 'array', 'struct'].")
    if input == _CODES:
        return Rows(_CODES, [])
    types = _types(network, input)
    differ = [
        any(known is not None for known in network.encoding.categories) and "categories",
        len(set(types)) > 1 and "columns of different types",
    ]
    reasons = [reason for reason in differ if reason]
    if row == "array" and reasons:
        raise ValueError(f"row='array' has no place for {' and '.join(reasons)}: use 'struct'.")
    named = network.feature_names is not None
    is_struct = row == "struct" or (row == "auto" and bool(reasons or named))
    return Rows("struct" if is_struct else "array", types)


def _types(network: IntegerNetwork, input) -> list[str]:
    n = network.n_features_in
    if not isinstance(input, Mapping):
        _check_type(input, [*TYPES, _CODES])
        return [input] * n
    names = network.feature_names
    keys = range(n) if names is None else list(map(str, names))
    numeric = [
        k for k, known in zip(keys, network.encoding.categories, strict=True) if known is None
    ]
    unknown = [key for key in input if key not in numeric]
    if unknown:
        raise ValueError(f"input has the keys {unknown}, but the numeric columns are {numeric}.")
    for kind in input.values():
        _check_type(kind, list(TYPES))
    return [input.get(key, "float") for key in keys]


def _check_type(kind, allowed: list[str]) -> None:
    if kind not in allowed:
        raise ValueError(f"input={kind!r} must be one of {allowed}.")
