"""Pruning of one's own module, step by step of one's own training loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from ..exceptions import UnsupportedModuleError
from ..integer import AccumulatorReport
from ..pruning import CRITERIA, SCHEDULES, Pruner, keep_what_fits
from ..pruning.schedules import PRUNING_ENDS
from ._codes import bit_width, bounds_sums
from ._layers import ModuleNetwork
from ._limits import limits_of
from ._report import report_of
from ._trace import trace

__all__ = ["AccumulatorPruner"]

_STAGES = 20  # a schedule changes masks at most this often before the limits hold


class AccumulatorPruner:
    """Prunes a module of Brevitas layers until every sum provably fits its register.

    Call `step` after each step of the optimizer.  Filters are the neurons of a convolution.

    Parameters
    ----------
    module : torch.nn.Module
        With layers of Brevitas; its forward method must be one that torch.fx can follow.
    n_accum_bits : int
        Width of every register, in bits, 1 to 62.
    input_range : array-like of int of shape (2,) or (n_channels, 2), optional
        Smallest and largest code that comes in, inclusive.  By default all codes of the
        quantizer that the module begins with.  A module that begins without one gets integers
        as they are, and needs it.
    schedule : {"gradual", "one_shot", "before_training", "in_training", "after_training", "set"}
        When weights go; as ``pruning_schedule`` of the estimators.
    criterion : {"l1", "random", "activation", "neuron_l2", "neuron_activation", \
"neuron_redundancy"}
        Which weights go, or which whole neurons or filters.
    multiplier : float, optional
        A neuron keeps at most this many times Ω weights; None: no such limit.
    sparsity : float, optional
        Share of the weights of each neuron that go at least; None: as few as the width asks for.
    neuron_sparsity : float
        Share of the neurons of each hidden layer that go, with a criterion for neurons.
    per_layer : dict of str to dict, optional
        Other ``n_accum_bits``, ``multiplier`` or ``sparsity``, by name of a layer or by kind:
        ``{"conv": {"sparsity": 0.5}, "linear": {"sparsity": 0.8}, "head": {"n_accum_bits": 16}}``.
    rows : tensor, optional
        Training inputs, up to 1024, for a criterion that measures activations; a few also where
        a mean over all positions is added up further, as their number counts.
    random_state : int
        Of what is drawn at random.

    Attributes
    ----------
    masks : dict of str to bool tensor
        As ``torch.nn.utils.prune.custom_from_mask`` takes them.

    Raises
    ------
    UnsupportedModuleError
        If a layer has no integer form; the message names it.
    ValueError
        If a parameter is out of bounds, or a layer could keep no weight.

    Examples
    --------
    >>> import torch
    >>> from brevitas.nn import QuantIdentity, QuantLinear
    >>> module = torch.nn.Sequential(
    ...     QuantIdentity(bit_width=4), QuantLinear(64, 10, bias=False, weight_bit_width=3)
    ... )
    >>> pruner = AccumulatorPruner(module, n_accum_bits=8)
    >>> for epoch in range(10):  # train here
    ...     pruner.step((epoch + 1) / 10)
    >>> pruner.report().rows[0]["proven_bits"]
    8
    """

    def __init__(
        self,
        module: nn.Module,
        n_accum_bits: int,
        *,
        input_range=None,
        schedule: str = "gradual",
        criterion: str = "l1",
        multiplier: float | None = None,
        sparsity: float | None = None,
        neuron_sparsity: float = 0.5,
        per_layer: Mapping[str, Mapping] | None = None,
        rows: Tensor | None = None,
        random_state: int = 0,
    ):
        _check_choice("schedule", schedule, SCHEDULES)
        _check_choice("criterion", criterion, CRITERIA)
        self.module, self.n_accum_bits, self.input_range = module, n_accum_bits, input_range
        self._network = ModuleNetwork(module, trace(module, None if rows is None else rows[:2]))
        _refuse_others(self._network)
        self._options = {
            "n_accum_bits": n_accum_bits,
            "multiplier": multiplier,
            "sparsity": sparsity,
        }
        self._per_layer = dict(per_layer or {})
        limits = limits_of(self._network, input_range, self._options, self._per_layer)
        self._pruner = Pruner(
            limits, schedule, criterion, neuron_sparsity=neuron_sparsity, seed=random_state
        )
        if self._pruner.criterion.needs_rows:
            if rows is None:
                raise ValueError(f"criterion={criterion!r} measures activations: give rows=.")
            self._pruner.measure_on(rows[:1024], np.ones(min(len(rows), 1024)))
        self._stage: int | None = None

    def step(self, progress: float) -> None:
        """Prune as far as the schedule stands, and make pruned weights 0 again.

        Parameters
        ----------
        progress : float
            Share of the training that is over, 0 to 1.  From 0.6 on all limits hold after each
            call.
        """
        starts = self._pruner.schedule.starts
        done = min(max((progress - starts) / (PRUNING_ENDS - starts), 0.0), 1.0)
        stage = int(done * _STAGES)
        if done == 1 or stage != self._stage:
            self._pruner.prune(self._network, done)
        else:
            self.keep_zeros()
        if done == 1:
            self._settle()
        self._stage = stage

    def keep_zeros(self) -> None:
        """Make pruned weights 0 again, and nothing else.

        A training loop that calls `step` once per epoch can call this after each batch.
        """
        for layer in self._network.layers:
            layer.apply_mask()

    def _settle(self) -> None:
        """Remove what no longer fits, until the scales of what is left agree.

        A quantizer may derive its scale from the weights, so codes can grow as weights go.  Each
        round removes at least one weight, so there is an end.
        """
        changed = True
        while changed:
            changed = False
            for layer, limits in zip(self._network.layers, self._pruner.limits, strict=True):
                codes = layer.codes
                fits = keep_what_fits(codes, np.abs(layer.weight), layer.mask, limits)
                if codes[~fits].any():
                    layer.set_mask(fits)
                    changed = True

    @property
    def masks(self) -> dict[str, Tensor]:
        """The kept weights of each layer, in the shape of its weight."""
        return {layer.name: layer.tensor_mask for layer in self._network.layers}

    def report(self) -> AccumulatorReport:
        """The proof as it stands: limits, weights and widths, one row per layer.

        Returns
        -------
        AccumulatorReport
        """
        return report_of(self._network, self.input_range, self._options, self._per_layer)


def _check_choice(name: str, value, choices) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {sorted(choices)}.")


def _refuse_others(network: ModuleNetwork) -> None:
    for layer in network.layers:
        if bounds_sums(layer.layer):
            raise UnsupportedModuleError(
                f"'{layer.name}' cannot be pruned: its quantizer bounds its sums by itself, as A2Q does. "
                "Give it another weight_quant, or leave pruning out."
            )
        if bit_width(layer.layer.weight_quant) < 2:
            raise UnsupportedModuleError(
                f"'{layer.name}' has weights of 1 bit, which have no 0 and cannot be pruned. Use 2 "
                "bits or more; accumulator_report tells the widths of the module as it is."
            )
