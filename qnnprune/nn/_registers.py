"""Narrow registers inside a torch module: what its own forward pass gives with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ..accumulators import register_range
from ..exceptions import AccumulatorOverflowError
from ..integer._simulation import check_register
from ._compile import sum_scales
from ._compiler import SumScale

__all__ = ["narrow_registers"]


@contextmanager
def narrow_registers(
    module: nn.Module, example, *, n_accum_bits: int, mode: str = "wrap", input_range=None
) -> Iterator[dict[str, np.ndarray]]:
    """Let every sum of a module go through a register of a given width.

    Inside the ``with`` block forward passes see what comes out of the registers.  Scales are those
    at its beginning.  Gradients go straight through.

    Parameters
    ----------
    module : torch.nn.Module
    example : tensor of shape (n_rows, ...)
        Inputs as the module takes them; their shape matters.
    n_accum_bits : int
        Width of every register, 1 to 62 bits.
    mode : {"wrap", "saturate", "raise"}
        What a sum does that leaves its register: two's-complement wrap-around, clipping once
        after the whole sum, or an error.
    input_range : array-like of int, optional
        See `AccumulatorPruner`.

    Yields
    ------
    dict of str to int64 array of shape (n_out,)
        Sums that left their register so far, by layer and neuron.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no integer form; the message names it.
    AccumulatorOverflowError
        At the first overflow, in mode "raise".

    Examples
    --------
    >>> import torch
    >>> from brevitas.nn import QuantLinear
    >>> layer = QuantLinear(2, 1, bias=False, weight_bit_width=3)
    >>> layer.weight.data = torch.tensor([[3.0, 1.0]])
    >>> rows = torch.tensor([[3.0, 2.0], [1.0, 1.0]])
    >>> with narrow_registers(layer, rows, n_accum_bits=3, input_range=(0, 3)) as overflows:
    ...     layer(rows).tolist(), overflows
    ([[3.0], [4.0]], {'0': array([1])})
    """
    check_register(n_accum_bits, mode)
    sums, counts = sum_scales(module, example, input_range), {}
    with ExitStack() as hooks:
        for each in sums:
            counts[each.name] = np.zeros(len(each.ranges), dtype=np.int64)
            register = _Register(each, n_accum_bits, mode, counts[each.name])
            hooks.callback(each.layer.register_forward_hook(register).remove)
        yield counts


class _Register:
    """A forward hook of one layer."""

    def __init__(self, sums: SumScale, n_accum_bits: int, mode: str, count: np.ndarray):
        self.sums, self.n_accum_bits, self.mode, self.count = sums, n_accum_bits, mode, count
        self.low, self.high = register_range(sums.ranges, n_accum_bits).T

    def __call__(self, layer, inputs, output):
        value = output if isinstance(output, Tensor) else output.value
        with torch.no_grad():
            ends = [1] * (value.dim() - 2)
            columns = (self.sums.scale, self.sums.bias, self.low, self.high)
            scale, bias, low, high = (
                torch.from_numpy(np.array(c, float)).to(value.device).reshape(-1, *ends)
                for c in columns
            )
            acc = ((value.double() - bias) / scale).round()
            kept = self._stored(acc, low, high)
            moved = (kept - acc) * scale
        result = value + moved.to(value.dtype)
        return result if isinstance(output, Tensor) else output._replace(value=result)

    def _stored(self, acc: Tensor, low: Tensor, high: Tensor) -> Tensor:
        over = ((acc < low) | (acc > high)).movedim(1, -1).reshape(-1, len(self.count))
        self.count += over.sum(dim=0).cpu().numpy()
        if self.mode == "raise" and over.any():
            raise AccumulatorOverflowError(
                f"A sum of layer '{self.sums.name}' leaves n_accum_bits={self.n_accum_bits}. Use a "
                "wider register, or mode='wrap' or 'saturate' to go on."
            )
        if self.mode == "saturate":
            return acc.clamp(low, high)
        span = high - low + 1
        return acc - torch.floor((acc - low) / span) * span
