"""Masks: a criterion and a schedule applied to a network, under the limits.

From the end of the pruning phase on, every row respects its two limits, whatever the method.
Later calls only remove weights.  Exception: a row that training leaves without any gets its
highest-ranked one back.

All arrays are numpy's.  The network is anything that has

- ``layers``, as `qnnprune.training.prunable.PrunableLayer` describes them;
- ``removable``, a boolean per layer: whether its neurons may go, as other layers read them;
- ``fed(index, kept)``, the inputs of a layer that kept neurons feed, a boolean array of shape
  (n_in,), or (n_out, n_in) where neurons read different ones, or True; ``kept`` has the kept
  neurons of each layer;
- ``layer_inputs(rows)`` and ``neuron_outputs(rows)``, one array of values per layer, the latter of
  removable ones only;
- ``turn(index, neurons)``, which changes the sign of neurons and of whoever reads them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .criteria import CRITERIA, NeuronCriterion, Seen
from .limits import LayerLimits, keep_what_fits, largest, register_bounds
from .schedules import SCHEDULES, SparseSchedule

__all__ = ["Pruner", "check_methods", "removes_neurons"]

# Dense schedules change masks at most this often on the way to the limits.
_STAGES = 20
# Training rows on which inputs and neurons are measured, at most.
_ROWS = 1024


def check_methods(schedule: str, criterion: str) -> None:
    """Refuse methods that do not go together.

    Raises
    ------
    ValueError
        If the schedule regrows weights, but the criterion removes whole neurons.
    """
    if SCHEDULES[schedule].rewires and removes_neurons(criterion):
        raise ValueError(
            f"pruning_schedule={schedule!r} moves single weights from epoch to epoch, but "
            f"pruning_criterion={criterion!r} removes whole neurons. Use another schedule, for "
            "instance 'gradual', or a criterion for weights, for instance 'l1'."
        )


def removes_neurons(criterion: str) -> bool:
    """Whether a criterion removes whole neurons."""
    return isinstance(CRITERIA[criterion], NeuronCriterion)


class Pruner:
    """Sets the masks and scales of a network's weight quantizers.

    Parameters
    ----------
    limits : sequence of LayerLimits
        One a layer, from the input to the output.
    schedule : str
        A key of `SCHEDULES`.
    criterion : str
        A key of `CRITERIA`.
    neuron_sparsity : float
        Share of every hidden layer's neurons that go, where the criterion removes neurons.
    regrow : bool
        Choose anew at every call, and let pruned weights learn, even at the limits.
    seed : int
        Of what is drawn at random.
    """

    def __init__(
        self,
        limits: Sequence[LayerLimits],
        schedule: str = "gradual",
        criterion: str = "l1",
        *,
        neuron_sparsity: float = 0.5,
        regrow: bool = False,
        seed: int = 0,
    ):
        check_methods(schedule, criterion)
        self.limits = list(limits)
        self.schedule, self.criterion = SCHEDULES[schedule], CRITERIA[criterion]
        self.neuron_sparsity, self.regrow = neuron_sparsity, regrow
        self.seed, self._random = seed, np.random.default_rng(seed)
        self._stage: float | None = None  # where the schedule stood at the last call
        # Training rows to measure on and their weights, where the criterion needs them.
        self._rows: tuple[Any, np.ndarray] | None = None
        # One entry a layer: what inputs were measured to be; a sparse schedule's most weights in
        # each row, from the first call on; the weights that can be kept, once the limits hold; the
        # weights that `adopt` found; inputs that vary; neurons that are not removed.
        self._seen: list[Seen | None] = [None] * len(self.limits)
        self._target: list[np.ndarray | None] = [None] * len(self.limits)
        self._fixed: list[np.ndarray | None] = [None] * len(self.limits)
        self._allowed: list[np.ndarray | bool] = [True] * len(self.limits)
        self._varies = [np.ptp(limit.input_range, axis=1) > 0 for limit in self.limits]
        self._kept: list[np.ndarray] = []  # known once a network comes
        self._live: list[np.ndarray] = []  # weights that may be kept; known until neurons go

    def adopt(self, network, *, narrower: bool = False) -> None:
        """Go on from a network that is pruned already: what it lost stays away.

        What is left is final, or, where the limits are narrower now, pruned along the schedule.

        Parameters
        ----------
        network : PrunableMLP
        narrower : bool
            Whether the limits are narrower than those that the network was pruned to.
        """
        masks = [layer.mask for layer in network.layers]
        self._allowed, self._live = masks, []
        if not narrower:
            self._fixed = list(masks)
        self._kept = [
            mask.any(axis=1) | (not removable)
            for mask, removable in zip(masks, network.removable, strict=True)
        ]

    def start_regrowth(self, network) -> None:
        """Let pruned weights learn from the first batch on, where they may come back.

        Parameters
        ----------
        network : PrunableMLP
        """
        for layer in network.layers:
            layer.let_pruned_learn(self.regrow)

    def watch(self, table) -> None:
        """Measure activations on training rows.

        Parameters
        ----------
        table : TrainingTable
            Its first 1024 rows are measured: their order is by hash.
        """
        if self.criterion.needs_rows:
            self.measure_on(table.levels(table.rows[:_ROWS]), table.weight[:_ROWS])

    def measure_on(self, rows, weight: np.ndarray) -> None:
        """Measure activations on given rows.

        Parameters
        ----------
        rows : array or tensor with one entry per row
            What ``layer_inputs`` of the network takes.
        weight : float array of shape (n_rows,)
        """
        self._rows = rows, (weight / weight.sum()).astype(np.float32)

    def prune(self, network, progress: float) -> None:
        """Move every layer to where the schedule stands at `progress`.

        From a progress of 1 on the limits hold for the integer weights as they are now,
        and, without `regrow`, only weights that were kept at the first such call can be kept.

        Parameters
        ----------
        network : PrunableMLP
        progress : float
            Share of the pruning phase that is over.
        """
        stage = 1.0 if progress >= 1 else int(progress * _STAGES) / _STAGES
        if not self._kept:
            self._kept = [np.ones(len(layer.weight), bool) for layer in network.layers]
        if stage != self._stage:
            self._look(network)
            self._remove_neurons(network, self.schedule.excess(stage))
        if not self._live:
            self._live = [
                kept[:, None] & self._varies[i] & network.fed(i, self._kept) & self._allowed[i]
                for i, kept in enumerate(self._kept)
            ]
        for index, prunable in enumerate(network.layers):
            layer = self._layer(index, prunable)
            if not self.limits[index].holds_both_signs:
                network.turn(index, layer.rows_to_turn())
                layer.leave_out_what_never_fits()
            if progress >= 1:
                self._fix(index, layer)
            elif isinstance(self.schedule, SparseSchedule):
                prunable.set_mask(self._rewired(self.schedule, index, layer))
            elif stage != self._stage:
                prunable.set_mask(self._scheduled(layer, stage))
            if progress < 1:
                prunable.refresh_scale()
            dense = progress < 1 and not isinstance(self.schedule, SparseSchedule)
            prunable.let_pruned_learn(dense or self.regrow)
        self._stage = stage

    def _layer(self, index, prunable) -> _Layer:
        magnitude = np.abs(prunable.weight)
        # A sparse schedule trains what it keeps; the signs of other weights mean nothing.
        started = isinstance(self.schedule, SparseSchedule) and self._target[index] is not None
        return _Layer(
            prunable,
            trained=prunable.mask if started else True,
            limits=self.limits[index],
            live=self._live[index],
            rank=self.criterion.rank(magnitude, self._seen[index], [self.seed, index]),
        )

    def _look(self, network):
        if self._rows is not None:
            rows, share = self._rows
            self._seen = [Seen(values, share) for values in network.layer_inputs(rows)]

    def _remove_neurons(self, network, excess):
        if not isinstance(self.criterion, NeuronCriterion):
            return
        removable = np.flatnonzero(network.removable)
        for index, seen in zip(removable, self._outputs(network, len(removable)), strict=True):
            kept, layer = self._kept[index], network.layers[index]
            n_removed = min(round(self.neuron_sparsity * len(kept)), len(kept) - 1)
            keep = len(kept) - n_removed + math.ceil(n_removed * excess)
            if kept.sum() > keep:
                self._live = []
                self._kept[index] = self.criterion.surviving(
                    kept, keep, layer.weight * layer.mask, seen
                )

    def _outputs(self, network, n_layers: int) -> list[Seen | None]:
        """What neurons of removable layers put out on training rows, where that is measured."""
        if self._rows is None:
            return [None] * n_layers
        rows, share = self._rows
        return [Seen(values, share) for values in network.neuron_outputs(rows)]

    def _scheduled(self, layer, progress):
        if self.schedule.excess(progress) == 1:
            return layer.live
        final = layer.what_fits(layer.live).sum(axis=1)
        available = layer.live.sum(axis=1)
        excess = np.ceil((available - final) * self.schedule.excess(progress)).astype(np.int64)
        return largest(layer.rank, layer.live, final + excess)

    def _rewired(self, schedule: SparseSchedule, index, layer):
        target = self._target[index]
        if target is None:
            self._target[index] = target = self._first_target(layer)
            return schedule.start(layer.rank, layer.live, target, self._random)
        return schedule.rewire(layer.prunable.mask, layer.rank, layer.live, target, self._random)

    @staticmethod
    def _first_target(layer):
        """How many weights of each row fit, before any of them has learned."""
        fits = layer.what_fits(layer.live).sum(axis=1)
        # What fits depends on the scale, and the scale on what is kept.
        layer.prunable.set_mask(largest(layer.rank, layer.live, fits))
        layer.refresh_scale()
        fits_now = (layer.what_fits(layer.live) & (layer.codes != 0)).sum(axis=1)
        return np.maximum(fits, fits_now)

    def _fix(self, index, layer):
        """Apply the limits to one layer.

        The first call also fixes the scale and which weights may be kept.  With `regrow`, every
        call does.
        """
        candidates, prunable = self._fixed[index], layer.prunable
        if candidates is None:
            started_sparse = self._target[index] is not None
            candidates = prunable.mask if started_sparse else self._scheduled(layer, 1.0)
            prunable.set_mask(candidates & layer.live)
            layer.refresh_scale()
            candidates = layer.revive(layer.what_fits(candidates))
            self._fixed[index] = None if self.regrow else candidates
        prunable.set_mask(layer.revive(layer.what_fits(candidates)))


class _Layer:
    """One layer, its limits, and what its weights are worth at one call of `Pruner.prune`.

    Parameters
    ----------
    prunable : PrunableLayer
    limits : LayerLimits
    trained : bool array of shape (n_out, n_in), or True
        Weights that have learned a sign.
    live : bool array of shape (n_out, n_in)
        Weights that may be kept.
    rank : float array of shape (n_out, n_in)
        What they are ranked by, not negative.
    """

    def __init__(self, prunable, *, trained, limits, live, rank):
        self.prunable, self.sign = prunable, prunable.slope_sign
        self.limits, self.live, self.rank, self.trained = limits, live, rank, trained
        self._known_codes: np.ndarray | None = None

    def what_fits(self, candidates) -> np.ndarray:
        """Candidates that fit the limits, with the codes that they have now."""
        codes = self.codes * self.sign[:, None]
        return keep_what_fits(codes, self.rank, candidates & self.live, self.limits)

    @property
    def codes(self) -> np.ndarray:
        """As those of `PrunableLayer`, computed once while weights and scales stay."""
        if self._known_codes is None:
            self._known_codes = self.prunable.codes
        return self._known_codes

    def refresh_scale(self) -> None:
        """Fit the scale of every row to its kept weights."""
        self.prunable.refresh_scale()
        self._known_codes = None

    def rows_to_turn(self) -> np.ndarray:
        """Rows that fit better with all signs changed.

        A register may hold an input but not its negative, as 8 bits hold -128 .. 127.  In the
        output layer, where a gain takes the sign of all sums of an output, these are the outputs
        whose highest-ranked weight fits only negated; in a hidden layer those none of whose
        weights fits as it is.
        """
        fits, fits_negated = self._fits_alone(self._signs()), self._fits_alone(-self._signs())
        live = self._first_choice()
        if self.prunable.n_outputs is not None:
            best = self._by_output(np.where(live, self.rank, -1.0)).argmax(axis=1)
            fits_only_negated = self._by_output(fits_negated & ~fits)
            return np.flatnonzero(fits_only_negated[np.arange(len(best)), best])
        fits, fits_negated = live & fits, live & fits_negated
        return np.flatnonzero(fits_negated.any(axis=1) & ~fits.any(axis=1))

    def _first_choice(self) -> np.ndarray:
        """Of every row the weights that may be kept and have learned; all where none has."""
        learned = self.live & self.trained
        return np.where(learned.any(axis=1, keepdims=True), learned, self.live)

    def _by_output(self, values: np.ndarray) -> np.ndarray:
        """(n_sums * n_outputs, n_in) values to (n_outputs, n_sums * n_in)."""
        n_outputs = self.prunable.n_outputs
        parts = values.reshape(-1, n_outputs, values.shape[1])
        return parts.swapaxes(0, 1).reshape(n_outputs, -1)

    def leave_out_what_never_fits(self) -> None:
        """Only what fits alone can be kept, beside others even less."""
        self.live = self.live & self._fits_alone(self._signs())

    def revive(self, mask) -> np.ndarray:
        """Give a row that kept nothing its highest-ranked weight, as the smallest code.

        The weight keeps its sign, on which the rows that read this one rely.
        """
        dead = ~((self.codes != 0) & mask).any(axis=1)
        if not dead.any():
            return mask
        mask, signs, choice = mask.copy(), self._signs(), self._first_choice()
        for row in np.flatnonzero(dead & choice.any(axis=1)):
            column = int(np.where(choice[row], self.rank[row], -1.0).argmax())
            mask[row] = False
            mask[row, column] = True
            self.prunable.set_code(int(row), column, int(signs[row, column]))
        self._known_codes = None
        return mask

    def _signs(self) -> np.ndarray:
        """Sign of every weight, 1 or -1."""
        return np.where(self.prunable.weight >= 0, 1, -1)

    def _fits_alone(self, codes) -> np.ndarray:
        """Codes that fit the register as the only weight of their row."""
        low, high = self.limits.input_range.T
        codes = codes * self.sign[:, None]
        least, most, _ = register_bounds(self.limits)
        bottom, top = np.minimum(codes * low, codes * high), np.maximum(codes * low, codes * high)
        return (bottom >= least) & (top <= most)
