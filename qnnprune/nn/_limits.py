"""Limits on the sums of a module: widths, budgets and sparsity, by layer or kind of layer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..accumulators import accumulator_bits, weight_budget
from ..pruning import LayerLimits
from ._codes import bit_width
from ._layers import ModuleNetwork
from ._ranges import Integers, source_of, weight_inputs
from ._steps import Add, MeanPool, Step, Sum

__all__ = ["input_bits", "layer_limits", "limits_of", "options_of"]

_OPTIONS = {"n_accum_bits", "multiplier", "sparsity"}


def options_of(step: Step, defaults: Mapping, per_layer: Mapping) -> dict:
    """Options of a step: its own, else those of its kind, else the defaults."""
    kind = None
    if isinstance(step, Sum):
        kind = "linear" if step.window is None else "conv"
    return {**defaults, **per_layer.get(kind, {}), **per_layer.get(step.name, {})}


def check_options(network: ModuleNetwork, defaults: Mapping, per_layer: Mapping) -> None:
    """Refuse unknown layers, unknown options and values that make no sense.

    Raises
    ------
    ValueError
    """
    known = {s.name for s in network.trace.steps if isinstance(s, (Sum, Add, MeanPool))}
    unknown = set(per_layer) - known - {"linear", "conv"}
    if unknown:
        raise ValueError(
            f"per_layer names {sorted(unknown)}; this module has {sorted(known)}, and the kinds "
            "'linear' and 'conv'."
        )
    for name, options in {"": defaults, **per_layer}.items():
        _check(f"per_layer[{name!r}]: " if name else "", options)


def _check(where: str, options: Mapping) -> None:
    if set(options) - _OPTIONS:
        raise ValueError(
            f"{where}{sorted(set(options) - _OPTIONS)} are not among {sorted(_OPTIONS)}."
        )
    bits, sparsity = options.get("n_accum_bits", 1), options.get("sparsity")
    whole = isinstance(bits, (int, np.integer)) and not isinstance(bits, bool)
    if not whole or not 1 <= bits <= 62:
        raise ValueError(f"{where}n_accum_bits={bits!r} must be an integer from 1 to 62.")
    if sparsity is not None and not 0 <= sparsity < 1:
        raise ValueError(f"{where}sparsity={sparsity!r} must be at least 0 and below 1.")


def limits_of(network: ModuleNetwork, input_range, defaults, per_layer) -> list[LayerLimits]:
    """Limits on the rows of every layer.

    Raises
    ------
    ValueError
        If a layer could keep no weight at all, or a sum without weights is too wide.
    """
    check_options(network, defaults, per_layer)
    found = network.integers(input_range)
    steps = network.trace.steps
    for step, integers in zip(steps, found, strict=True):
        if isinstance(step, (Add, MeanPool)) and integers is not None:
            _check_plain_sum(step, integers, options_of(step, defaults, per_layer)["n_accum_bits"])
    limits = []
    for index in range(len(network.layers)):
        places = network.places(index)
        ranges = [weight_inputs(steps[i], source_of(steps[i], found, input_range)) for i in places]
        limits.append(_limits(steps[places[0]], ranges, defaults, per_layer))
    return limits


def _check_plain_sum(step: Step, integers: Integers, n_accum_bits: int) -> None:
    if integers.range is None:
        return
    bits = int(accumulator_bits(integers.range).max())
    if bits > n_accum_bits:
        raise ValueError(
            f"'{step.name}' adds up codes without weights and can need {bits} bits, more than "
            f"n_accum_bits={n_accum_bits}. Use narrower codes before it, or allow it a register of "
            f"its own: per_layer={{{step.name!r}: {{'n_accum_bits': {bits}}}}}."
        )


def _limits(step: Sum, ranges, defaults, per_layer) -> LayerLimits:
    options = options_of(step, defaults, per_layer)
    every = np.stack(ranges)
    shared = np.stack([every[..., 0].min(axis=0), every[..., 1].max(axis=0)], axis=1)
    return layer_limits(step, shared, **options)


def input_bits(input_range: np.ndarray) -> int:
    """Width of the codes that a layer reads, in bits: at least 1."""
    return int(accumulator_bits(input_range).max())


def layer_limits(
    step: Sum, input_range: np.ndarray, *, n_accum_bits: int, multiplier=None, sparsity=None
) -> LayerLimits:
    """Limits on the rows of one layer.

    Parameters
    ----------
    step : Sum
    input_range : int64 array of shape (n_in, 2)
    n_accum_bits : int
        Width of the register, in bits.
    multiplier : float, optional
        How many times Ω a row may keep.
    sparsity : float, optional
        Share of each row's weights that go at least.
    """
    n_w_bits = bit_width(step.layer.weight_quant)
    budget = weight_budget(n_w_bits, input_bits(input_range), n_accum_bits, multiplier)
    if sparsity is not None:
        kept = max(1, math.floor(round((1 - sparsity) * len(input_range), 9)))
        budget = kept if budget is None else min(kept, budget)
    limits = LayerLimits(input_range, n_accum_bits=n_accum_bits, budget=budget)
    _check_room(step, limits)
    return limits


def _check_room(step: Sum, limits: LayerLimits) -> None:
    low, high = limits.input_range.T
    half = 2 ** (limits.n_accum_bits - 1)
    plus = (low >= -half) & (high < half)
    minus = (-high >= -half) & (-low < half)
    if not (plus | minus).any():
        raise ValueError(
            f"'{step.name}' reads codes from {low.min()} to {high.max()}: not one weight of 1 or -1 "
            f"fits n_accum_bits={limits.n_accum_bits}. Use narrower codes, or a wider register: "
            f"per_layer={{{step.name!r}: {{'n_accum_bits': ...}}}}."
        )
