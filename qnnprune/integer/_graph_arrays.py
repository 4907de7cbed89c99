"""An integer graph as named arrays: what its file holds, and what is made of them again.

Keys, little-endian, ranges inclusive; K counts the operations from 0:

=============================  ========  =============================  ==========================
key                            dtype     shape                          holds
=============================  ========  =============================  ==========================
input.shape                    int64     (n_axes,)                      of one row
input.range                    int64     (n_channels, 2)                codes that come in
input.thresholds               float32   (n_channels, n_thresholds)     where inputs are no codes
input.first, input.slope       int64     (n_channels,)                  beside them
operations.K.kind, .name       str       ()                             class, and layer
operations.K.inputs            int64     (n_inputs,)                    places; 0 is the input
operations.K.weight            integer   (n_out, n_in / groups, ...)    Sums only
operations.K.groups, .outside  int64     ()                             Sums only
operations.K.window            int64     (4, n_axes)                    size, stride, padding and
                                                                        dilation; not if linear
operations.K.thresholds        int64     (n_channels, n_thresholds)     Thresholds only
operations.K.first, .slope     int64     (n_channels,)                  Thresholds only
operations.K.factors           int64     (n_inputs,)                    Add only
operations.K.range             int64     (n_channels, 2)                the proof: exact ranges
scale, bias                    float64   (n_channels,)                  of the output
classes                        any       (n_classes,)                   labels, where there are
=============================  ========  =============================  ==========================
"""

from __future__ import annotations

import numpy as np

from .._utils import plain_labels
from ..exceptions import InvalidNetworkFileError
from ._inputs import CodedInput
from ._operations import Add, Concat, Flatten, MaxPool, Operation, Sums, Thresholds
from ._storage import check_arrays
from ._windows import Window

__all__ = ["arrays_of", "arrays_of_ends", "check_proof", "ends_from", "parts_from"]

_INT, _INTS, _PAIRS, _STR = ("<i8", 0), ("<i8", 1), ("<i8", 2), ("U", 0)
_STEPS = {"thresholds": _PAIRS, "first": _INTS, "slope": _INTS}
_INPUT = {"shape": _INTS, "range": _PAIRS}
_COMMON = {"kind": _STR, "name": _STR, "inputs": _INTS, "range": _PAIRS}
_WINDOW = {"window": _PAIRS}
_KINDS: dict[str, tuple[type[Operation], dict]] = {
    "Sums": (Sums, {"weight": ("i", None), "groups": _INT, "outside": _INT}),
    "Thresholds": (Thresholds, _STEPS),
    "MaxPool": (MaxPool, _WINDOW),
    "Flatten": (Flatten, {}),
    "Add": (Add, {"factors": _INTS}),
    "Concat": (Concat, {}),
}
_ENDS = {"scale": ("<f8", 1), "bias": ("<f8", 1)}


def arrays_of(graph) -> dict[str, np.ndarray]:
    """The arrays that stand for a graph.

    Raises
    ------
    ValueError
        If labels are not bool, int, float or str.
    """
    arrays = arrays_of_ends(graph)
    for index, operation in enumerate(graph.operations):
        prefix = f"operations.{index}."
        arrays |= _numbers(prefix, vars(operation))
        arrays[prefix + "kind"] = np.array(type(operation).__name__)
        arrays[prefix + "name"] = np.array(operation.name)
        arrays[prefix + "range"] = graph.ranges[index + 1].astype("<i8")
    return arrays


def arrays_of_ends(ends) -> dict[str, np.ndarray]:
    """The arrays that stand for what comes before and after the operations.

    Parameters
    ----------
    ends : IntegerGraph, or anything else with input, scale, bias and classes

    Raises
    ------
    ValueError
        If labels are not bool, int, float or str.
    """
    arrays = _numbers("input.", vars(ends.input))
    arrays |= {"scale": ends.scale.astype("<f8"), "bias": ends.bias.astype("<f8")}
    if ends.classes is not None:
        labels = plain_labels(ends.classes)
        if labels is None:
            raise ValueError(f"classes are not all bool, int, float or str: {ends.classes!r}")
        arrays["classes"] = labels.astype(labels.dtype.newbyteorder("<"))
    return arrays


def _numbers(prefix: str, attributes: dict) -> dict[str, np.ndarray]:
    """Attributes as arrays: floats as they are, weights narrow, other integers in 64 bits."""
    arrays = {}
    for name, value in attributes.items():
        if name == "name" or name.startswith("_") or value is None:
            continue
        if isinstance(value, Window):
            value = [value.size, value.stride, value.padding, value.dilation]
        value = np.asarray(value)
        if name == "weight":
            value = value.astype(_narrowest(value))
        elif value.dtype.kind != "f":
            value = value.astype("<i8")
        arrays[prefix + name] = value
    return arrays


def _narrowest(weight: np.ndarray) -> np.dtype:
    low, high = int(weight.min()), int(weight.max())
    types = (np.dtype("<i1"), np.dtype("<i2"), np.dtype("<i4"))
    return next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max)


def parts_from(arrays: dict[str, np.ndarray]) -> dict:
    """The arguments of an `IntegerGraph`, from its arrays.

    Raises
    ------
    InvalidNetworkFileError
        If a key is missing or unknown, or an array has another dtype or number of dimensions.
    """
    n_operations = sum(key.endswith(".kind") for key in arrays)
    kinds, optional = _expected(arrays, n_operations)
    check_arrays(arrays, kinds, optional)
    operations = [_operation(arrays, index) for index in range(n_operations)]
    return _ends(arrays) | {"operations": operations}


def ends_from(arrays: dict[str, np.ndarray], **kinds) -> dict:
    """What `arrays_of_ends` was given: input, scale, bias and, where there are any, classes.

    Parameters
    ----------
    arrays : dict of str to array
    **kinds
        Dtype and number of dimensions of other arrays that must be there.

    Raises
    ------
    InvalidNetworkFileError
        If a key is missing or unknown, or an array has another dtype or number of dimensions.
    """
    expected, optional = _expected_of_ends(arrays)
    check_arrays(arrays, expected | kinds, optional)
    return _ends(arrays)


def _ends(arrays: dict) -> dict:
    parts = {key: arrays[key] for key in ("scale", "bias", "classes") if key in arrays}
    return {"input": _input(arrays), **parts}


def _expected_of_ends(arrays: dict) -> tuple[dict, dict]:
    """Dtype and number of dimensions by key; of those that must and of those that may be there."""
    kinds: dict = {f"input.{name}": kind for name, kind in _INPUT.items()} | _ENDS
    optional: dict = {"classes": (None, 1)}
    steps = {"input.thresholds": ("<f4", 2), "input.first": _INTS, "input.slope": _INTS}
    (kinds if "input.thresholds" in arrays else optional).update(steps)
    return kinds, optional


def _expected(arrays: dict, n_operations: int) -> tuple[dict, dict]:
    """The same of a whole graph."""
    kinds, optional = _expected_of_ends(arrays)
    for index in range(n_operations):
        prefix = f"operations.{index}."
        name = str(arrays.get(prefix + "kind"))
        if name not in _KINDS:
            raise InvalidNetworkFileError(f"{prefix}kind is {name!r}")
        kinds |= {prefix + key: kind for key, kind in (_COMMON | _KINDS[name][1]).items()}
        if name == "Sums":
            weight = arrays.get(prefix + "weight", np.empty(()))
            kinds[prefix + "weight"] = ("i", weight.ndim)
            if weight.ndim > 2:
                kinds[prefix + "window"] = _PAIRS
    return kinds, optional


def _input(arrays: dict) -> CodedInput:
    fields = {key[6:]: value for key, value in arrays.items() if key.startswith("input.")}
    return CodedInput(**{**fields, "shape": tuple(fields["shape"].tolist())})


def _operation(arrays: dict, index: int) -> Operation:
    prefix = f"operations.{index}."
    fields = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
    kind = _KINDS[str(fields.pop("kind"))][0]
    del fields["range"]
    for name in ("inputs", "factors"):
        if name in fields:
            fields[name] = tuple(fields[name].tolist())
    if "window" in fields:
        fields["window"] = Window(*fields["window"].tolist())
    values = {
        name: v.item() if isinstance(v, np.ndarray) and v.ndim == 0 else v
        for name, v in fields.items()
    }
    return kind(**values)


def check_proof(graph, arrays: dict[str, np.ndarray]) -> None:
    """Refuse arrays whose ranges are not those of the graph that was made of them.

    Raises
    ------
    InvalidNetworkFileError
    """
    for index, found in enumerate(graph.ranges[1:]):
        key = f"operations.{index}.range"
        if not np.array_equal(found, arrays[key]):
            raise InvalidNetworkFileError(f"{key} differs from what the operations give")
