"""A network as named arrays: what its file holds, and what is made of them again.

Keys, little-endian, ranges inclusive; L counts the layers from 0:

===========================  ========  ====================  ===============================
key                          dtype     shape                 holds
===========================  ========  ====================  ===============================
n_w_bits, n_accum_bits       int64     ()                    widths, in bits
encoding.thresholds          float64   (n_features, levels)  ascending, rows end in +inf
encoding.n_segments          int64     (n_features,)         segments of each feature
encoding.n_bits              int64     ()                    width of an input code, in bits
encoding.missing_level       int64     (n_features,)         level of a gap, -1: refused [3]_
encoding.is_date             bool      (n_features,)         dates, in days since 1970 [3]_
encoding.takes_others        bool      (n_features,)         whether unknown values pass [3]_
encoding.single_thresholds   float32   as thresholds         for float32, where not rounded [3]_
encoding.blocks              int64     (n_features,)         features of one type [3]_
encoding.tables.F            int8      (n_levels, n_codes)   codes at each level of feature F [3]_
encoding.categories.F        [1]_      (n_categories,)       known values of feature F [3]_
layers.L.weight              int8      (n_out, n_in)         codes
layers.L.input_range         int64     (n_in, 2)             codes of each input
layers.L.accumulator_range   int64     (n_out, 2)            the proof: exact ranges
layers.L.accumulator_bits    int64     (n_out,)              the proof: widths, in bits
layers.L.thresholds          int64     (n_out, 2**a - 1)     ascending; hidden layers only
layers.L.output_low          int64     ()                    lowest code; hidden layers only
layers.L.scale, .bias        float64   (n_logits,)           finite; the last layer only [2]_
classes                      [1]_      (n_classes,)          labels; a classifier's only
feature_names                str       (n_features,)         where they are known
outcome                      str       ()                    what values stand for [3]_ [4]_
model_id                     str       ()                    SHA-256 of the other arrays [3]_
===========================  ========  ====================  ===============================

.. [1] bool, integer or float of at most 8 bytes, or str.
.. [2] n_logits divides n_out of that layer: row ``s * n_logits + j`` of the weight is sum s of
   logit j.
.. [3] Since version 2 of the format.  Features without a table or categories have no such key.
.. [4] "labels", "log" or "quantiles", see `_outcome`; other networks have no such key.
"""

from __future__ import annotations

import numpy as np

from .._utils import plain_labels
from ..encoding._encoding import InputEncoding
from ..exceptions import InvalidNetworkFileError
from ._layer import HiddenLayer, OutputLayer
from ._outcome import default_outcome
from ._storage import check_arrays, digest_of

__all__ = ["arrays_of", "check_proof", "parts_from"]

# Key to dtype and number of dimensions.
_INT, _INTS, _PAIRS = ("<i8", 0), ("<i8", 1), ("<i8", 2)
_NETWORK = {"n_w_bits": _INT, "n_accum_bits": _INT}
_ENCODING = {"thresholds": ("<f8", 2), "n_segments": _INTS, "n_bits": _INT}
_GAPS = {"missing_level": _INTS, "is_date": ("|b1", 1), "takes_others": ("|b1", 1)}
_SINGLE = {"single_thresholds": ("<f4", 2), "blocks": _INTS}
_BY_FEATURE = {"tables": ("|i1", 2), "categories": (None, 1)}
_PROOF = {"accumulator_range": _PAIRS, "accumulator_bits": _INTS}
_LAYER = {"weight": ("|i1", 2), "input_range": _PAIRS, **_PROOF}
_HIDDEN = {**_LAYER, "thresholds": ("<i8", 2), "output_low": _INT}
_OUTPUT = {**_LAYER, "scale": ("<f8", 1), "bias": ("<f8", 1)}
_OPTIONAL = {"classes": (None, 1), "feature_names": ("U", 1)}
_OUTCOME = {"outcome": ("U", 0)}


def arrays_of(network) -> dict[str, np.ndarray]:
    """The arrays that stand for a network.

    Parameters
    ----------
    network : IntegerNetwork

    Raises
    ------
    ValueError
        If labels or names are not bool, int, float or str, or an array has values that its
        dtype in the table above cannot hold.
    """
    kinds = _kinds(len(network.layers)) | _of_encoding(_GAPS)
    if network.encoding.single_thresholds is not None:
        kinds |= _of_encoding(_SINGLE)
    arrays = {key: _exactly(key, _attribute(network, key), kinds[key][0]) for key in kinds}
    for key in _OPTIONAL:
        if getattr(network, key) is not None:
            arrays[key] = _labels(key, getattr(network, key))
    if network.outcome != default_outcome(network.classes):
        arrays["outcome"] = np.array(network.outcome)
    for feature, table in enumerate(network.encoding.tables):
        if table is not None:
            key = f"encoding.tables.{feature}"
            arrays[key] = _exactly(key, table, "|i1")
    for feature, known in enumerate(network.encoding.categories):
        if known is not None:
            key = f"encoding.categories.{feature}"
            arrays[key] = _labels(key, known)
    return arrays | {"model_id": np.array(digest_of(arrays))}


def parts_from(arrays: dict[str, np.ndarray]) -> dict:
    """The arguments of an ``IntegerNetwork``, from its arrays.

    Raises
    ------
    InvalidNetworkFileError
        If a key is missing or unknown, or an array has another dtype or number of
        dimensions.
    """
    n_layers = sum(key.startswith("layers.") and key.endswith(".weight") for key in arrays)
    by_feature = {
        f"encoding.{name}.{feature}": kind
        for name, kind in _BY_FEATURE.items()
        for feature in range(np.size(arrays.get("encoding.n_segments", ())))
    }
    later = _of_encoding(_GAPS | _SINGLE) | by_feature | {"model_id": ("U", 0)}
    check_arrays(arrays, _kinds(n_layers), _OPTIONAL | _OUTCOME | later)
    return {
        "encoding": _encoding(arrays),
        "layers": [_layer(arrays, index, n_layers) for index in range(n_layers)],
        **_fields(arrays, "", _NETWORK | _OPTIONAL | _OUTCOME),
    }


def check_proof(network, arrays: dict[str, np.ndarray]) -> None:
    """Refuse arrays whose proof is not that of the network that was made of them.

    Parameters
    ----------
    network : IntegerNetwork
        One that `check_network` found consistent.
    arrays : dict of str to array

    Raises
    ------
    InvalidNetworkFileError
    """
    for index, layer in enumerate(network.layers):
        for name in _PROOF:
            key = f"layers.{index}.{name}"
            if not np.array_equal(getattr(layer, name), arrays[key]):
                raise InvalidNetworkFileError(
                    f"{key} differs from what weight and input_range give"
                )
    others = {key: array for key, array in arrays.items() if key != "model_id"}
    if "model_id" in arrays and arrays["model_id"] != digest_of(others):
        raise InvalidNetworkFileError("model_id is not that of the other arrays")


def _encoding(arrays: dict) -> InputEncoding:
    fields = _fields(arrays, "encoding.", _ENCODING | _GAPS | _SINGLE)
    for name in _BY_FEATURE:
        keys = [f"encoding.{name}.{feature}" for feature in range(len(fields["n_segments"]))]
        fields[name] = tuple(map(arrays.get, keys))
    return InputEncoding(**fields)


def _of_encoding(kinds: dict) -> dict:
    return {f"encoding.{name}": kind for name, kind in kinds.items()}


def _kinds(n_layers: int) -> dict:
    """Dtype and number of dimensions by key, of a network of so many layers."""
    kinds = _NETWORK | _of_encoding(_ENCODING)
    for index in range(n_layers):
        fields = _HIDDEN if index < n_layers - 1 else _OUTPUT
        kinds |= {f"layers.{index}.{name}": kind for name, kind in fields.items()}
    return kinds


def _layer(arrays: dict, index: int, n_layers: int) -> HiddenLayer | OutputLayer:
    kind, fields = (HiddenLayer, _HIDDEN) if index < n_layers - 1 else (OutputLayer, _OUTPUT)
    return kind(**_fields(arrays, f"layers.{index}.", fields.keys() - _PROOF))


def _attribute(network, key: str):
    value = network
    for part in key.split("."):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return value


def _exactly(key: str, value, dtype: str) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "biuf":
        raise ValueError(f"{key} is {value!r}, not an array of numbers")
    array = value.astype(dtype)
    if not np.array_equal(array, value):
        raise ValueError(f"{key} has values that {array.dtype} cannot hold")
    return array


def _labels(key: str, values) -> np.ndarray:
    array = plain_labels(values)
    if array is None:
        raise ValueError(
            f"{key} cannot be saved without a pickle, as not all are bool, int, float or str: "
            f"{np.asarray(values)!r}. Turn them into str first."
        )
    return array.astype(array.dtype.newbyteorder("<"))


def _fields(arrays: dict, prefix: str, names) -> dict:
    found = {name: arrays[prefix + name] for name in names if prefix + name in arrays}
    return {name: array.item() if array.ndim == 0 else array for name, array in found.items()}
