"""Whether the parts of an integer network fit together: what the proof takes for granted.

The accumulator ranges hold for the codes that ``input_range`` names.  Here it is checked
that no other code can arrive there, so that the proof needs no trust in who built the
network or stored it.
"""

from __future__ import annotations

import numpy as np

from ..accumulators import code_range, weight_max
from ._layer import HiddenLayer, IntegerLayer, OutputLayer
from ._outcome import OUTCOMES

__all__ = ["check_network"]


def check_network(network) -> None:
    """Refuse a network that contradicts itself.

    Parameters
    ----------
    network : IntegerNetwork

    Raises
    ------
    ValueError
        If a width is out of bounds, shapes do not match from layer to layer, a layer is of
        the wrong type, a weight has more bits than ``n_w_bits``, thresholds are not ascending,
        an ``input_range`` is not that of the codes that come in, the output is not finite, or
        labels do not match.
    """
    _require(2 <= network.n_w_bits <= 8, f"n_w_bits is {network.n_w_bits}, not 2 to 8")
    _require(1 <= network.n_accum_bits <= 62, f"n_accum_bits is {network.n_accum_bits}")
    _check_encoding(network.encoding)
    codes = network.encoding.input_range
    for index, layer in enumerate(network.layers):
        where, is_last = f"layer {index}", index == len(network.layers) - 1
        _check_weight(where, layer, codes, network.n_w_bits)
        if is_last:
            _check_output(where, layer)
        else:
            codes = _check_hidden(where, layer)
    _require(network.layers, "it has no layers")
    _check_outcome(network)
    _check_labels(network, n_logits=network.layers[-1].n_logits)


def _require(condition, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _ascending(rows: np.ndarray) -> bool:
    return bool((rows[:, 1:] >= rows[:, :-1]).all())


def _check_encoding(encoding) -> None:
    thresholds, n_segments = encoding.thresholds, encoding.n_segments
    _require(1 <= encoding.n_bits <= 8, f"encoding.n_bits is {encoding.n_bits}, not 1 to 8")
    right = thresholds.size and n_segments.shape == thresholds.shape[:1]
    _require(right, f"encoding: shapes {thresholds.shape} and {n_segments.shape} do not match")
    right = _ascending(thresholds) and (thresholds > -np.inf).all()
    _require(right, "encoding.thresholds is not ascending")
    right = n_segments.min() >= 0 and n_segments.max() <= thresholds.shape[1]
    _require(right, "encoding.n_segments does not match the finite thresholds")
    n_finite = np.isfinite(thresholds).sum(axis=1)
    names = ("missing_level", "is_date", "takes_others")
    shapes = tuple(getattr(encoding, name).shape for name in names)
    right = shapes == (n_segments.shape,) * len(names)
    right &= len(encoding.tables) == len(encoding.categories) == len(n_segments)
    _require(right, f"encoding: {', '.join(names)} have shapes {shapes}")
    single, blocks = encoding.single_thresholds, encoding.blocks
    if single is not None:
        right = single.shape == thresholds.shape and _ascending(single)
        right = right and not np.isnan(single).any()
        _require(right, "encoding.single_thresholds is not ascending, or has another shape")
        right = blocks is not None and blocks.shape == n_segments.shape
        _require(right, "encoding.blocks has another shape")
    for feature, known in enumerate(encoding.categories):
        ramp = n_segments[feature] * encoding.steps
        if known is not None:
            _check_categories(f"encoding.categories.{feature}", known, thresholds[feature])
            right, ramp = n_segments[feature] == 0, len(known)
            _require(right, f"encoding.n_segments of categorical feature {feature} is not 0")
        # A table may be of any number of levels, and so may be the thresholds of a number.
        is_tabled = known is None and encoding.tables[feature] is not None
        right = is_tabled or n_finite[feature] == ramp
        _require(right, "encoding.n_segments does not match the finite thresholds")
        _check_levels(encoding, feature, int(n_finite[feature]))


def _check_categories(where: str, known: np.ndarray, thresholds: np.ndarray) -> None:
    right = len(set(known.tolist())) == len(known)
    _require(right, f"{where} are not different values")
    right = known.dtype.kind != "f" or np.isfinite(known).all()
    _require(right, f"{where} are not finite")
    right = np.array_equal(thresholds[: len(known)], np.arange(len(known)) + 0.5)
    _require(right, f"{where}: their thresholds are not 0.5, 1.5 and so on")


def _check_levels(encoding, feature: int, highest: int) -> None:
    """Check the table of a feature, and where its gaps go; thresholds lead to level `highest`."""
    table, gap = encoding.tables[feature], encoding.missing_level[feature]
    if table is None:
        right = encoding.categories[feature] is None
        _require(right, f"encoding.tables.{feature}: there is none for its categories")
        n_levels = highest + 1
    else:
        n_levels = len(table)
        right = highest + 1 <= n_levels <= highest + 2 and table.shape[1] > 0
        _require(right, f"encoding.tables.{feature} has shape {table.shape}")
        low, high = code_range(encoding.n_bits)
        right = low <= table.min() and table.max() <= high
        _require(right, f"encoding.tables.{feature} has codes beyond {encoding.n_bits} bits")
    right = -1 <= gap < n_levels
    _require(right, f"encoding.missing_level of feature {feature} is {gap}, not below {n_levels}")


def _check_weight(where: str, layer: IntegerLayer, codes: np.ndarray, n_w_bits: int) -> None:
    (n_out, n_in), largest = layer.weight.shape, weight_max(n_w_bits)
    right = n_out > 0 and n_in == len(codes)
    _require(right, f"{where}: weight has shape {n_out, n_in}, but {len(codes)} codes come in")
    # Not by abs(): the magnitude of -128 does not fit int8.
    right = layer.weight.min() >= -largest and layer.weight.max() <= largest
    _require(right, f"{where}: a weight is beyond n_w_bits={n_w_bits}")
    right = np.array_equal(layer.input_range, codes)
    _require(right, f"{where}: input_range is not that of the codes that come in")


def _check_hidden(where: str, layer: IntegerLayer) -> np.ndarray:
    """Check what a hidden layer puts out; return the range of its codes."""
    if not isinstance(layer, HiddenLayer):
        raise ValueError(f"{where}: it is no HiddenLayer, though another layer follows")
    n_out, n_bits = len(layer.weight), (layer.thresholds.shape[1] + 1).bit_length() - 1
    right = 1 <= n_bits <= 8 and layer.thresholds.shape == (n_out, 2**n_bits - 1)
    _require(right, f"{where}: thresholds has shape {layer.thresholds.shape}")
    _require(_ascending(layer.thresholds), f"{where}: thresholds is not ascending")
    low_high = code_range(n_bits)
    right = layer.output_low == low_high[0]
    _require(right, f"{where}: output_low is {layer.output_low}, not that of {n_bits}-bit codes")
    return np.tile(np.array(low_high), (n_out, 1))


def _check_output(where: str, layer: IntegerLayer) -> None:
    if not isinstance(layer, OutputLayer):
        raise ValueError(f"{where}: the last layer is no OutputLayer")
    n_out, n_logits = len(layer.weight), np.size(layer.scale)
    right = 0 < n_logits <= n_out and n_out % n_logits == 0
    _require(right, f"{where}: {n_out} sums cannot be shared out among {n_logits} logits")
    for name in ("scale", "bias"):
        value = getattr(layer, name)
        right = np.shape(value) == (n_logits,) and np.isfinite(value).all()
        _require(right, f"{where}: {name} is not {n_logits} finite numbers")


def _check_outcome(network) -> None:
    outcome, is_classifier = network.outcome, network.classes is not None
    right = outcome in OUTCOMES and (outcome in ("class", "labels")) == is_classifier
    of = "a classifier" if is_classifier else "a regressor"
    _require(right, f"outcome is {outcome!r}, which is none of {of}")


def _check_labels(network, n_logits: int) -> None:
    classes, names = network.classes, network.feature_names
    if network.outcome == "labels":
        _require(len(classes) == n_logits > 1, f"its {len(classes)} labels have {n_logits} logits")
    elif classes is not None:
        right = len(classes) in (max(n_logits, 2), n_logits)
        right &= len(np.unique(classes)) == len(classes)
        _require(right, f"classes {classes!r} do not fit {n_logits} logits")
        output = network.layers[-1]
        # A single logit decides by its sign, and there is no second label.
        right = len(classes) > 1 or (output.scale[0] == 0 and output.bias[0] <= 0)
        _require(right, "its only class has a logit that may be positive")
    if names is not None:
        right = len(names) == network.n_features_in
        _require(right, f"it has {len(names)} feature_names for {network.n_features_in} features")
