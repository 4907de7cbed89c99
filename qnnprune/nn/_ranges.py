"""Ranges of the integers between the layers of a traced module, from the input to the output.

A value is ``scale * (integer - zero)``, so what every sum adds up is integers whose ranges
follow from the widths of the quantizers, the integer weights and the windows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from ..accumulators import accumulator_range
from ..exceptions import UnsupportedModuleError
from ._codes import activation_codes, weight_codes, zero_of
from ._steps import Add, Concat, Input, MeanPool, Pointwise, Quantize, Sum, Trace

__all__ = [
    "Integers",
    "input_codes",
    "integers_of",
    "quantized_codes",
    "source_of",
    "unquantized",
    "weight_inputs",
]


@dataclass(frozen=True, eq=False)
class Integers:
    """What the integers at one place of the module can be.

    Attributes
    ----------
    range : int64 array of shape (n_channels, 2), or (1, 2) where all channels are alike, or None
        Smallest and largest integer, inclusive.  None: a mean of unknown many.
    zero : int
        The integer whose value is 0.
    name : str
        Of the step whose integers they are.
    is_code : bool
        Whether what is read is a plain multiple of the integer, which a layer can add up.
    """

    range: np.ndarray | None
    zero: int
    name: str
    is_code: bool


def integers_of(trace: Trace, input_range=None) -> list[Integers | None]:
    """Integers at each step of a module.

    Parameters
    ----------
    trace : Trace
    input_range : array-like of shape (2,) or (n_channels, 2), optional
        Smallest and largest code that comes in, inclusive.

    Returns
    -------
    list
        One entry per step; None where values are not yet quantized.

    Raises
    ------
    UnsupportedModuleError
        If a layer adds up values that are not quantized.
    ValueError
        If `input_range` holds codes that the first quantizer does not have.
    """
    found: list[Integers | None] = []
    for step in trace.steps:
        found.append(_integers(step, [found[i] for i in step.inputs], input_range))
    return found


def _integers(step, sources, input_range) -> Integers | None:
    if isinstance(step, Input):
        return None
    if isinstance(step, Quantize):
        return quantized_codes(step, input_range if sources[0] is None else None)
    if isinstance(step, Pointwise):
        source = sources[0]
        return source and Integers(source.range, source.zero, source.name, False)
    if isinstance(step, Sum):
        source = _added(step, sources[0], input_range)
        ranges = accumulator_range(
            weight_codes(step.name, step.layer).reshape(len(step.layer.weight), -1),
            weight_inputs(step, source),
        )
        return Integers(ranges, 0, step.name, False)
    if isinstance(step, MeanPool):
        return _mean(step, sources[0])
    if isinstance(step, Add):
        return _sum_of_branches(step, sources)
    if isinstance(step, Concat):
        return _concatenated(step, sources)
    return sources[0]  # flattening, maxima: the same integers


def quantized_codes(step: Quantize, input_range=None) -> Integers:
    """Codes of a quantizer, or those among them that come in."""
    low, high, _ = activation_codes(step.name, step.quantizer)
    possible = np.array([[low, high]])
    if input_range is not None:
        possible = _checked(step.name, input_range, low, high)
    return Integers(possible, zero_of(step.name, step.quantizer), step.name, True)


def _checked(name, input_range, low, high) -> np.ndarray:
    given = np.asarray(input_range)
    right = given.shape[-1:] == (2,) and given.ndim in (1, 2) and given.dtype.kind in "iu"
    given = given.reshape(-1, 2).astype(np.int64) if right else given
    if not right or (given[:, 0] > given[:, 1]).any():
        raise ValueError(
            f"input_range={input_range!r} must be integers (low, high), or one such row per channel."
        )
    if given.min() < low or given.max() > high:
        raise ValueError(
            f"input_range={input_range!r} leaves the codes {low} to {high} of '{name}'. Give codes, "
            "not values, or leave it out: it then is the quantizer's own."
        )
    return given


def source_of(step: Sum, found: list, input_range) -> Integers:
    """What a layer adds up.

    Parameters
    ----------
    step : Sum
    found : list of Integers or None
        At each step, as `integers_of` gives them.
    input_range
        As there.
    """
    return _added(step, found[step.inputs[0]], input_range)


def _added(step: Sum, source: Integers | None, input_range) -> Integers:
    """What a layer adds up, where the module may begin with it."""
    if source is None and input_range is not None:
        return input_codes(step, input_range)
    if source is None:
        raise unquantized(step.name, "the input")
    if source.range is None:
        raise UnsupportedModuleError(
            f"'{step.name}' reads '{source.name}', a mean over all positions, whose number is not "
            "known: give example rows (rows= of AccumulatorPruner, example= of accumulator_report)."
        )
    if not source.is_code:
        raise unquantized(step.name, source.name)
    return source


def input_codes(step: Sum, input_range) -> Integers:
    """Integers that a module without a quantizer at its beginning gets as they are."""
    whole = np.iinfo(np.int32)
    return Integers(_checked(step.name, input_range, whole.min, whole.max), 0, "input", True)


def unquantized(name: str, source: str) -> UnsupportedModuleError:
    """The error of a layer that reads values which are no codes."""
    return UnsupportedModuleError(
        f"'{name}' reads values that are not quantized after '{source}'. Put a QuantIdentity, or "
        "another activation with act_quant, before it; where the module gets integers as they are, "
        "give input_range=(low, high)."
    )


def weight_inputs(step: Sum, source: Integers) -> np.ndarray:
    """Range of what each weight of a row meets: int64 of shape (n_in, 2), `n_in` a row's weights.

    Channels of all groups share it, and a padded position is among what it holds.
    """
    layer = step.layer
    groups = getattr(layer, "groups", 1)
    n_channels = layer.weight.shape[1] * groups
    rows = _repeated(step.name, source.range, n_channels)
    if step.window is not None and any(step.window.padding):
        rows = np.stack(
            [np.minimum(rows[:, 0], source.zero), np.maximum(rows[:, 1], source.zero)], axis=1
        )
    rows = rows.reshape(groups, -1, 2)
    shared = np.stack([rows[..., 0].min(axis=0), rows[..., 1].max(axis=0)], axis=1)
    return np.repeat(shared, prod(layer.weight.shape[2:]), axis=0)


def _repeated(name: str, ranges: np.ndarray, n_channels: int) -> np.ndarray:
    """One row per channel; a flattened channel stands for as many as it had positions."""
    if n_channels % len(ranges):
        raise UnsupportedModuleError(
            f"'{name}' has {n_channels} inputs, but {len(ranges)} channels come in."
        )
    return np.repeat(ranges, n_channels // len(ranges), axis=0)


def _mean(step: MeanPool, source: Integers | None) -> Integers | None:
    """A mean is the sum over the window, with a smaller scale."""
    if source is None:
        return None
    if step.window is None:
        return Integers(None, 0, step.name, False)
    ranges, n = source.range, prod(step.window.size)
    if any(step.window.padding):
        ranges = np.stack(
            [np.minimum(ranges[:, 0], source.zero), np.maximum(ranges[:, 1], source.zero)], 1
        )
    return Integers(ranges * n, source.zero * n, step.name, source.is_code)


def _sum_of_branches(step: Add, sources) -> Integers:
    if any(source is None or not source.is_code for source in sources):
        raise UnsupportedModuleError(
            f"'{step.name}' adds up branches that are not all quantized. Put the same QuantIdentity "
            "at the end of each."
        )
    n_channels = max(len(source.range) for source in sources)
    total = np.zeros((n_channels, 2), dtype=np.int64)
    for sign, source in zip(step.signs, sources, strict=True):
        ends = _repeated(step.name, source.range, n_channels) * sign
        total += ends[:, ::sign]
    zero = sum(sign * source.zero for sign, source in zip(step.signs, sources, strict=True))
    return Integers(total, zero, step.name, True)


def _concatenated(step: Concat, sources) -> Integers:
    if any(source is None or not source.is_code for source in sources):
        raise UnsupportedModuleError(
            f"'{step.name}' concatenates branches that are not all quantized. Put the same "
            "QuantIdentity at the end of each."
        )
    zeros = {source.zero for source in sources}
    if len(zeros) > 1:
        raise UnsupportedModuleError(f"'{step.name}' concatenates codes with zero points {zeros}.")
    # How many channels a branch has may not be known here; the range of all of them is enough.
    low = min(source.range[:, 0].min() for source in sources)
    high = max(source.range[:, 1].max() for source in sources)
    return Integers(np.array([[low, high]]), zeros.pop(), step.name, True)
