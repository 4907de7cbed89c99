"""The accumulator report of a torch module: the proof from its integer weights as they are."""

from __future__ import annotations

import numpy as np
from torch import nn

from ..accumulators import accumulator_bits, omega
from ..integer import AccumulatorReport
from ._codes import bit_width, weight_codes
from ._layers import ModuleNetwork
from ._limits import input_bits, layer_limits, options_of
from ._ranges import source_of, weight_inputs
from ._steps import Add, MeanPool, Sum
from ._trace import trace

__all__ = ["accumulator_report", "report_of"]


def accumulator_report(
    module: nn.Module, input_range=None, *, n_accum_bits: int | None = None, example=None
) -> AccumulatorReport:
    """Widths that the sums of a module of Brevitas layers need, whatever comes in.

    Parameters
    ----------
    module : torch.nn.Module
    input_range : array-like of int of shape (2,) or (n_channels, 2), optional
        Smallest and largest code that comes in, inclusive; see `AccumulatorPruner`.
    n_accum_bits : int, optional
        A width to compare with, in bits.
    example : tensor of shape (n_rows, ...), optional
        Inputs; needed where a mean over all positions is added up further.

    Returns
    -------
    AccumulatorReport
        One row per linear and convolution layer, and per addition and mean.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no integer form; the message names it.

    Examples
    --------
    >>> import torch
    >>> from brevitas.nn import QuantLinear
    >>> layer = QuantLinear(2, 1, bias=False, weight_bit_width=3)
    >>> layer.weight.data = torch.tensor([[3.0, -1.0]])
    >>> accumulator_report(layer, input_range=(0, 7)).rows[0]["proven_range"]
    (-7, 21)
    """
    network = ModuleNetwork(module, trace(module, example))
    return report_of(network, input_range, {"n_accum_bits": n_accum_bits}, {})


def report_of(network: ModuleNetwork, input_range, defaults, per_layer) -> AccumulatorReport:
    """Tabulate a module against limits; a width of None is none."""
    found, rows, wide = network.integers(input_range), [], []
    for step, integers in zip(network.trace.steps, found, strict=True):
        if not isinstance(step, (Sum, Add, MeanPool)) or integers is None or integers.range is None:
            continue
        options = options_of(step, defaults, per_layer)
        row = {**_name(step, integers), **_weights(step, found, input_range, options)}
        row |= _widths(integers, options["n_accum_bits"])
        rows.append(row)
        if row["limit_bits"] is not None and row["proven_bits"] > row["limit_bits"]:
            wide.append(step.name)
    return AccumulatorReport(rows, _summary(rows, wide))


def _name(step, integers) -> dict:
    return {"layer": step.name, "neurons": len(integers.range)}


def _weights(step, found, input_range, options) -> dict:
    """Weights of a layer; all None where codes are added up without any."""
    keys = ("fan_in", "omega", "budget", "nonzeros_min", "nonzeros_mean", "nonzeros_max")
    if not isinstance(step, Sum):
        return dict.fromkeys((*keys, "dead_neurons"))
    codes = weight_codes(step.name, step.layer)
    nonzeros = np.count_nonzero(codes.reshape(len(codes), -1), axis=1)
    ranges = weight_inputs(step, source_of(step, found, input_range))
    bits, n_in = options["n_accum_bits"], input_bits(ranges)
    full = None if bits is None else omega(bit_width(step.layer.weight_quant), n_in, bits)
    budget = None if bits is None else layer_limits(step, ranges, **options).budget
    values = (
        len(ranges),
        full,
        budget,
        int(nonzeros.min()),
        float(nonzeros.mean()),
        int(nonzeros.max()),
    )
    return {**dict(zip(keys, values, strict=True)), "dead_neurons": int((nonzeros == 0).sum())}


def _widths(integers, limit) -> dict:
    low, high = integers.range.T
    return {
        "proven_bits": int(accumulator_bits(integers.range).max()),
        "proven_range": (int(low.min()), int(high.max())),
        "limit_bits": limit,
    }


def _summary(rows, wide) -> str:
    widest = max(row["proven_bits"] for row in rows)
    if wide:
        return f"An overflow is possible in {', '.join(wide)}: some sums can need {widest} bits."
    return f"Proven for every input: no sum needs more than {widest} bits."
