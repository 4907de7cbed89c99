"""Steps of a traced module to operations of an integer graph, one method per kind of step."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
from torch import nn

from ..exceptions import UnsupportedModuleError
from ..integer import IntegerGraph
from ..integer._graph_simplify import simplify_graph
from ..integer._inputs import CodedInput
from ..integer._operations import Add as AddOperation
from ..integer._operations import Concat as ConcatOperation
from ..integer._operations import Flatten as FlattenOperation
from ..integer._operations import MaxPool as MaxPoolOperation
from ..integer._operations import Operation, Sums, Thresholds
from ..integer._windows import Window
from ._codes import scale_of, weight_codes, zero_of
from ._functions import affine, bias_of, over_positions, weight_scale
from ._precision import double_precision
from ._ranges import input_codes, quantized_codes, unquantized
from ._steps import Add, Concat, Flatten, Input, MaxPool, MeanPool, Pointwise, Quantize, Sum, Trace
from ._thresholds import float_thresholds, integer_thresholds
from ._trace import device_of
from ._values import Value, affine_map, falls

__all__ = ["Compiler", "SumScale"]


class SumScale(NamedTuple):
    """How the values of one layer follow from its sums: ``sum * scale + bias``.

    Attributes
    ----------
    name : str
    layer : QuantLinear, QuantConv1d or QuantConv2d
    scale, bias : float64 arrays of shape (n_out,)
    ranges : int64 array of shape (n_out, 2)
        Of the sums, inclusive.
    """

    name: str
    layer: nn.Module
    scale: np.ndarray
    bias: np.ndarray
    ranges: np.ndarray


class Compiler:
    """Operations of the steps of a trace, each with the range and shape of what it puts out."""

    def __init__(self, module: nn.Module, steps: Trace, shape: tuple[int, ...], input_range):
        self.module, self.trace, self.shape, self.input_range = module, steps, shape, input_range
        self.input: CodedInput | None = None
        self.quantizer: nn.Module | None = None  # of the input
        self.operations: list[Operation] = []
        self.sums: list[SumScale] = []
        self.shapes: list[tuple[int, ...]] = []  # by place, as in a graph
        self.ranges: list[np.ndarray] = []

    def graph(self, classes) -> IntegerGraph:
        """The whole network."""
        values: list[Value] = []
        for step in self.trace.steps:
            make = getattr(self, f"_{type(step).__name__.lower()}")
            values.append(make(step, *[values[i] for i in step.inputs]))
        output = values[self.trace.output]
        if not output.place:
            raise UnsupportedModuleError("The module has no layer whose sums reach its output.")
        if output.pools:
            raise _after_pool(output, "the end of the module")
        scale, bias = self._affine_map(output)
        operations = _needed(self.operations, output.place)
        graph = IntegerGraph(self.input, operations, scale=scale, bias=bias, classes=classes)
        return simplify_graph(graph)

    def _emit(self, operation: Operation) -> int:
        """Append an operation; return the place of its result."""
        places = operation.inputs
        shapes, ranges = ([known[i] for i in places] for known in (self.shapes, self.ranges))
        self.shapes.append(operation.shape(shapes))
        self.ranges.append(operation.range(ranges, shapes))
        self.operations.append(operation)
        return len(self.operations)

    def _name(self, name: str) -> str:
        """The name, or the next one, of a layer that is used again."""
        uses = sum(o.name.split("#")[0] == name for o in self.operations if isinstance(o, Sums))
        return name if not uses else f"{name}#{uses + 1}"

    def _value(self, *what) -> Value:
        return Value(*what, device=device_of(self.module))

    def _affine_map(self, value: Value):
        with double_precision(self.module):
            return affine_map(value, self._channel_range(value))

    def _channel_range(self, value: Value) -> np.ndarray:
        return self.ranges[value.place]

    # ------------------------------------------------------- inputs and functions

    def _input(self, step: Input) -> Value:
        return self._value(step.name, None, self.shape)

    def _pointwise(self, step: Pointwise, source: Value) -> Value:
        functions = (*source.functions, step.apply)
        return replace(source, name=step.name, functions=functions, codes=None)

    def _quantize(self, step: Quantize, source: Value) -> Value:
        if source.place is None:
            place = self._quantized_input(step, source)
        else:
            with double_precision(self.module):
                ranges = self._channel_range(source)
                steps = integer_thresholds(step, source, ranges)
            place = self._emit(Thresholds(step.name, (source.place,), *steps))
            _check_pools(step, source, steps[2], self.ranges[place])
            for window in source.pools:
                place = self._emit(MaxPoolOperation(step.name, (place,), window))
        return self._coded(
            step.name, place, scale_of(step.quantizer), zero_of(step.name, step.quantizer)
        )

    def _quantized_input(self, step: Quantize, source: Value) -> int:
        if self.input is not None and (source.functions or self.quantizer is not step.quantizer):
            raise UnsupportedModuleError(
                f"'{step.name}' quantizes the module's input a second time, in another way. Quantize "
                "it once, and let all branches read those codes."
            )
        if self.input is None:
            thresholds, first, slope = float_thresholds(step, source)
            self.quantizer = step.quantizer
            codes = quantized_codes(step, self.input_range).range
            codes = _of_channels(codes, step, source.shape)
            self._begin(CodedInput(source.shape, codes, thresholds, first, slope))
        return 0

    def _begin(self, source: CodedInput) -> None:
        self.input, self.shapes, self.ranges = source, [source.shape], [source.range]

    def _coded(self, name: str, place: int, scale: np.ndarray, zero: int) -> Value:
        functions = (affine(scale, -scale * zero),)
        return self._value(name, place, self.shapes[place], functions, (scale, zero))

    # ------------------------------------------------------------------- sums

    def _sum(self, step: Sum, source: Value) -> Value:
        source = self._added(step, source)
        codes, layer = weight_codes(step.name, step.layer), step.layer
        scale, zero = source.codes
        groups = getattr(layer, "groups", 1)
        if len(scale) > 1 and len(set(scale)) > 1 and groups != len(scale):
            raise UnsupportedModuleError(
                f"'{step.name}' adds up codes of '{source.name}', whose channels have scales of their "
                "own. Use one scale for all channels (per-tensor) there."
            )
        if step.window is None and len(source.shape) != 1:
            raise UnsupportedModuleError(
                f"'{step.name}' is linear and reads rows of shape {source.shape}: flatten them first."
            )
        each = np.repeat(scale, len(codes) // len(scale)) if len(set(scale)) > 1 else scale[:1]
        operation = Sums(
            self._name(step.name), (source.place,), codes, _window(step.window), groups, zero
        )
        place = self._emit(operation)
        scales = weight_scale(layer) * each
        bias = bias_of(layer, source) - scales * zero * operation.matrix.sum(axis=1)
        scales = np.broadcast_to(scales, bias.shape)
        self.sums.append(SumScale(operation.name, layer, scales, bias, self.ranges[place]))
        return self._value(step.name, place, self.shapes[place], (affine(scales, bias),))

    def _added(self, step: Sum, source: Value) -> Value:
        if source.place is None and self.input_range is not None and not source.functions:
            if self.input is None:
                codes = input_codes(step, self.input_range).range
                self._begin(CodedInput(source.shape, _of_channels(codes, step, source.shape)))
            return self._coded(source.name, 0, np.ones(1), 0)
        if source.codes is None:
            raise unquantized(step.name, source.name)
        return source

    def _meanpool(self, step: MeanPool, source: Value) -> Value:
        if source.place is None or source.pools or len(source.shape) < 2:
            raise unquantized(step.name, source.name)
        window = _window(step.window)
        n, n_channels = prod(window.size), source.shape[0]
        weight = np.ones((n_channels, 1, *window.size), dtype=np.int8)
        if source.codes is None and window.is_padded:
            raise unquantized(step.name, source.name)
        zero = source.codes[1] if source.codes else 0
        if not source.codes:
            scale, bias = self._affine_map(source)
        operation = Sums(self._name(step.name), (source.place,), weight, window, n_channels, zero)
        place = self._emit(operation)
        if not step.keep:
            place = self._emit(FlattenOperation(step.name, (place,)))
        if source.codes:
            return self._coded(step.name, place, source.codes[0] / n, zero * n)
        return self._value(step.name, place, self.shapes[place], (affine(scale / n, bias),))

    # ----------------------------------------------------------- shapes and branches

    def _maxpool(self, step: MaxPool, source: Value) -> Value:
        if source.place is None:
            raise unquantized(step.name, source.name)
        window = _window(step.window)
        with double_precision(self.module):
            fell = falls(source, self._channel_range(source))
        if source.pools or fell.any():  # taken once the values are codes
            fell = source.fell if source.pools else fell
            return replace(source, codes=None, pools=(*source.pools, window), fell=fell)
        place = self._emit(MaxPoolOperation(step.name, (source.place,), window))
        return replace(source, place=place, shape=self.shapes[place])

    def _flatten(self, step: Flatten, source: Value) -> Value:
        if source.pools:
            raise _after_pool(source, f"'{step.name}'")
        shape, size = source.shape, prod(source.shape)
        if len(shape) == 1:
            return source
        place = source.place
        if place is not None:
            place = self._emit(FlattenOperation(step.name, (place,)))
        functions = tuple(over_positions(f, shape) for f in source.functions)
        codes = source.codes
        if codes and len(codes[0]) > 1:
            codes = np.repeat(codes[0], size // len(codes[0])), codes[1]
        return replace(source, place=place, shape=(size,), functions=functions, codes=codes)

    def _add(self, step: Add, *sources: Value) -> Value:
        scales = np.array([self._one_scale(step, source) for source in sources])
        base = np.abs(scales).min()
        factors = np.round(scales / base).astype(int)
        if not np.array_equal(factors * base, scales):
            raise _other_scales(step, sources, scales, "integer multiples of each other")
        factors = factors * np.array(step.signs)
        places = tuple(source.place for source in sources)
        place = self._emit(AddOperation(self._name(step.name), places, tuple(factors.tolist())))
        zero = int(factors @ [source.codes[1] for source in sources])
        return self._coded(step.name, place, np.array([base]), zero)

    def _concat(self, step: Concat, *sources: Value) -> Value:
        scales = np.array([self._one_scale(step, source) for source in sources])
        zeros = {source.codes[1] for source in sources}
        if len(set(scales)) > 1 or len(zeros) > 1:
            raise _other_scales(step, sources, scales, "the same")
        places = tuple(source.place for source in sources)
        place = self._emit(ConcatOperation(step.name, places))
        return self._coded(step.name, place, scales[:1], zeros.pop())

    def _one_scale(self, step, source: Value) -> float:
        if source.codes is None:
            raise unquantized(step.name, source.name)
        scales = set(source.codes[0].tolist())
        if len(scales) > 1:
            raise _other_scales(step, [source], source.codes[0], "one for all channels")
        return scales.pop()


def _of_channels(codes: np.ndarray, step, shape) -> np.ndarray:
    """One range per channel."""
    if len(codes) not in (1, shape[0]):
        raise ValueError(
            f"input_range has {len(codes)} rows, but '{step.name}' reads {shape[0]} channels."
        )
    return np.array(np.broadcast_to(codes, (shape[0], 2)))


def _window(window) -> Window | None:
    if window is None:
        return None
    return Window(window.size, window.stride, window.padding, window.dilation)


def _check_pools(step: Quantize, source: Value, slope: np.ndarray, codes: np.ndarray) -> None:
    """After maxima, functions must not fall, for the largest values would have the least codes."""
    moves = codes[:, 0] < codes[:, 1]
    if source.pools and (((slope < 0) != source.fell) & moves).any():
        raise _after_pool(source, f"'{step.name}'")


def _after_pool(source: Value, where: str) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"Between '{source.name}' and {where} maxima are taken of values that are not quantized and "
        "fall as their sums rise. Put the QuantIdentity or QuantReLU before the pooling."
    )


def _other_scales(step, sources, scales, wanted: str) -> UnsupportedModuleError:
    names = ", ".join(f"'{source.name}'" for source in sources)
    return UnsupportedModuleError(
        f"'{step.name}' joins {names} with scales {np.unique(scales)}, which must be {wanted}. Let "
        "the branches end in the same QuantIdentity."
    )


def _needed(operations: list[Operation], output: int) -> list[Operation]:
    """Operations that the output depends on, which then is the last one."""
    needed, places = {output}, {0: 0}
    for place in range(output, 0, -1):
        if place in needed:
            needed.update(operations[place - 1].inputs)
    kept = []
    for place in sorted(needed - {0}):
        operation = operations[place - 1]
        kept.append(replace(operation, inputs=tuple(places[i] for i in operation.inputs)))
        places[place] = len(kept)
    return kept
