"""Modules of Brevitas layers that can be pickled and copied."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["PicklableModule"]


class PicklableModule(nn.Module):
    """Base of modules with Brevitas layers that pickle, copy and load as others do.

    Layers of Brevitas cannot be pickled.  This module remembers the arguments that it was made
    with; its pickle holds them and the state, and a module is made of them again.  So
    skorch nets, ``copy.deepcopy``, joblib and grid searches work.

    Parameters
    ----------
    *args, **kwargs
        Those of the derived class.

    Notes
    -----
    Derive from it in place of ``torch.nn.Module``, at the top level of a module that can be
    imported.  What is set on an instance after ``__init__`` and is neither parameter nor buffer
    is not in the pickle.

    Examples
    --------
    >>> import copy
    >>> from brevitas.nn import QuantLinear
    >>> class Net(PicklableModule):
    ...     def __init__(self, n_out):
    ...         super().__init__()
    ...         self.layer = QuantLinear(3, n_out, bias=False, weight_bit_width=3)
    ...
    ...     def forward(self, x):
    ...         return self.layer(x)
    >>> net = Net(2)
    >>> bool((copy.deepcopy(net).layer.weight == net.layer.weight).all())
    True
    """

    def __new__(cls, *args, **kwargs):
        """Remember the arguments, before `__init__` sees them."""
        module = super().__new__(cls)
        object.__setattr__(module, "_made_with", (args, kwargs))
        return module

    def __reduce_ex__(self, protocol):
        """What the module is made of."""
        return _made_again, (type(self), *self._made_with, self.state_dict(), self.training)

    def __deepcopy__(self, memo):
        """A module of its own, with the same state."""
        args, kwargs = self._made_with
        state = {name: value.clone() for name, value in self.state_dict().items()}
        memo[id(self)] = copied = _made_again(type(self), args, kwargs, state, self.training)
        return copied


def _made_again(kind: type, args: tuple, kwargs: dict, state: dict[str, Any], training: bool):
    module = kind(*args, **kwargs)
    device = next((value.device for value in state.values()), None)
    # Before the first training step Brevitas leaves scales out of a state: they are as made.
    module.to(device).load_state_dict(state, strict=False)
    return module.train(training)
