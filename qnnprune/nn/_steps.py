"""Steps of a traced module: what happens to the values between its input and its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = [
    "Add",
    "Concat",
    "Flatten",
    "Input",
    "MaxPool",
    "MeanPool",
    "Pointwise",
    "Quantize",
    "Step",
    "Sum",
    "Trace",
    "Window",
]


@dataclass(frozen=True)
class Window:
    """How a kernel moves over the positions of its input, one number per spatial axis."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """What all steps have.

    Attributes
    ----------
    name : str
        As the module calls the layer; for errors and reports.
    inputs : tuple of int
        Steps, by their place in the trace.
    """

    name: str
    inputs: tuple[int, ...]


class Input(Step):
    """The module's own input."""


@dataclass(frozen=True)
class Quantize(Step):
    """Values to codes.

    Attributes
    ----------
    apply : callable
        Float tensor to the fake-quantized one, activation included.
    quantizer : Brevitas proxy
        What knows scale, zero point and width of the codes.
    """

    apply: Callable[[Tensor], Tensor]
    quantizer: nn.Module


@dataclass(frozen=True)
class Pointwise(Step):
    """A function of each value alone, which may differ from channel to channel."""

    apply: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sum(Step):
    """A linear or convolution layer with quantized weights.

    Attributes
    ----------
    layer : QuantLinear, QuantConv1d or QuantConv2d
    window : Window or None
        Of a convolution.
    """

    layer: nn.Module
    window: Window | None


@dataclass(frozen=True)
class MaxPool(Step):
    """Largest value of each window."""

    window: Window


@dataclass(frozen=True)
class MeanPool(Step):
    """Mean of each window.

    Attributes
    ----------
    window : Window or None
        None: all positions, of unknown number.
    keep : bool
        Whether axes of one position are left.
    """

    window: Window | None
    keep: bool = True


class Flatten(Step):
    """All axes but that of the rows become one, channel by channel."""


@dataclass(frozen=True)
class Add(Step):
    """Branches added up.

    Attributes
    ----------
    signs : tuple of int
        1, or -1 where a branch is subtracted.
    """

    signs: tuple[int, ...]


class Concat(Step):
    """Channels of one branch after those of another."""


@dataclass(frozen=True)
class Trace:
    """A module as steps, in the order of evaluation.

    Attributes
    ----------
    steps : tuple of Step
    output : int
        The step whose value the module returns.
    """

    steps: tuple[Step, ...]
    output: int

    def readers(self, index: int) -> list[int]:
        """Steps that read the value of one."""
        return [i for i, step in enumerate(self.steps) if index in step.inputs]

    @property
    def sums(self) -> list[int]:
        """The places of linear and convolution layers."""
        return [i for i, step in enumerate(self.steps) if isinstance(step, Sum)]
