"""Parts of a traced forward method as functions, for operations that are no modules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from torch import Tensor, fx, nn

__all__ = ["constant_part", "evaluator"]


def constant_part(node: fx.Node, places: Collection, sizes: Collection[str]) -> bool:
    """Whether a node is no value of the rows: a parameter, a constant, or a tensor's size.

    Parameters
    ----------
    node : torch.fx.Node
    places : collection of torch.fx.Node
        Nodes that are values of the rows.
    sizes : collection of str
        Attributes of a tensor that do not depend on its values.
    """
    if node.op == "get_attr":
        return True
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in sizes
    if node.op == "call_method" and node.target in ("size", "dim"):
        return True
    return not any(source in places for source in node.all_input_nodes)


def evaluator(
    root: nn.Module, node: fx.Node, source: fx.Node, constants: Mapping[str, Tensor]
) -> Callable[[Tensor], Tensor]:
    """The value of a node as a function of that of another.

    Parameters
    ----------
    root : torch.nn.Module
        Where parameters are looked up, at every call.
    node, source : torch.fx.Node
    constants : mapping of str to tensor
        Tensors that are no attributes of the module, by name.
    """

    def value_of(other: fx.Node, x: Tensor):
        if other is source:
            return x
        if other.op == "get_attr":
            if other.target in constants:
                return constants[other.target]
            owner, _, name = str(other.target).rpartition(".")
            return getattr(root.get_submodule(owner), name)
        if other.op in ("placeholder", "call_module"):
            return x  # only its device, type or size is asked for
        args, kwargs = fx.node.map_arg((other.args, other.kwargs), lambda n: value_of(n, x))
        if other.op == "call_method":
            return getattr(args[0], other.target)(*args[1:], **kwargs)
        return other.target(*args, **kwargs)

    return lambda x: value_of(node, x)
