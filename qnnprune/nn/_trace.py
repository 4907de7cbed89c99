"""A torch module to steps, by torch.fx: the forward method is followed, not run."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, fx, nn

from ..exceptions import UnsupportedModuleError
from ._steps import Trace
from ._walk import Walk

__all__ = ["device_of", "evaluation_mode", "trace"]

_LEAVES = ("torch.nn.", "torch.ao.", "brevitas.")


def trace(module: nn.Module, example: Tensor | None = None) -> Trace:
    """Follow the forward method of a module, in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
    example : tensor of shape (n_rows, ...), optional
        Inputs, on any device, which tell how many positions a mean over all of them has.

    Returns
    -------
    Trace

    Raises
    ------
    UnsupportedModuleError
        If the forward method cannot be followed, or a layer has no integer form.
    ValueError
        If the module does not run on the example.
    """
    root = nn.Sequential(module) if _is_leaf(module) else module
    before = set(vars(root))
    with evaluation_mode(root):
        try:
            graph = _Tracer().trace(root)
        except Exception as error:  # whatever user code does with a symbolic tensor
            raise UnsupportedModuleError(
                f"The forward method of {type(module).__name__} cannot be followed by torch.fx "
                f"({error}). Leave control flow that depends on data out of it, or move it into "
                "the training loop."
            ) from error
        shapes, failure = _shapes(fx.GraphModule(root, graph), example)
    # torch.fx leaves constant tensors of the forward method on the module.
    constants = {name: vars(root).pop(name) for name in set(vars(root)) - before}
    steps = Walk(root, graph, shapes, constants).trace()  # names a layer that has no integer form
    if example is not None and failure is not None:
        raise ValueError(
            f"The module does not run on rows of shape {tuple(example.shape)}: {failure}"
        ) from failure
    return steps


def _shapes(module: fx.GraphModule, example: Tensor | None) -> tuple[dict, Exception | None]:
    """Shapes of all values by the name of the node, or what the module raises on the example."""
    try:
        return {} if example is None else _Shapes(module).of(example.to(device_of(module))), None
    except Exception as error:  # whatever user code does with rows
        return {}, error


def device_of(module: nn.Module) -> torch.device | None:
    """Where the tensors of a module are; None if it has none."""
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), None)


@contextmanager
def evaluation_mode(module: nn.Module):
    """Put a module into evaluation mode; every part gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _is_leaf(module: nn.Module) -> bool:
    inside = type(module).__module__.startswith(_LEAVES)
    return inside and not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m, module_qualified_name):
        return _is_leaf(m)


class _Shapes(fx.Interpreter):
    """Shapes of all values, from a run of the module."""

    @torch.no_grad()
    def of(self, example: Tensor) -> dict[str, tuple[int, ...]]:
        """By the name of the node."""
        self.found: dict[str, tuple[int, ...]] = {}
        self.run(example)
        return self.found

    def run_node(self, n):
        """Run one node, and note the shape of what it makes."""
        result = super().run_node(n)
        if hasattr(result, "shape"):
            self.found[n.name] = tuple(result.shape)
        return result
