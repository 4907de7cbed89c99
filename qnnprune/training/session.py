"""One training from start to end: rows and a specification in, `Trained` out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._utils import user_stacklevel
from ..encoding import InputEncoding
from ..encoding._common import common_encoding
from ..pruning import Pruner
from .activations import check_activation
from .assembly import build_net, check_device
from .auto import (
    DENSE,
    Recipe,
    auto_batch_size,
    auto_dropout,
    auto_max_epochs,
    auto_sums,
    hold_back,
    race,
    trial_recipe,
)
from .callbacks import EpochTasks
from .given import same
from .losses import loss_of
from .module import PrunableMLP
from .optimizers import check_optimizer
from .rows import TrainingTable
from .scores import check_scoring
from .shared import shared
from .shown import ShownRows, View
from .spec import Mode, Trained, TrainingSpec, UserRows, ValidationRows
from .state import build_module, finished, load_state, reset, to_numpy, to_torch
from .threads import one_thread
from .together import train_net
from .user_callbacks import check_callbacks, trial_callbacks

__all__ = ["train"]


def train(
    rows_of: Callable[[InputEncoding], TrainingTable],
    encodings: Mapping[tuple, InputEncoding],
    spec: TrainingSpec,
    mode: Mode,
    *,
    recipes: Sequence[Recipe],
    user: UserRows,
    seed: int,
    previous: Trained | None = None,
    valid: ValidationRows | None = None,
    tasks=None,
) -> Trained:
    """Choose a recipe, train by it, and prune to the limits.

    Parameters
    ----------
    rows_of : callable
        Gives the rows as levels of an encoding.
    encodings : dict of tuple to InputEncoding
        Of each resolution that the recipes name.
    spec : TrainingSpec
    mode : Mode
    recipes : sequence of Recipe
        To choose from, where there is no `previous`; one is taken as it is.
    user : UserRows
        What `rows` are made of, for callbacks to see.
    seed : int
        Of everything that this training draws.
    previous : Trained, optional
        What to go on from.  None starts with new weights.
    valid : ValidationRows, optional
        What to stop early by, and to choose a recipe by, instead of rows that are held back.
    tasks : FitTasks, optional
        Of `estimators`: who wants to know how far this is.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If `spec` cannot be trained: the device, the optimizer, the activation, the scorer or a
        callback is refused, or the loss does not stay finite.
    KeyboardInterrupt
        If training is interrupted before its first epoch is over.
    """
    check_device(spec.device)
    check_optimizer(spec.optimizer)
    check_activation(spec.asked.activation)
    session = _Session(spec, mode, encodings, recipes, user, seed, previous, valid, tasks)
    check_callbacks(spec.callbacks or (), holds_back=spec.early_stopping)
    with one_thread():
        return session.run(rows_of)


class _Session:
    """What stays the same while one call of `train` runs."""

    def __init__(self, spec, mode, encodings, recipes, user, seed, previous, valid, tasks):
        self.spec, self.mode, self.user, self.seed = spec, mode, user, seed
        self.encodings, self.recipes, self.previous = encodings, recipes, previous
        self.valid, self.tasks = valid, tasks
        self.pruning_seed = seed if previous is None else previous.pruning_seed
        self.regrows = mode is Mode.PARTIAL_FIT and (previous is None or previous.regrows)
        self.n_tried = 0

    def run(self, rows_of) -> Trained:
        common = common_encoding(list(self.encodings.values()))
        rows = rows_of(common)
        self.check_scoring(rows)
        chosen = self.previous.recipe if self.previous else self.choose(rows)
        recipe = chosen.given(self.spec.asked)
        encoding = self.encodings[recipe.resolution]
        if encoding is not common:
            rows = rows_of(encoding)  # as if nothing else had been tried
        rows, held = self.held_back(rows)
        net = self.net(rows, recipe, held=held, tasks=self.last_tasks(rows, chosen, recipe))
        if self.mode is Mode.PARTIAL_FIT and self.previous:
            _restore_moments(net, self.spec, self.previous)
        train_net(net, rows)
        _check_interrupt(net)
        if net.pruner is not None:
            net.pruner.prune(net.module_, 1.0)
        return self.trained(net, rows, chosen, recipe)

    def check_scoring(self, rows):
        # Only a scorer is checked: rows of the user's own are not merged for nothing.
        if self.spec.early_stopping and self.spec.scoring not in (None, "loss"):
            scored = ShownRows(self.user, rows) if self.valid is None else self.shown_valid(rows)
            check_scoring(
                self.spec.scoring, scored.y, scored.weight,
                classifies=self.user.classes is not None,
            )  # fmt: skip

    def shown_valid(self, rows) -> ShownRows:
        return ShownRows(self.valid.user, self.valid.table_for(rows))

    def held_back(self, rows) -> tuple[TrainingTable, ShownRows | None]:
        """Rows to train on, and rows to stop early by."""
        if not self.spec.early_stopping:
            return rows, None
        if self.valid is not None:
            return rows, self.shown_valid(rows)
        rows, held = hold_back(rows, self.spec.validation_fraction, self.seed)
        held = replace(held, weight=held.weight / held.weight.mean())
        return rows, ShownRows(self.user, held)

    def choose(self, rows) -> Recipe:
        """The recipe of a first training, before the parameters that are given replace it."""
        spec = self.spec
        whole = [self.settled(recipe, rows) for recipe in self.recipes]
        recipes: dict = {}
        for recipe in whole:
            recipes.setdefault(recipe.given(spec.asked), recipe)
        self.trials = list(recipes)
        held = self.valid and self.valid.table_for(rows)
        # Reports of progress stay in this process.
        n_jobs = None if self.tasks else spec.n_jobs
        return recipes[race(self.trials, rows, self.seed, self.held_back_error, held, n_jobs)]

    def settled(self, recipe, rows) -> Recipe:
        """A recipe whose epochs, dropout and sums are those of these rows."""
        spec, n_in = self.spec, len(self.encodings[recipe.resolution].feature)
        sums = recipe.n_output_sums
        if sums == "auto":
            last = (n_in, *recipe.hidden_layer_sizes)[-1] + spec.skips(recipe) * n_in
            n_bits = spec.input_bits(recipe)[-1]
            sums = auto_sums(last, spec.n_w_bits, n_bits, spec.guaranteed_bits, recipe.n_members)
        return replace(
            recipe,
            max_epochs=auto_max_epochs(len(rows), self.batch_size(rows)),
            dropout=auto_dropout(recipe.dropout, n_in),
            n_output_sums=sums,
        )

    def batch_size(self, rows, trial=False) -> int:
        given = self.spec.batch_size
        if given != "auto":
            return given
        once = self.mode is Mode.PARTIAL_FIT
        return auto_batch_size(len(rows), self.spec.guaranteed_bits, trial=trial, once=once)

    @one_thread()  # perhaps in another process
    def held_back_error(self, recipe, rows, held) -> np.ndarray:
        n_trials, earlier = len(self.trials), self.trials.index(recipe)
        self.n_tried = earlier + 1
        label = f"trial {self.n_tried} of {n_trials}"
        span = earlier / (n_trials + 1), self.n_tried / (n_trials + 1)
        rows = shared(TrainingTable.recoded, rows, self.encodings[recipe.resolution])
        short = trial_recipe(recipe, self.spec.asked, self.spec.guaranteed_bits)
        task = self.tasks and self.tasks.training(label, short.max_epochs, n_trials)
        net = self.net(
            rows, short, label=label, span=span, trial=True, tasks=task and EpochTasks(task)
        )
        train_net(net, rows)
        if net.interrupted_:
            raise KeyboardInterrupt("Training was interrupted while its recipe was being chosen.")
        return net.row_errors(held.recoded(rows.encoding))

    def last_tasks(self, rows, chosen, recipe) -> EpochTasks | None:
        """Reports of the epochs of the last training, the one that counts."""
        if self.tasks is None:
            return None
        task = self.tasks.training("training", recipe.max_epochs)
        return EpochTasks(task, partial(self.so_far, rows=rows, chosen=chosen, recipe=recipe))

    def net(self, rows, recipe, *, held=None, label="training", span=None, trial=False, tasks=None):
        """A net that is ready to train; in a trial by no more than training consists of."""
        span = span or (self.n_tried / (self.n_tried + 1), 1.0)
        spec, previous, partial = self.spec, self.previous, self.mode is Mode.PARTIAL_FIT
        module = self.module(rows.encoding, spec.shape(recipe))
        loss = loss_of(spec.loss, spec.quantile)
        callbacks = spec.callbacks or ()
        return build_net(
            module,
            View(self.user, rows.encoding, rows.output_mean, rows.output_scale, spec.outcome, loss),
            criterion=loss,
            pruner=self.pruner(module, recipe, rows.encoding),
            valid=held,
            scoring=spec.scoring,
            lr=spec.lr,
            alpha=spec.alpha,
            optimizer=spec.optimizer,
            max_epochs=1 if partial else recipe.max_epochs,
            batch_size=self.batch_size(rows, trial),
            dropout=recipe.dropout,
            n_iter_no_change=spec.n_iter_no_change,
            tol=spec.tol,
            callbacks=trial_callbacks(callbacks) if trial else callbacks,
            verbose=spec.verbose,
            label=label,
            span=span,
            device=spec.device,
            # Other epochs, other draws.
            seed=[self.seed, len(previous.history) if previous else 0],
            always_prune=partial or self.mode is Mode.WARM_START,
            constant_lr=partial,
            tasks=tasks,
        ).initialize()

    def module(self, encoding, shape) -> PrunableMLP:
        """A module with new weights, or those to go on from."""
        previous = self.previous
        if previous is None:
            return build_module(encoding, shape).seed(self.seed)
        # Nobody else knows it; if this training fails, another is made from the state.
        module = previous.cache.pop("spare", None)
        if module is None or previous.shape != shape:
            return load_state(build_module(encoding, shape), previous.state)
        return reset(module, previous.state)

    def pruner(self, module, recipe, encoding) -> Pruner | None:
        spec = self.spec
        limits = spec.limits(recipe, encoding)
        if limits is None:
            return None
        schedule = recipe.pruning_schedule
        if self.previous is not None and spec.asked.pruning_schedule == "auto":
            schedule = DENSE  # few weights go, of a network that is sparse already
        pruner = Pruner(
            limits, schedule, spec.pruning_criterion,
            neuron_sparsity=spec.neuron_sparsity, regrow=self.regrows, seed=self.pruning_seed,
        )  # fmt: skip
        if self.mode is Mode.PARTIAL_FIT:
            pruner.start_regrowth(module)
        if self.previous is not None and not self.regrows:
            pruner.adopt(module, narrower=self.mode is Mode.PRUNE)
        return pruner

    def so_far(self, net, *, rows, chosen, recipe) -> Trained:
        """What training would leave behind if it ended now, but for a last pruning to the limits.

        The module trains on: use up what is in ``cache`` at once, and clear it.
        """
        trained = self.trained(net, rows, chosen, recipe, cache={"spare": net.module_})
        spec = trained.spec
        if not net.limits_hold:
            spec = replace(spec, guaranteed_bits=None, multiplier=None)
        return replace(trained, spec=spec, best_epoch=len(trained.history))

    def trained(self, net, rows, chosen, recipe, cache=None) -> Trained:
        earlier = list(self.previous.history) if self.previous else []
        # What callbacks have seen they may have kept, and changed.
        if cache is None and self.mode is Mode.PARTIAL_FIT and not self.spec.callbacks:
            cache = {"spare": net.module_}
        return Trained(
            spec=replace(self.spec, callbacks=(), scoring=None),  # not ours to keep
            encoding=rows.encoding,
            recipe=chosen,
            taken=recipe,
            output_mean=rows.output_mean,
            output_scale=rows.output_scale,
            pruning_seed=self.pruning_seed,
            regrows=self.regrows,
            state=to_numpy(net.module_.state_dict()),
            moments=to_numpy(net.optimizer_.state_dict()["state"]),
            history=earlier + _epoch_records(net, after=len(earlier)),
            cache=cache or {"module": finished(net.module_)},
            best_epoch=len(earlier) + net.kept_epoch_,
        )


def _check_interrupt(net):
    if not net.interrupted_:
        return
    way_out = ""
    if net.clock_.progress(net.whole_) < 1:
        way_out = " They had no fine-tuning: fit again, with warm_start=True to go on from here."
    warnings.warn(
        f"Training was interrupted in epoch {net.epoch_} of {net.clock_.n_epochs}; the weights of "
        f"the last whole epoch are kept, pruned and compiled.{way_out}",
        ConvergenceWarning,
        stacklevel=user_stacklevel(),
    )


def _restore_moments(net, spec, previous):
    """Hand over the optimizer's moments of the last training, not its settings."""
    if same(previous.spec.optimizer, spec.optimizer):
        settings = net.optimizer_.state_dict()["param_groups"]
        state = {"state": to_torch(previous.moments), "param_groups": settings}
        net.optimizer_.load_state_dict(state)


def _epoch_records(net, after: int) -> list[dict]:
    """What skorch recorded of the epochs, counted on from `after`."""
    # A callback may have loaded the history of a training that is among the earlier ones.
    epochs = net.history[net.n_earlier_ if after else 0 :]
    return [
        {k: v for k, v in epoch.items() if k != "batches" and not k.endswith("_best")}
        | {"epoch": number}
        for number, epoch in enumerate(epochs, start=after + 1)
    ]
