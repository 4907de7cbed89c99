"""Optimizers by name, as torch classes, or as partial functions of these."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from functools import partial

import torch
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

__all__ = ["OPTIMIZERS", "CommonOptimizer", "FusedSteps", "check_optimizer", "optimizer_options"]

OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}

_OURS = {"lr": "lr", "weight_decay": "alpha", "params": None}
# Settings that the fused kernels take as they are.
_ADAM = ("weight_decay", "eps", "amsgrad", "maximize")
_SGD = ("weight_decay", "momentum", "dampening", "nesterov", "maximize")
_INSTEAD_OF_FUSED = {"fused", "foreach", "differentiable"}


def optimizer_options(optimizer) -> dict:
    """Arguments of a skorch net that make it use an optimizer.

    Parameters
    ----------
    optimizer : str or callable
        As in the estimators.
    """
    made = OPTIMIZERS.get(optimizer, optimizer) if isinstance(optimizer, str) else optimizer
    options = {"optimizer": made}
    keywords = made.keywords if isinstance(made, partial) else {}
    kind = made.func if isinstance(made, partial) else made
    if kind in OPTIMIZERS.values() and not _INSTEAD_OF_FUSED & keywords.keys():
        options["optimizer__fused"] = True
    if optimizer == "sgd":
        options["optimizer__momentum"] = 0.9
    return options


def check_optimizer(optimizer) -> None:
    """Refuse an optimizer that cannot be made, or sets what a parameter of the estimator sets.

    Raises
    ------
    ValueError
    """
    if isinstance(optimizer, str):
        return
    for name in _OURS.keys() & getattr(optimizer, "keywords", {}).keys():
        way_out = f"use the parameter {_OURS[name]} for it" if _OURS[name] else "leave it out"
        raise ValueError(f"optimizer={optimizer!r} sets {name}: {way_out}.")
    try:
        taken = inspect.signature(optimizer).parameters.values()
        takes_decay = any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in taken)
        decay = {"weight_decay": 0.0} if takes_decay else {}
        optimizer([torch.nn.Parameter(torch.zeros(1))], lr=1e-3, **decay)
    except (TypeError, ValueError) as error:
        raise ValueError(f"optimizer={optimizer!r} cannot be made: {error}") from error
    if not takes_decay:
        raise ValueError(
            f"optimizer={optimizer!r} takes no weight_decay, which alpha is: use one that does, "
            "for instance torch.optim.AdamW."
        )


class FusedSteps:
    """Steps of an optimizer by torch's fused kernel, without all that torch does around it.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The first step is its own, and makes its state.  So are all others where it has hooks, is
        of no class in `OPTIMIZERS`, or has parameters without a gradient.
    watched : bool
        Whether anybody else may change its state, its parameters, or settings beside the learning
        rate, between steps: then it takes them all itself.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, *, watched: bool = False):
        self.optimizer, self.watched = optimizer, watched
        self._groups: list[tuple[dict, Callable]] | None = None
        self._counter: torch.Tensor | None = None  # whose parts are the steps of each parameter

    def step(self, closure: Callable | None = None) -> None:
        """Take a step at the learning rates that the groups of parameters have now.

        Parameters
        ----------
        closure : callable, optional
            Sets the gradients.
        """
        if self._groups is None:
            self.optimizer.step(closure)
            if not self.watched:
                self._prepare()
            return
        if closure is not None:
            closure()
        self._call_kernels()

    @torch.no_grad()
    def _call_kernels(self):
        if self._counter is not None:
            self._counter += 1
        for group, kernel in self._groups:
            gradients = [parameter.grad for parameter in group["params"]]
            kernel(grads=gradients, lr=group["lr"])

    def _prepare(self):
        groups, state = self.optimizer.param_groups, self.optimizer.state
        parameters = [p for group in groups for p in group["params"]]
        if _is_plain(self.optimizer) and all(p.grad is not None for p in parameters):
            if all("step" in state.get(p, {}) for p in parameters):
                self._counter = torch.stack([state[p]["step"] for p in parameters])
                for parameter, count in zip(parameters, self._counter.unbind(), strict=True):
                    state[parameter]["step"] = count
            self._groups = [(group, self._kernel(group)) for group in groups]

    def _kernel(self, group) -> Callable:
        """The kernel with all arguments of a group but gradients and rate."""
        sgd = isinstance(self.optimizer, torch.optim.SGD)
        options = {name: group[name] for name in (_SGD if sgd else _ADAM)}
        states = [self.optimizer.state.get(parameter, {}) for parameter in group["params"]]

        def all_of(name, there=True):
            return [state[name] for state in states] if there else []

        if sgd:
            moments = all_of("momentum_buffer", group["momentum"] != 0)
            options |= {"momentum_buffer_list": moments, "is_first_step": False}
            return partial(torch._fused_sgd_, group["params"], **options)
        beta1, beta2 = map(float, group["betas"])
        kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
        return partial(
            kernel, group["params"], exp_avgs=all_of("exp_avg"), exp_avg_sqs=all_of("exp_avg_sq"),
            max_exp_avg_sqs=all_of("max_exp_avg_sq", group["amsgrad"]), state_steps=all_of("step"),
            beta1=beta1, beta2=beta2, **options,
        )  # fmt: skip


def _is_plain(optimizer) -> bool:
    """Whether its step is a call of a fused kernel for each group, and nothing else."""
    return (
        type(optimizer) in OPTIMIZERS.values()
        and "step" not in vars(optimizer)  # replaced, as learning-rate schedulers do
        and all(group["fused"] for group in optimizer.param_groups)
        and not any(
            (
                optimizer._optimizer_step_pre_hooks,
                optimizer._optimizer_step_post_hooks,
                _global_optimizer_pre_hooks,
                _global_optimizer_post_hooks,
            )
        )
    )


class CommonOptimizer:
    """The steps of several optimizers as one: what costs most is the call.

    Parameters
    ----------
    optimizers : sequence of torch.optim.Optimizer
        Of one of the classes in `OPTIMIZERS`, and before their first step.
    """

    def __init__(self, optimizers):
        self.optimizers, self.common = optimizers, copy(optimizers[0])
        self.common.state, self.common.param_groups = defaultdict(dict), []
        self.steps = FusedSteps(self.common)
        self._alike: list[tuple[dict, dict]] = []
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                self._add(group)

    def _add(self, group):
        """Put parameters to a group of equal settings, or make one."""
        settings = {key: value for key, value in group.items() if key != "params"}
        for common, first in self._alike:
            if all(first[key] == value for key, value in settings.items()):
                common["params"] += group["params"]
                return
        self._alike.append(({**settings, "params": list(group["params"])}, group))
        self.common.param_groups.append(self._alike[-1][0])

    def step(self) -> None:
        """Take a step at the learning rates that the optimizers have now."""
        for common, first in self._alike:
            common["lr"] = first["lr"]
        self.steps.step()

    def hand_back(self) -> None:
        """Give the optimizers the moments of their own parameters."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                optimizer.state.update((p, self.common.state[p]) for p in group["params"])
