"""Brevitas layers of one's own module as the pruner sees them: matrices, one row per neuron.

A pruned weight is 0 in the layer's own ``weight``, so stock quantizers need no change, and
nothing stands between the layer and an export.  Filters are the neurons of a convolution.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ._codes import weight_codes
from ._ranges import Integers, integers_of
from ._steps import Concat, Flatten, Quantize, Sum, Trace
from ._trace import device_of, evaluation_mode

__all__ = ["ModuleLayer", "ModuleNetwork"]


class ModuleLayer:
    """What pruning reads and changes of one layer.

    Parameters
    ----------
    name : str
    layer : QuantLinear, QuantConv1d or QuantConv2d

    Attributes
    ----------
    mask : bool array of shape (n_out, n_in)
        The weights that are kept; `n_in` counts those of a filter.
    n_outputs : None
        Rows stand for themselves.
    """

    n_outputs = None

    def __init__(self, name: str, layer: nn.Module):
        self.name, self.layer = name, layer
        self.mask = np.ones(self.weight.shape, dtype=bool)

    @property
    def weight(self) -> np.ndarray:
        """float array of shape (n_out, n_in)."""
        weight = self.layer.weight.detach().cpu().float().numpy()
        return weight.reshape(len(weight), -1)

    @property
    def codes(self) -> np.ndarray:
        """int32 array of shape (n_out, n_in)."""
        codes = weight_codes(self.name, self.layer)
        return codes.reshape(len(codes), -1).astype(np.int32)

    @property
    def slope_sign(self) -> np.ndarray:
        """1 for each row: sums are those of the module itself."""
        return np.ones(len(self.layer.weight), dtype=np.int32)

    def set_mask(self, mask: np.ndarray) -> None:
        """Keep the weights where a boolean array is True; the others become 0."""
        self.mask = np.array(mask, dtype=bool)
        self.apply_mask()

    @torch.no_grad()
    def apply_mask(self) -> None:
        """Make pruned weights 0 again, which an optimizer has moved."""
        self.layer.weight.mul_(self.tensor_mask.to(self.layer.weight))

    @property
    def tensor_mask(self) -> Tensor:
        """The mask in the shape of the weight, a bool tensor."""
        return torch.from_numpy(self.mask).reshape(self.layer.weight.shape)

    @torch.no_grad()
    def set_code(self, row: int, column: int, code: int) -> None:
        """Give one weight the value that rounds to `code` at the scale of now."""
        scale = self.layer.quant_weight().scale.reshape(-1)
        self.layer.weight[row].view(-1)[column] = code * scale[row if len(scale) > 1 else 0]

    def refresh_scale(self) -> None:
        """Leave the scale to the layer's own quantizer."""

    def let_pruned_learn(self, learn: bool) -> None:
        """Leave gradients to the training loop: what is pruned starts from 0 again."""


class ModuleNetwork:
    """All layers of a traced module, and how they are wired.

    Parameters
    ----------
    module : torch.nn.Module
    trace : Trace
    """

    def __init__(self, module: nn.Module, trace: Trace):
        self.module, self.trace = module, trace
        self._places: dict[int, list[int]] = {}  # of the steps that use a layer, by its id
        for place in trace.sums:
            self._places.setdefault(id(trace.steps[place].layer), []).append(place)
        firsts = [trace.steps[places[0]] for places in self._places.values()]
        self.layers = [ModuleLayer(step.name, step.layer) for step in firsts]
        self._index = {key: index for index, key in enumerate(self._places)}

    def places(self, index: int) -> list[int]:
        """Steps that use a layer; several where it is shared."""
        return self._places[id(self.layers[index].layer)]

    def integers(self, input_range=None) -> list[Integers | None]:
        """Integers at each step; see `integers_of`."""
        return integers_of(self.trace, input_range)

    @property
    def removable(self) -> list[bool]:
        """Which layers may lose neurons: those that the module's output does not show."""
        return [
            not any(self._shows(place) for place in self.places(index))
            for index in range(len(self.layers))
        ]

    def _shows(self, place: int) -> bool:
        """Whether the output depends on a step by another way than a sum."""
        readers = self.trace.readers(place)
        return place == self.trace.output or any(
            self._shows(i) for i in readers if not isinstance(self.trace.steps[i], Sum)
        )

    def fed(self, index: int, kept) -> np.ndarray | bool:
        """Weights of a layer's rows that meet a value of a kept neuron, or True for all."""
        layer = self.layers[index].layer
        channels = layer.weight.shape[1] * getattr(layer, "groups", 1)
        fed = np.zeros(channels, dtype=bool)
        for place in self.places(index):
            source = self._kept_channels(self.trace.steps[place].inputs[0], kept)
            fed |= True if source is True else np.repeat(source, channels // len(source))
        fed = fed.reshape(-1, layer.weight.shape[1]).any(axis=0)
        return np.repeat(fed, layer.weight[0, 0].numel())

    def _kept_channels(self, place: int, kept) -> np.ndarray | bool:
        """Channels of a step that some kept neuron feeds, or True where that is all or unknown."""
        step = self.trace.steps[place]
        if isinstance(step, Sum):
            return kept[self._index[id(step.layer)]]
        sources = [self._kept_channels(i, kept) for i in step.inputs]
        if not sources or any(source is True for source in sources):
            return True
        if isinstance(step, Concat):
            flat = any(self._flat(i) for i in step.inputs)  # channels of unknown sizes
            return True if flat else np.concatenate(sources)
        return np.logical_or.reduce(sources)

    def _flat(self, place: int) -> bool:
        step = self.trace.steps[place]
        return isinstance(step, Flatten) or (
            not isinstance(step, Sum) and any(self._flat(i) for i in step.inputs)
        )

    def turn(self, index: int, rows) -> None:
        """Leave signs as they are: other parts of the module may rely on them."""

    # ------------------------------------------------------- what rows make of it

    def layer_inputs(self, rows: Tensor) -> list[np.ndarray]:
        """Values that the weights of every layer meet, one position of each row.

        Parameters
        ----------
        rows : tensor of shape (n, ...)
            What the module takes; on any device.

        Returns
        -------
        list of float32 arrays of shape (n, n_in)
        """
        layers = [layer.layer for layer in self.layers]
        return [
            np.repeat(
                _positions(seen, len(rows), layer.weight.shape[1]), layer.weight[0, 0].numel(), 1
            )
            for layer, seen in zip(layers, self._seen(layers, rows, inputs=True), strict=True)
        ]

    def neuron_outputs(self, rows: Tensor) -> list[np.ndarray]:
        """What the neurons of removable layers put out, as codes where they become such."""
        chosen = [i for i, removable in enumerate(self.removable) if removable]
        modules = [self._ending(self.places(i)[0]) for i in chosen]
        return [
            _positions(seen, len(rows), len(self.layers[i].layer.weight))
            for i, seen in zip(chosen, self._seen(modules, rows, inputs=False), strict=True)
        ]

    def _ending(self, place: int) -> nn.Module:
        """The quantizer that a sum goes to, or the layer itself."""
        for reader in self.trace.readers(place):
            step = self.trace.steps[reader]
            if isinstance(step, Quantize):
                return step.quantizer
            if not isinstance(step, (Sum, Flatten, Concat)):
                return self._ending(reader)
        step = self.trace.steps[place]
        return step.layer if isinstance(step, Sum) else step.apply

    @torch.no_grad()
    def _seen(self, modules, rows: Tensor, *, inputs: bool) -> list[Tensor]:
        """What goes into some parts of the module, or comes out of them."""
        found: dict[int, Tensor] = {}

        def keep(part, taken, made):
            found[id(part)] = _plain(taken[0] if inputs else made)

        hooks = [part.register_forward_hook(keep) for part in modules]
        try:
            with evaluation_mode(self.module):
                self.module(rows.to(device_of(self.module)))
        finally:
            for hook in hooks:
                hook.remove()
        return [found[id(part)] for part in modules]


def _plain(value) -> Tensor:
    """The tensor inside a Brevitas quant tensor, or what is one already."""
    return value if isinstance(value, Tensor) else value.value


def _positions(values: Tensor, n_rows: int, n_channels: int) -> np.ndarray:
    """`n_rows` samples of the channels, from all rows and positions."""
    every = values.detach().float().movedim(1, -1).reshape(-1, n_channels).cpu().numpy()
    return every[np.linspace(0, len(every) - 1, n_rows).astype(int)]
