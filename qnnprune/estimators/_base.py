"""What both estimators share: parameters, validation, and the steps that `fit` ties together."""

from __future__ import annotations

import functools
import threading
import warnings
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    validate_data,
)

from ..accumulators import code_range, omega, weight_budget
from ..encoding._fit import fit_input_encoding
from ..integer._network import IntegerNetwork
from ..integer._simplify import trim_layers
from ..integer._simulation import MODES
from ..integer._verification import check_network, verify_layers
from ..pruning.criteria import CRITERIA
from ..pruning.limits import LayerLimits
from ..pruning.pruner import Pruner, check_methods
from ..pruning.schedules import SCHEDULES
from ..training.auto import auto_batch_size, auto_recipes, choose_recipe, hold_back, whole_training
from ..training.rows import merge_rows
from ..training.spec import NetworkShape, Start
from ._narrowing import Narrowing
from ._prediction import IntegerPrediction, plain_real

__all__ = ["BasePrunedNeuralNet"]

# What earlier weights, codes and thresholds depend on.
_FIXED_BY_FIT = (
    "hidden_layer_sizes", "activation", "n_w_bits", "n_a_bits", "n_in_bits", "n_input_segments",
)  # fmt: skip
_GLOBAL_GENERATOR = threading.Lock()
_ACTIVATIONS = {"relu", "sigmoid", "tanh", "hardtanh", "identity"}
_OPTIMIZERS = {"adamw", "adam", "sgd"}


class BasePrunedNeuralNet(Narrowing, IntegerPrediction, BaseEstimator):
    """What the classifier and the regressor share; see their docstrings."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(_ACTIVATIONS)],
        "n_w_bits": [Interval(Integral, 2, 8, closed="both")],
        "n_a_bits": [Interval(Integral, 2, 8, closed="both")],
        "n_in_bits": [Interval(Integral, 1, 8, closed="both"), None],
        "n_accum_bits": [Interval(Integral, 1, 62, closed="both")],
        "n_rounding_bits": [Interval(Integral, 0, 61, closed="both")],
        "n_input_segments": [StrOptions({"auto"}), Interval(Integral, 1, 256, closed="both")],
        "n_hidden_neurons_multiplier": [Interval(Real, 0, None, closed="neither"), None],
        "accumulator_guarantee": ["boolean"],
        "pruning_schedule": [StrOptions(set(SCHEDULES))],
        "pruning_criterion": [StrOptions(set(CRITERIA))],
        "neuron_sparsity": [Interval(Real, 0, 1, closed="neither")],
        "accumulator_mode": [StrOptions(set(MODES))],
        "max_epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(_OPTIMIZERS), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [list, tuple, None],
        "device": "no_validation",
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_layer_sizes=(512, 128),
        *,
        activation="relu",
        n_w_bits=2,
        n_a_bits=2,
        n_in_bits=None,
        n_accum_bits=8,
        n_rounding_bits=0,
        n_input_segments="auto",
        n_hidden_neurons_multiplier=None,
        accumulator_guarantee=True,
        pruning_schedule="gradual",
        pruning_criterion="l1",
        neuron_sparsity=0.5,
        accumulator_mode="exact",
        max_epochs="auto",
        batch_size="auto",
        lr=1e-2,
        optimizer="adamw",
        alpha=1e-3,
        dropout="auto",
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        callbacks=None,
        device="cpu",
        verbose=0,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_w_bits = n_w_bits
        self.n_a_bits = n_a_bits
        self.n_in_bits = n_in_bits
        self.n_accum_bits = n_accum_bits
        self.n_rounding_bits = n_rounding_bits
        self.n_input_segments = n_input_segments
        self.n_hidden_neurons_multiplier = n_hidden_neurons_multiplier
        self.accumulator_guarantee = accumulator_guarantee
        self.pruning_schedule = pruning_schedule
        self.pruning_criterion = pruning_criterion
        self.neuron_sparsity = neuron_sparsity
        self.accumulator_mode = accumulator_mode
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.alpha = alpha
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train, prune, compile to integers and verify the proof.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
            Finite real numbers.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regression
            Labels of any kind, or real targets.
        sample_weight : array-like of shape (n_samples,), optional
            A weight of 2 equals a row that is there twice, 0 one that is not.

        Returns
        -------
        self
            With ``warm_start=True`` training goes on from the last weights.
        """
        with self._unchanged_on_failure():
            going_on = self.warm_start and hasattr(self, "_module_state")
            return self._fit(X, y, sample_weight, Start(going_on))

    @contextmanager
    def _unchanged_on_failure(self):
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X, y, sample_weight, start, classes=None):
        going_on = start.going_on
        if going_on:
            self._check_unchanged()
        X, y = self._validate_training_data(X, y, reset=not going_on)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise ValueError("sample_weight is zero for every row: nothing is left to train on.")
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        if not going_on:
            self._pruning_seed = seed  # further training keeps the draws of "random"
        y = self._encode_target(y, weight, going_on=going_on, classes=classes)
        encoding = self._encoding if going_on else self._fit_encoding(X, weight, seed)
        limits = self._limits(encoding)
        table = merge_rows(X, y, weight, encoding)
        table = self._scale_target(table, going_on=going_on)
        net = self._train(table, limits, seed, start)
        earlier = self.history_ if going_on else []
        self.history_ = earlier + _epoch_records(net.history, after=len(earlier))
        self.n_iter_ = len(self.history_)
        self._finish(net, table, limits)
        return self

    def _check_unchanged(self):
        for name, value in self._fitted_with.items():
            now = getattr(self, name)
            if not np.array_equal(np.ravel(now), np.ravel(value)):
                raise ValueError(
                    f"{name}={now!r} was {value!r} when training began, and must stay so while it "
                    "goes on (warm_start=True or partial_fit): use a new estimator."
                )

    def _validate_training_data(self, X, y, *, reset):
        sizes = self._hidden_sizes()
        if not sizes or any(
            isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in sizes
        ):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold one or more positive "
                "integers, for instance (128, 128)."
            )
        self._check_widths()
        check_methods(self.pruning_schedule, self.pruning_criterion)
        if hasattr(y, "toarray"):
            raise ValueError("y is a sparse matrix: pass a dense array, y.toarray().")
        X, y = validate_data(
            self, X, y, reset=reset, accept_sparse="csr", dtype="numeric", **self._y_checks
        )
        return plain_real(X), y

    def _hidden_sizes(self) -> tuple:
        sizes = self.hidden_layer_sizes
        return tuple(sizes) if np.iterable(sizes) else (sizes,)

    @property
    def _in_bits(self) -> int:
        return self.n_a_bits if self.n_in_bits is None else self.n_in_bits

    @property
    def _guaranteed_bits(self) -> int | None:
        """Width that the exact range must fit; None without the guarantee."""
        return self.n_accum_bits if self.accumulator_guarantee else None

    def _check_widths(self):
        """Refuse limits that leave no weight to a neuron, before any training."""
        bits = {"n_in_bits": self._in_bits, "n_a_bits": self.n_a_bits}
        for name, n_bits in bits.items():
            weight_budget(
                self.n_w_bits, n_bits, self.n_accum_bits, self.n_hidden_neurons_multiplier
            )
            if self.accumulator_guarantee and n_bits > self.n_accum_bits:
                raise ValueError(
                    f"n_accum_bits={self.n_accum_bits} cannot hold even one weight of 1 times an "
                    f"input of {n_bits} bits ({name}={n_bits}). Use n_accum_bits of {n_bits} or "
                    f"more, or a smaller {name}."
                )
        if self.n_rounding_bits >= self.n_accum_bits:
            raise ValueError(
                f"n_rounding_bits={self.n_rounding_bits} must be less than "
                f"n_accum_bits={self.n_accum_bits}, as rounding would leave nothing of a sum."
            )

    def _fit_encoding(self, X, weight, seed):
        return fit_input_encoding(
            X, weight, n_segments=self.n_input_segments, n_bits=self._in_bits,
            random_state=np.random.RandomState(seed),
        )  # fmt: skip

    def _input_bits(self) -> list[int]:
        """Width of the inputs of every layer."""
        return [self._in_bits] + [self.n_a_bits] * len(self._hidden_sizes())

    def _limits(self, encoding) -> list[LayerLimits]:
        """The two limits of every layer, from the input to the output."""
        hidden_range = np.array(code_range(self.n_a_bits), dtype=np.int64)
        ranges = [encoding.input_range]
        ranges += [np.tile(hidden_range, (n, 1)) for n in self._hidden_sizes()]
        multiplier = self.n_hidden_neurons_multiplier
        return [
            LayerLimits(
                r,
                self._guaranteed_bits,
                weight_budget(self.n_w_bits, b, self.n_accum_bits, multiplier),
            )
            for r, b in zip(ranges, self._input_bits(), strict=True)
        ]

    def _network_shape(self):
        return NetworkShape(
            hidden_layer_sizes=self._hidden_sizes(),
            n_outputs=self._n_outputs(),
            activation=self.activation,
            n_w_bits=self.n_w_bits,
            n_a_bits=self.n_a_bits,
            n_rounding_bits=self.n_rounding_bits,
        )

    def _make_pruner(self, limits, module, start):
        pruner = Pruner(
            limits, self.pruning_schedule, self.pruning_criterion,
            neuron_sparsity=self.neuron_sparsity, regrow=start.partial, seed=self._pruning_seed,
        )  # fmt: skip
        if start.partial:
            pruner.start_regrowth(module)
        elif start.going_on:
            pruner.adopt(module, narrower=start.narrower)
        return pruner

    def _train(self, table, limits, seed, start):
        from ..training.net import check_device, one_thread

        check_device(self.device)
        recipes = self._recipes(table, start)
        with one_thread():
            tried = choose_recipe(
                list(recipes), table, seed, functools.partial(self._held_back_error, limits, seed)
            )
            if not start.going_on:
                # Further training goes by it too, where the parameters are "auto" then.
                self._recipe = whole_training(recipes[tried], self._guaranteed_bits)
            recipe = self._with_given(self._recipe)
            self.dropout_, table_valid = recipe.dropout, None
            if self.early_stopping and not start.partial:
                table, table_valid = hold_back(table, self.validation_fraction, seed)
            net = self._build_net(
                table, limits, seed, recipe, start, table_valid=table_valid,
                callbacks=self.callbacks, verbose=self.verbose,
            )  # fmt: skip
            if start.partial:
                self._restore_moments(net)
            net.partial_fit(table)
        if net.kept_state_ is None:
            raise KeyboardInterrupt("Training was interrupted before its first epoch was over.")
        if net.interrupted_:
            warnings.warn(
                f"Training was interrupted in epoch {len(net.history)} of {net.max_epochs}; the "
                "weights of the last whole epoch are kept, pruned and compiled.",
                ConvergenceWarning,
                stacklevel=6,
            )
        return net

    def _recipes(self, table, start) -> dict:
        """What is left to choose from, as it is tried; and what each was before `_with_given`."""
        if start.going_on:
            found = [self._recipe]
        else:
            n_in, batch_size = len(table.encoding.feature), self._rows_in_batch(table)
            found = auto_recipes(len(table), batch_size, n_in, self._guaranteed_bits)
            if start.partial or self.max_epochs != "auto":
                found = found[:1]
        recipes = {}
        for recipe in found:
            recipes.setdefault(self._with_given(recipe), recipe)
        return recipes

    def _with_given(self, recipe):
        """The recipe with the parameters that are not "auto"."""
        given = {name: getattr(self, name) for name in ("max_epochs", "dropout")}
        return replace(recipe, **{k: value for k, value in given.items() if value != "auto"})

    def _rows_in_batch(self, table) -> int:
        return auto_batch_size(len(table)) if self.batch_size == "auto" else self.batch_size

    def _held_back_error(self, limits, seed, recipe, table, held) -> float:
        from ..training.net import training_callbacks

        net = self._build_net(
            table, limits, seed, recipe, Start(), callbacks=training_callbacks(self.callbacks)
        )
        net.partial_fit(table)
        if net.interrupted_:
            raise KeyboardInterrupt("Training was interrupted while its recipe was being chosen.")
        return net.squared_error(held)

    def _build_net(
        self, table, limits, seed, recipe, start, *, table_valid=None, callbacks=(), verbose=0
    ):
        """A net that is ready to train, from new weights or from those of the last fit."""
        from ..training.net import build_net

        module = self._build_module(table.encoding, self._network_shape()).seed(seed)
        if start.going_on:
            _load_state(module, self._module_state)
        return build_net(
            module,
            criterion=self._criterion(),
            pruner=self._make_pruner(limits, module, start),
            table_valid=table_valid,
            lr=self.lr,
            alpha=self.alpha,
            optimizer=self.optimizer,
            max_epochs=1 if start.partial else recipe.max_epochs,
            batch_size=self._rows_in_batch(table),
            dropout=recipe.dropout,
            early_stopping=table_valid is not None,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            callbacks=list(callbacks or ()),
            verbose=verbose,
            device=self.device,
            # Other epochs, other draws.
            seed=[seed, self.n_iter_ if start.going_on else 0],
            always_prune=start.partial or (start.going_on and not start.narrower),
            constant_lr=start.partial,
        ).initialize()

    def _restore_moments(self, net):
        """Hand over the optimizer's moments of the last training, not its settings."""
        optimizer, moments = getattr(self, "_moments", (None, None))
        if moments is not None and optimizer == self.optimizer:
            settings = net.optimizer_.state_dict()["param_groups"]
            state = {"state": deepcopy(moments), "param_groups": settings}
            net.optimizer_.load_state_dict(state)

    @staticmethod
    def _build_module(encoding, shape):
        import torch

        from ..training.module import PrunableMLP

        # Layers draw from torch's global generator as they are built.
        with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
            return PrunableMLP(encoding, shape).float()  # whatever torch's default type

    def _finish(self, net, table, limits):
        """Prune once more to the limits, compile, verify, and only then become fitted."""
        from ..training.compilation import compile_layers

        net.pruner.prune(net.module_, 1.0)
        self._keep_training_state(net, table.encoding)
        layers = compile_layers(net.module_, table.encoding.input_range, *self._output_map())
        if CRITERIA[self.pruning_criterion].removes_neurons:
            layers = trim_layers(layers, step=2**self.n_rounding_bits)
        network = IntegerNetwork(
            table.encoding,
            layers,
            n_w_bits=self.n_w_bits,
            n_accum_bits=self.n_accum_bits,
            classes=getattr(self, "classes_", None),
            feature_names=getattr(self, "feature_names_in_", None),
        )
        check_network(network)
        budgets = [limit.budget for limit in limits]
        verify_layers(network.layers, self.n_w_bits, limits[0].n_accum_bits, budgets)
        self.integer_network_ = network
        self._report_facts = {
            "limits": limits,
            "omegas": [omega(self.n_w_bits, b, self.n_accum_bits) for b in self._input_bits()],
            "guarantee": self.accumulator_guarantee,
        }

    def _keep_training_state(self, net, encoding):
        self._encoding = encoding
        self._module_shape = self._network_shape()
        self._module_state = _to_numpy(net.module_.state_dict())
        self._module = net.module_.cpu().eval().show_codes()
        self._moments = (self.optimizer, net.optimizer_.state_dict()["state"])
        self._fitted_with = {name: getattr(self, name) for name in _FIXED_BY_FIT}

    @property
    def module_(self):
        """The trained Brevitas module, in eval mode; rebuilt on demand after unpickling."""
        if not hasattr(self, "_module_state"):
            raise NotFittedError(f"This {type(self).__name__} is not fitted yet: call fit first.")
        if self._module is None:
            module = self._build_module(self._encoding, self._module_shape)
            self._module = _load_state(module, self._module_state).eval().show_codes()
        return self._module

    def __getstate__(self):
        # Brevitas modules cannot be pickled or copied; optimizer moments need not travel.
        state = dict(super().__getstate__())
        return state | {"_module": None, "_moments": (None, None)} if "_module" in state else state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _load_state(module, state):
    import torch

    module.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
    return module


def _to_numpy(state) -> dict:
    return {key: np.asarray(value.detach().cpu().numpy()) for key, value in state.items()}


def _epoch_records(history, after: int) -> list[dict]:
    """What skorch recorded of the whole epochs, counted on from `after`."""
    skipped = {"batches", "whole"}
    records = [
        {k: v for k, v in epoch.items() if k not in skipped and not k.endswith("_best")}
        for epoch in history
        if "whole" in epoch
    ]
    return [record | {"epoch": after + record["epoch"]} for record in records]
