"""Modules of trainings, and their tensors as arrays, which are kept and pickled without torch."""

from __future__ import annotations

import threading
from copy import deepcopy

import numpy as np
import torch

from .module import PrunableMLP
from .spec import Trained
from .threads import one_thread

__all__ = [
    "build_module",
    "finished",
    "float_decision",
    "load_state",
    "module_of",
    "reset",
    "to_numpy",
    "to_torch",
]

_GLOBAL_GENERATOR = threading.Lock()


def build_module(encoding, shape) -> PrunableMLP:
    """A module with weights that are yet to be drawn."""
    # Layers draw from torch's global generator as they are built.
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        return PrunableMLP(encoding, shape).float()  # whatever torch's default type


def load_state(module, state):
    """Give a module the tensors of a state, and return it."""
    module.load_state_dict(to_torch(state))
    return module


@torch.no_grad()
def reset(module, state):
    """Copy a state into a module that has such tensors: loading makes Brevitas build anew."""
    for name, tensor in module.state_dict().items():
        tensor.copy_(torch.from_numpy(state[name]))
    return module


def module_of(trained: Trained) -> PrunableMLP:
    """The module of a finished training, in eval mode and on the CPU; built if need be."""
    if "module" not in trained.cache:
        module = build_module(trained.encoding, trained.shape)
        trained.cache["module"] = finished(load_state(module, trained.state))
    return trained.cache["module"]


def float_decision(trained: Trained, levels: np.ndarray) -> np.ndarray:
    """What the module itself predicts, in float64 and in the target's units.

    Parameters
    ----------
    trained : Trained
    levels : unsigned integer array of shape (n_samples, n_features)

    Returns
    -------
    float64 array of shape (n_samples, n_outputs)
    """
    with one_thread(), torch.no_grad():  # converting takes threads, too
        output = module_of(trained).double()(torch.from_numpy(levels)).numpy()
    return output * trained.output_scale + trained.output_mean


def finished(module) -> PrunableMLP:
    """A module as users see it: on the CPU, in eval mode, with weights that know their codes."""
    return module.cpu().eval().show_codes()


def to_numpy(value):
    """A copy of nested containers with arrays for tensors, which unpickle without torch."""
    if isinstance(value, torch.Tensor):
        return np.array(value.detach().cpu().numpy())
    return _mapped(to_numpy, value)


def to_torch(value):
    """The way back from `to_numpy`, again a copy."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return _mapped(to_torch, value)


def _mapped(function, value):
    if isinstance(value, dict):
        return {key: function(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(function, value))
    return deepcopy(value)
