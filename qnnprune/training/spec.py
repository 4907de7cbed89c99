"""What a training is asked for, from where it starts, and what it leaves behind.

Apart from torch, so that a fitted estimator is unpickled, and predicts, without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

import numpy as np

from ..accumulators import code_range, omega, weight_budget
from ..encoding import InputEncoding
from ..pruning import LayerLimits
from .auto import Recipe

__all__ = ["Mode", "NetworkShape", "Trained", "TrainingSpec", "UserRows", "ValidationRows"]

# By the name of the loss.
_OUTCOMES = {"labels": "labels", "poisson": "log", "gamma": "log"}


class Mode(Enum):
    """The four ways to train."""

    FIT = "new weights, pruned along the schedule"
    WARM_START = "the last weights; the limits hold from the first epoch on"
    PRUNE = "the last weights, pruned along the schedule to limits that are narrower now"
    PARTIAL_FIT = "one epoch, on new weights or the last ones; the limits hold at its end"


@dataclass(frozen=True)
class NetworkShape:
    """Architecture of the network: all that is needed to build the module, beside its state.

    ``n_w_bits`` and ``n_a_bits`` of None build a float network.
    """

    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    n_w_bits: int | None
    n_a_bits: int | None
    n_rounding_bits: int = 0
    n_output_sums: int = 1
    skips: bool = False  # whether the output layer reads the input codes, too
    n_members: int = 1  # networks beside each other


@dataclass(frozen=True, eq=False)
class TrainingSpec:
    """All that a training depends on beside its rows, its mode and its seed.

    Attributes
    ----------
    asked : Recipe
        What is asked for of what a fit can choose; "auto" where it may.
    n_outputs : int
    n_w_bits : int or None
        None trains a float network, without pruning.
    n_rounding_bits : int
    loss : str
        What `losses.loss_of` knows.
    multiplier : float or None
        Weights that a neuron may keep, in units of Ω.
    n_accum_bits : int
        Width of the accumulator that was asked for, in bits.
    guaranteed_bits : int or None
        The same where the guarantee is asked for, else None.
    categorical_features : str, None or tuple
        Which columns were asked to hold categories.
    quantile : tuple of float, or None
        Of the loss "quantile".
    others
        Parameters of the estimators, by their names.
    """

    asked: Recipe
    n_outputs: int
    n_w_bits: int | None
    n_rounding_bits: int
    loss: str
    multiplier: float | None
    n_accum_bits: int
    guaranteed_bits: int | None
    categorical_features: str | tuple | None
    pruning_criterion: str
    neuron_sparsity: float
    batch_size: int | str
    lr: float
    optimizer: Any
    alpha: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    callbacks: Sequence
    device: Any
    verbose: int
    n_jobs: int | None
    quantile: tuple[float, ...] | None = None
    scoring: Any = None
    skip_connection: bool = False

    @property
    def outcome(self) -> str | None:
        """What the network's values stand for, where that is not classes or values."""
        if self.quantile is not None and len(self.quantile) > 1:
            return "quantiles"
        return _OUTCOMES.get(self.loss)

    def shape(self, recipe: Recipe) -> NetworkShape:
        """The network that a recipe trains."""
        return NetworkShape(
            recipe.hidden_layer_sizes, self.n_outputs, recipe.activation, self.n_w_bits,
            recipe.n_a_bits, self.n_rounding_bits, recipe.n_output_sums, self.skips(recipe),
            recipe.n_members,
        )  # fmt: skip

    def skips(self, recipe: Recipe) -> bool:
        """Whether the output layer reads the input codes beside the last hidden layer."""
        return self.skip_connection and bool(recipe.hidden_layer_sizes)

    def limits(self, recipe: Recipe, encoding: InputEncoding) -> list[LayerLimits] | None:
        """The two limits of every layer, from the input to the output; None: no pruning."""
        if self.n_w_bits is None:
            return None
        hidden_range = np.array(code_range(recipe.n_a_bits), dtype=np.int64)
        ranges = [encoding.input_range]
        ranges += [np.tile(hidden_range, (n, 1)) for n in recipe.hidden_layer_sizes]
        if self.skips(recipe):
            varies = np.ptp(encoding.input_range, axis=1, keepdims=True) > 0
            passed = np.where(varies, hidden_range, hidden_range[0])
            ranges[-1] = np.concatenate([ranges[-1], passed])
        width, multiplier = self.n_accum_bits, self.multiplier
        return [
            LayerLimits(r, self.guaranteed_bits, weight_budget(self.n_w_bits, b, width, multiplier))
            for r, b in zip(ranges, self.input_bits(recipe), strict=True)
        ]

    def input_bits(self, recipe: Recipe) -> list[int]:
        """Width of the inputs of every layer, in bits."""
        return [recipe.n_in_bits] + [recipe.n_a_bits] * len(recipe.hidden_layer_sizes)

    def omegas(self, recipe: Recipe) -> list[int]:
        """Ω of each layer, a count of weights."""
        return [omega(self.n_w_bits, n, self.n_accum_bits) for n in self.input_bits(recipe)]


@dataclass(frozen=True, eq=False)
class UserRows:
    """Rows as they came to `fit`, for callbacks to see.

    Attributes
    ----------
    X : array, or scipy sparse CSR matrix, of shape (n_samples, n_features)
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        Class indices (int64); several labels, 0 or 1, or targets (float64).
    classes : array of shape (n_classes,), or None
        Labels of a classifier.
    """

    X: Any
    y: np.ndarray
    classes: np.ndarray | None

    def target(self, rows) -> np.ndarray:
        """Labels or targets of some rows; of shape (len(rows),) where there is one output."""
        y = self.y[rows]
        if self.classes is not None:
            return self.classes[y] if y.ndim == 1 else y.astype(np.int64)
        return y[:, 0] if y.shape[1] == 1 else y


@dataclass(frozen=True, eq=False)
class ValidationRows:
    """Rows of the user's own to score on, which training does not see.

    Attributes
    ----------
    user : UserRows
    table_for : callable
        Takes the `TrainingTable` of a training and returns these rows, in levels of its encoding
        and in the units of its targets.
    """

    user: UserRows
    table_for: Callable


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything that a fitted estimator knows of its training; plain numpy.

    Attributes
    ----------
    spec : TrainingSpec
        Of the last training.
    encoding : InputEncoding
    recipe : Recipe
        What "auto" stood for at the first training; further training keeps to it.
    taken : Recipe
        What the last training went by: `recipe`, with what was asked for.
    output_mean, output_scale : float64 arrays of shape (n_outputs,)
        The map from the network's outputs to the target's units; 0 and 1 for logits.
    pruning_seed : int
        Of what pruning draws at random; it stays the same in further training.
    state : dict of str to array
        State of the torch module.
    moments : dict
        State of the optimizer, without its settings.
    history : list of dict
        One record per epoch, of all trainings.
    cache : dict
        What can be made anew from the others, and is not pickled: the torch module under
        "module"; under "spare" one that the next `partial_fit` may change.
    best_epoch : int or None
        The epoch of `history`, counted from 1, whose weights these are; None is the last one.
    regrows : bool
        Whether pruned weights may come back in `partial_fit`: where it is all there was.
    """

    spec: TrainingSpec
    encoding: InputEncoding
    recipe: Recipe
    taken: Recipe
    output_mean: np.ndarray
    output_scale: np.ndarray
    pruning_seed: int
    state: Mapping[str, np.ndarray]
    moments: Mapping
    history: Sequence[dict]
    cache: dict = field(default_factory=dict)
    best_epoch: int | None = None
    regrows: bool = False

    @property
    def shape(self) -> NetworkShape:
        """The network that was trained."""
        return self.spec.shape(self.taken)

    @property
    def limits(self) -> list[LayerLimits] | None:
        """Its limits, one a layer."""
        return self.spec.limits(self.taken, self.encoding)

    def __getstate__(self):
        # Brevitas modules cannot be pickled or copied.
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"cache": {}}

    def __setstate__(self, state):
        self.__dict__.update(state)
