"""What all estimators share: parameters, validation, and the walk of `fit` through the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from numbers import Integral, Real
from operator import index

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.metrics import get_scorer_names
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_X_y,
    validate_data,
)

from .. import training
from .._utils import plain_number
from ..encoding import InputEncoding, fit_input_encoding
from ..encoding._categories import ColumnKinds, learn_columns
from ..encoding._fit import count_graded
from ..encoding._frames import is_frame, names_of
from ..encoding._rows import numbers_of
from ..integer._simulation import MODES
from ..pruning import CRITERIA, SCHEDULES
from ..pruning.pruner import check_methods, removes_neurons
from ..training.auto import DENSE, Recipe, auto_recipes
from ..training.given import same
from ..training.rows import merge_rows
from ..training.shared import shared
from ..training.spec import Mode, Trained, TrainingSpec, UserRows, ValidationRows
from ._curves import Curves
from ._keywords import FamiliarNames
from ._labels import is_matrix
from ._magnitudes import even_weight
from ._targets import real_weight, refuse_masked
from ._tasks import Watched
from ._validation import check_given, of_validation

__all__ = ["BaseNeuralNet", "plain_real"]

# What earlier weights, codes and thresholds depend on, beside what a fit may choose of these.
_FIXED_BY_FIT = ("n_w_bits", "skip_connection", "categorical_features", "loss", "quantile")
_CHOSEN_BY_FIT = (
    "hidden_layer_sizes", "activation", "n_a_bits", "n_in_bits", "n_input_segments",
    "n_output_sums", "n_members",
)  # fmt: skip
# Parameters that training takes as they are.
_HANDED_ON = (
    "pruning_criterion", "neuron_sparsity", "batch_size", "lr", "optimizer", "alpha",
    "early_stopping", "validation_fraction", "n_iter_no_change", "tol", "callbacks", "device",
    "verbose", "scoring", "n_jobs",
)  # fmt: skip
_ACTIVATIONS = {
    "relu", "sigmoid", "tanh", "hardtanh", "identity", "leaky_relu", "elu", "selu", "softplus",
    "hardsigmoid",
}  # fmt: skip
_OPTIMIZERS = {"adamw", "adam", "sgd"}


# How scikit-learn looks at arrays of numbers.
_GAPS = {"accept_sparse": "csr", "dtype": "numeric", "ensure_all_finite": "allow-nan"}


def _check_frame(X) -> None:
    """Refuse what scikit-learn has no sentence for."""
    if hasattr(X, "toarray"):  # scipy has a sparse format that is a dict
        return
    if isinstance(X, Mapping):
        raise TypeError(
            "X is a dict of columns: pass a DataFrame of them. Of a fitted estimator, "
            "integer_network_.predict takes such dicts."
        )
    names = names_of(X)
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"X has the columns {twice[:5]} more than once: rename or drop them.")


def _is_numeric(kinds: ColumnKinds | InputEncoding | None) -> bool:
    """Whether all columns hold numbers."""
    known = () if kinds is None else kinds.categories
    return kinds is None or not (kinds.is_date.any() or any(k is not None for k in known))


def plain_real(X):
    """X as it is, or in float64 where its type has no counterpart in an integer network."""
    if X.dtype.kind in "mM":
        raise ValueError(f"X has dtype {X.dtype}, but numbers are needed: convert it first.")
    return X if X.dtype.itemsize <= 8 else X.astype(np.float64)


def _plain(categorical_features):
    """`categorical_features`, a tuple where it is a list or an array, so that two compare."""
    if categorical_features is None or isinstance(categorical_features, str):
        return categorical_features
    return tuple(np.asarray(categorical_features).reshape(-1).tolist())


def _fit_encoding(X, weight, seed, n_segments, n_bits, learnt) -> InputEncoding:
    return fit_input_encoding(
        X, weight, n_segments=n_segments, n_bits=n_bits,
        random_state=np.random.RandomState(seed), **learnt,
    )  # fmt: skip


class BaseNeuralNet(FamiliarNames, Curves, Watched, BaseEstimator):
    """Parameters and training.

    What a target is comes from the classifier or the regressor: `_plain_target`,
    `_encode_target`, `_weigh`, `_with_output_map`, `_loss` and `_n_outputs`.  What a network is comes
    from `Pruned` or `Float`: `_asked`, `_check_widths`, `_warn_of` and `_become_fitted`.
    """

    _parameter_constraints: dict = {
        "hidden_layer_sizes": [
            StrOptions({"auto"}),
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions({"auto", *_ACTIVATIONS}), callable],
        "n_w_bits": [Interval(Integral, 2, 8, closed="both")],
        "n_a_bits": [StrOptions({"auto"}), Interval(Integral, 1, 8, closed="both")],
        "n_in_bits": [StrOptions({"auto"}), Interval(Integral, 1, 8, closed="both"), None],
        "n_accum_bits": [Interval(Integral, 1, 62, closed="both")],
        "n_rounding_bits": [Interval(Integral, 0, 61, closed="both")],
        "n_output_sums": [StrOptions({"auto"}), Interval(Integral, 1, 64, closed="both")],
        "n_members": [StrOptions({"auto"}), Interval(Integral, 1, 64, closed="both")],
        "skip_connection": ["boolean"],
        "n_input_segments": [StrOptions({"auto"}), Interval(Integral, 1, 256, closed="both")],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "n_hidden_neurons_multiplier": [Interval(Real, 0, None, closed="neither"), None],
        "accumulator_guarantee": ["boolean"],
        "pruning_schedule": [StrOptions({"auto", *SCHEDULES})],
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
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "tol": [Interval(Real, 0, None, closed="left")],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "warm_start": ["boolean"],
        "callbacks": [list, tuple, None],
        "device": "no_validation",
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        hidden_layer_sizes="auto",
        *,
        activation="auto",
        n_w_bits=2,
        n_a_bits="auto",
        n_in_bits="auto",
        n_accum_bits=8,
        n_rounding_bits=0,
        n_output_sums="auto",
        n_members="auto",
        skip_connection=False,
        n_input_segments="auto",
        categorical_features="from_dtype",
        n_hidden_neurons_multiplier=None,
        accumulator_guarantee=True,
        pruning_schedule="auto",
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
        scoring=None,
        warm_start=False,
        callbacks=None,
        device="cpu",
        verbose=0,
        n_jobs=None,
        random_state=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.n_w_bits = n_w_bits
        self.n_a_bits = n_a_bits
        self.n_in_bits = n_in_bits
        self.n_accum_bits = n_accum_bits
        self.n_rounding_bits = n_rounding_bits
        self.n_output_sums = n_output_sums
        self.n_members = n_members
        self.skip_connection = skip_connection
        self.n_input_segments = n_input_segments
        self.categorical_features = categorical_features
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
        self.scoring = scoring
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train, prune, compile to integers and verify the proof.

        Parameters
        ----------
        X : {array-like, DataFrame, sparse matrix} of shape (n_samples, n_features)
            Real numbers, NaN or None for gaps; in a DataFrame also categories and dates.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) of several labels or targets
            Labels of one type (bool, integers, floats, str or dates), a column of 0 and 1 for each
            of several labels, or real targets.
        sample_weight : array-like of shape (n_samples,), optional
            A weight of 2 equals a row that is there twice, 0 one that is not.
        X_val : {array-like, DataFrame, sparse matrix} of shape (n_val, n_features), optional
            Rows to stop early by, and to choose a recipe by, instead of ones that are held back;
            with ``early_stopping=True`` alone.  In a `Pipeline`, ``transform_input=["X_val"]``
            lets them come as X does.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), optional
        sample_weight_val : array-like of shape (n_val,), optional
            Their weights, which `class_weight` does not multiply.

        Returns
        -------
        self
            With ``warm_start=True`` training goes on from the last weights.
        """
        going_on = self.warm_start and hasattr(self, "_trained")
        mode = Mode.WARM_START if going_on else Mode.FIT
        held = check_given(X_val, y_val, sample_weight_val, early_stopping=self.early_stopping)
        tasks = self._begin_tasks(X, y, sample_weight)
        self._fit(X, y, sample_weight, mode, held=held, tasks=tasks)
        if tasks is not None:
            tasks.end()
        return self

    def _fit(self, X, y, sample_weight, mode, classes=None, held=None, tasks=None):
        if mode is Mode.PARTIAL_FIT and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True, as it trains one epoch at a "
                "time: set early_stopping=False."
            )
        with self._unchanged_on_failure():
            previous = None if mode is Mode.FIT else getattr(self, "_trained", None)
            if previous is not None:
                self._check_unchanged(previous)
            recipes = self._recipes(previous, mode)
            X, y, weight, kinds = self._validate_rows(X, y, sample_weight, previous)
            seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
            y = self._encode_target(y, weight, previous, classes)
            weight = self._weigh(y, weight)
            if previous is None:
                recipes = self._with_resolution(recipes, X, weight, kinds)
                encodings = self._fit_encodings(X, weight, seed, kinds, recipes)
            else:
                encodings = {previous.taken.resolution: previous.encoding}
            self._warn_of(recipes, encodings)
            spec = self._spec()
            user = UserRows(X, y, getattr(self, "classes_", None))
            valid = held and self._validation_rows(*held, kinds)

            def rows_of(encoding):
                rows = shared(merge_rows, X, y, weight, encoding)
                rows = replace(rows, weight=rows.weight / rows.weight.mean())
                return self._with_output_map(rows, previous, mode)

            trained = training.session.train(
                rows_of, encodings, spec, mode, recipes=recipes, user=user, seed=seed,
                previous=previous, valid=valid, tasks=tasks,
            )  # fmt: skip
            self._become_fitted(trained, mode)
        return self

    @contextmanager
    def _unchanged_on_failure(self):
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _check_unchanged(self, previous: Trained):
        earlier, spec = previous.spec, self._spec()
        now = {name: getattr(spec, name) for name in _FIXED_BY_FIT}
        before = {name: (getattr(earlier, name),) for name in _FIXED_BY_FIT}
        for name in _CHOSEN_BY_FIT:
            now[name] = getattr(spec.asked, name)
            before[name] = getattr(earlier.asked, name), getattr(previous.taken, name)
        for name, value in now.items():
            known = any(same(value, each) for each in before[name])
            if not known and not (name in _CHOSEN_BY_FIT and value == "auto"):
                raise ValueError(
                    f"{name}={value!r} was {before[name][-1]!r} when training began, and must stay "
                    "so while it goes on (warm_start=True or partial_fit): use a new estimator."
                )

    def _validate_rows(self, X, y, sample_weight, previous: Trained | None):
        """Rows as numbers, targets, weights, and what the columns hold."""
        if self.pruning_schedule != "auto":
            check_methods(self.pruning_schedule, self.pruning_criterion)
        kinds = self._column_kinds(X, sample_weight, previous)
        return *self._plain_rows(X, y, sample_weight, kinds, reset=previous is None), kinds

    def _plain_rows(self, X, y, sample_weight, kinds, *, reset):
        if hasattr(y, "toarray"):
            raise ValueError("y is a sparse matrix: pass a dense array, y.toarray().")
        y = None if y is None else self._plain_target(y)
        several = {"multi_output": y is not None and is_matrix(y)}
        if _is_numeric(kinds):
            X, y = self._validate_data(X, y, reset=reset, **several)
        else:
            self._validate_data(X, y, reset=reset, skip_check_array=True)
            X = numbers_of(X, kinds.categories, kinds.is_date, self._names)
            X, y = check_X_y(X, y, estimator=self, **_GAPS, **several)
        X, weight = plain_real(X), self._row_weight(X, sample_weight)
        if not weight.any():
            raise ValueError("sample_weight is zero for every row: nothing is left to train on.")
        return X, y, even_weight(weight)

    def _validation_rows(self, X, y, sample_weight, kinds) -> ValidationRows:
        """Rows to stop early by, checked as those to train on."""
        with of_validation():
            if is_frame(X):
                _check_frame(X)
            X, y, weight = self._plain_rows(X, y, sample_weight, kinds, reset=False)
            # As of earlier rows: of their kind, and not all labels need be there.
            y = self._encode_target(y, None, True, getattr(self, "classes_", None))

        def table_for(rows):
            table = merge_rows(X, y, weight, rows.encoding)
            table = replace(table, weight=table.weight / table.weight.mean())
            return self._with_known_output_map(table, rows)

        return ValidationRows(UserRows(X, y, getattr(self, "classes_", None)), table_for)

    def _with_known_output_map(self, table, rows):
        """A table whose targets are in the units of those that are trained on."""
        return replace(table, output_mean=rows.output_mean, output_scale=rows.output_scale)

    def _column_kinds(self, X, sample_weight, previous) -> ColumnKinds | InputEncoding | None:
        """What the columns hold; None for numbers alone."""
        if is_frame(X):
            _check_frame(X)
        if previous is not None:
            return previous.encoding
        by_type = self.categorical_features is None or isinstance(self.categorical_features, str)
        if by_type and not is_frame(X):
            return None
        if hasattr(X, "toarray"):
            raise ValueError(
                f"categorical_features={self.categorical_features!r} needs a dense table, and X is "
                "sparse: pass X.toarray(), or categorical_features=None."
            )
        return learn_columns(X, self._row_weight(X, sample_weight), self.categorical_features)

    @property
    def _names(self):
        return getattr(self, "feature_names_in_", None)

    @staticmethod
    def _row_weight(X, sample_weight) -> np.ndarray:
        weight = real_weight(sample_weight)
        return _check_sample_weight(weight, X, dtype=np.float64, ensure_non_negative=True)

    def _hidden_sizes(self) -> tuple[int, ...] | str:
        """Neurons of each hidden layer, or "auto"; refused where they are no positive integers."""
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str):
            return sizes
        sizes = tuple(sizes) if np.iterable(sizes) else (sizes,)
        if any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold positive integers, for "
                "instance (128, 128), or nothing, (), for a linear model of the input codes."
            )
        return tuple(map(index, sizes))

    def _check_members(self):
        """Refuse members that would have no neuron or sum, or fewer sums than others."""
        members, sums, sizes = self.n_members, self.n_output_sums, self._hidden_sizes()
        if members == "auto":
            return
        if sums != "auto" and sums % members:
            raise ValueError(
                f"n_members={members} cannot share n_output_sums={sums} equally: use "
                f"n_output_sums={-(-sums // members) * members}, or 'auto'."
            )
        if sizes != "auto" and min(sizes, default=members) < members:
            raise ValueError(
                f"n_members={members} needs a neuron for each member in every layer of "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}: use n_members={min(sizes)} or "
                "fewer, or more neurons."
            )

    def _weigh(self, y, weight):
        """Weights of the rows; a classifier multiplies those of a class."""
        return weight

    def _recipes(self, previous: Trained | None, mode: Mode) -> list[Recipe]:
        """What `fit` chooses from, the plain one first; refused where no weight would fit.

        Where nothing is tried, it is the plain one alone.
        """
        self._check_members()
        recipes, refusals = [], []
        known = previous and [previous.taken]
        for recipe in known or auto_recipes(self._asked(), self._guaranteed_bits):
            try:
                self._check_widths(recipe)
                recipes.append(recipe)
            except ValueError as refusal:
                refusals.append(refusal)
        if not recipes:
            raise refusals[0]
        chooses = mode is Mode.FIT and self.max_epochs == "auto"
        return recipes if chooses else recipes[:1]

    def _asked(self) -> Recipe:
        """What is asked for of what a fit can choose."""
        names = [field.name for field in fields(Recipe)]
        given = {name: plain_number(getattr(self, name)) for name in names}
        asked = Recipe(**given | {"hidden_layer_sizes": self._hidden_sizes()})
        if asked.n_in_bits is None or (asked.n_in_bits == "auto" != asked.n_a_bits):
            asked = replace(asked, n_in_bits=asked.n_a_bits)
        if asked.pruning_schedule == "auto" and removes_neurons(self.pruning_criterion):
            asked = replace(asked, pruning_schedule=DENSE)
        return asked

    @property
    def _guaranteed_bits(self) -> int | None:
        return index(self.n_accum_bits) if self.accumulator_guarantee else None

    def _with_resolution(self, recipes, X, weight, kinds) -> list[Recipe]:
        n_graded = count_graded(X, weight, () if kinds is None else kinds.categories)
        return list(dict.fromkeys(recipe.at(n_graded) for recipe in recipes))

    def _fit_encodings(self, X, weight, seed, kinds, recipes) -> dict[tuple, InputEncoding]:
        """An encoding of each resolution that the recipes name."""
        learnt = {} if kinds is None else vars(kinds)
        return {
            resolution: shared(_fit_encoding, X, weight, seed, *resolution, learnt)
            for resolution in dict.fromkeys(recipe.resolution for recipe in recipes)
        }

    def _spec(self) -> TrainingSpec:
        return TrainingSpec(
            asked=self._asked(),
            n_outputs=self._n_outputs(),
            n_w_bits=index(self.n_w_bits),
            n_rounding_bits=index(self.n_rounding_bits),
            loss=self._loss(),
            skip_connection=bool(self.skip_connection),
            multiplier=self.n_hidden_neurons_multiplier,
            n_accum_bits=index(self.n_accum_bits),
            guaranteed_bits=self._guaranteed_bits,
            categorical_features=_plain(self.categorical_features),
            **{name: plain_number(getattr(self, name)) for name in _HANDED_ON},
        )

    def _become_fitted(self, trained: Trained, mode: Mode):
        """Become fitted."""
        self._trained = trained
        self.history_ = list(trained.history)
        self.n_iter_ = len(trained.history)
        taken = trained.taken
        for name in (*_CHOSEN_BY_FIT, "dropout", "pruning_schedule"):
            setattr(self, f"{name}_", getattr(taken, name))
        self.categories_ = list(trained.encoding.categories)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_trained")

    def _validated(self, X):
        """Rows that the encoding takes: numbers, or raw ones whose columns it looks at."""
        check_is_fitted(self)
        if self._is_plain(X):
            return X
        if is_frame(X):
            _check_frame(X)
        elif _is_numeric(self._trained.encoding):
            # The network says what is infinite, after one look at the values.
            return plain_real(self._validate_data(X, reset=False, ensure_all_finite=False))
        self._validate_data(X, reset=False, skip_check_array=True)
        return X

    def _is_plain(self, X) -> bool:
        """Whether nothing but single values of X can be wrong, at which the network looks.

        What scikit-learn would find out takes it as long as the prediction of a row.
        """
        return (
            type(X) is np.ndarray
            and X.dtype in (np.float32, np.float64)
            and X.ndim == 2
            and len(X) > 0
            and X.shape[1] == self.n_features_in_
            and not hasattr(self, "feature_names_in_")
            and _is_numeric(self._trained.encoding)
        )

    def _validate_data(self, X, y="no_validation", **checks):
        refuse_masked("X", X)
        # scikit-learn looks for NaN in a sum, which the largest floats leave without any.
        with np.errstate(over="ignore", invalid="ignore"):
            return validate_data(self, X, y, **_GAPS | checks)

    @property
    def module_(self):
        """The trained Brevitas module, in eval mode; rebuilt on demand after unpickling."""
        check_is_fitted(self)
        return training.state.module_of(self._trained)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags
