"""A user's callbacks: with names, and refused before training where they cannot work."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.metrics import get_scorer
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
    TrainEndCheckpoint,
    WandbLogger,
)
from torch.optim.lr_scheduler import LRScheduler as TorchScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau

from .callbacks import OwnCallback, ShareOfEpochs

__all__ = ["check_callbacks", "named_callbacks", "stops_training", "trial_callbacks"]

# Callbacks that change how the weights move, and do nothing else.
_OF_WEIGHTS = (LRScheduler, GradientNormClipping)
_SCORING = (BatchScoring, EpochScoring)

_RECORDED = {"epoch", "dur", "train_loss", "train_loss_best", "weights_left", "pruning_progress"}
_RECORDED_OF_HELD_BACK = {"valid_loss", "valid_loss_best", "valid_score", "valid_score_best"}
# Of skorch's own callbacks, which a net has whatever the user passes.
_TAKEN_NAMES = ["epoch_timer", "train_loss", "valid_loss"]


def named_callbacks(callbacks: Sequence) -> list[tuple[str | None, Callback]]:
    """Instances of all callbacks, each with the name that the user gave it, or None.

    Those of one class that have none stand together, as skorch calls them.

    Raises
    ------
    ValueError
        If one of them is no skorch callback, or two have one name.
    """
    pairs = [_pair(item) for item in callbacks]
    names = _TAKEN_NAMES + [name for name, _ in pairs if name is not None]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"callbacks holds the name {name!r}, but a callback of that name is there already: "
                "choose another name."
            )
    groups: dict = {}
    for name, callback in pairs:
        callback = callback() if isinstance(callback, type) else callback
        groups.setdefault(name or type(callback).__name__, []).append((name, callback))
    return [pair for group in groups.values() for pair in group]


def _pair(item):
    name, callback = None, item
    if isinstance(item, (tuple, list)):
        if len(item) != 2 or not isinstance(item[0], str):
            raise ValueError(
                f"callbacks holds {item!r}, which is no pair of a name and a callback."
            )
        name, callback = item
    kind = callback if isinstance(callback, type) else type(callback)
    if not issubclass(kind, Callback):
        way_out = ""
        if issubclass(kind, TorchScheduler):
            way_out = f" Use skorch.callbacks.LRScheduler(policy={kind.__name__})."
        raise ValueError(f"callbacks holds {callback!r}, which is no skorch callback.{way_out}")
    return name, callback


def trial_callbacks(callbacks: Sequence) -> list:
    """Those that training itself consists of, which are rates and clipping, and our own progress.

    Rates that depend on a score are left out: who records it is not there.
    """
    return [
        (name, callback) if name else callback
        for name, callback in named_callbacks(callbacks)
        if isinstance(callback, (*_OF_WEIGHTS, ShareOfEpochs)) and not _follows_a_score(callback)
    ]


def _follows_a_score(callback) -> bool:
    return getattr(callback, "policy", None) in ("ReduceLROnPlateau", ReduceLROnPlateau)


def stops_training(callback) -> bool:
    """Whether a callback may end the training: all may but ours, and those of rates and clipping."""
    return not isinstance(callback, (OwnCallback, *_OF_WEIGHTS))


def check_callbacks(callbacks: Sequence, *, holds_back: bool) -> None:
    """Refuse callbacks that cannot do here what they are for.

    Parameters
    ----------
    callbacks : sequence
        As in the estimators.
    holds_back : bool
        Whether there are held-back rows to score on.

    Raises
    ------
    ValueError
    """
    recorded, all_known = _RECORDED | (_RECORDED_OF_HELD_BACK if holds_back else set()), True
    for _, callback in named_callbacks(callbacks):
        # A class of the user's own may record anything, and do without what it inherits.
        if not type(callback).__module__.startswith(("skorch.", __package__)):
            all_known = False
            continue
        _check_kind(callback)
        if not holds_back:
            _check_scores_training_rows(callback)
        if all_known:
            _check_monitor(callback, recorded)
        recorded = recorded | _recorded_by(callback)


def _check_kind(callback):
    if isinstance(callback, InputShapeSetter):
        raise ValueError(
            "callbacks holds InputShapeSetter, but the network's inputs follow from X anyway: "
            "leave it out."
        )
    if isinstance(callback, (Checkpoint, TrainEndCheckpoint)) and callback.f_pickle:
        raise ValueError(
            f"callbacks holds {type(callback).__name__} with f_pickle={callback.f_pickle!r}, but "
            "the net cannot be pickled while it trains: use f_params, or pickle the estimator "
            "after fit."
        )
    if isinstance(callback, _SCORING) and isinstance(callback.scoring, str):
        get_scorer(callback.scoring)  # a misspelt one is refused here


def _check_scores_training_rows(callback):
    if isinstance(callback, (*_SCORING, PassthroughScoring)) and not callback.on_train:
        raise ValueError(
            f"callbacks holds {type(callback).__name__} with on_train=False, which scores "
            "held-back rows, but none are held back: fit with early_stopping=True, or set "
            "on_train=True."
        )


def _check_monitor(callback, recorded):
    monitor = _monitored_by(callback)
    if isinstance(monitor, str) and monitor not in recorded:
        raise ValueError(
            f"callbacks holds {type(callback).__name__}, which monitors {monitor!r}, but nothing "
            f"before it records that. Recorded are {_listed(recorded)}; fit with "
            f"early_stopping=True records {_listed(_RECORDED_OF_HELD_BACK)} (the score is that of "
            "`scoring`)."
        )


def _listed(names) -> str:
    return ", ".join(sorted(map(repr, filter(None, names))))


def _monitored_by(callback):
    if isinstance(callback, WandbLogger):
        return "valid_loss_best" if callback.save_model else None
    if isinstance(callback, (Checkpoint, EarlyStopping)) or (
        _follows_a_score(callback) and callback.step_every == "epoch"
    ):
        return callback.monitor
    return None


def _recorded_by(callback) -> set:
    if isinstance(callback, _SCORING):
        name = callback.initialize().name_
        return {name, f"{name}_best"}
    if isinstance(callback, PassthroughScoring):
        return {callback.name, f"{callback.name}_best"}
    return {getattr(callback, "event_name", None)}
