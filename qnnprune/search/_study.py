"""Finished trials in memory or in a file: a study of Optuna and its journal."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import numpy as np

from ..export._common import require

__all__ = ["SAMPLERS", "Study"]

_NAME = "qnnprune.pareto_search"
SAMPLERS = ("tpe", "nsga2")
_POPULATION = 20  # of NSGA-II: a search of Optuna's 50 trials would end with its first generation


class Study:
    """Trials of one search, in the order in which they were asked for.

    Parameters
    ----------
    path : str, path-like or None
        Journal, which is written as the search goes; None keeps the trials in memory.
    identity : dict of str to str
        What the trials were measured with, compared with that of the file.
    distributions : dict of str to Optuna distribution
    n_costs : int

    Raises
    ------
    ValueError
        If the file is damaged, is no journal, or is that of another search.
    """

    def __init__(self, path, identity: dict, distributions: dict, n_costs: int):
        self.optuna = require("optuna", "search")
        self.path, self.distributions = path, distributions
        self.n_values = 1 + n_costs
        if path is not None:
            _check_lines(path)
        with self._refused_if_unreadable(), _quiet(self.optuna):
            self._study = self._open(identity)
            trials = self._study.trials
        self._check_identity(identity)
        self._check_whole(trials)
        for trial in trials:  # asked for by a call that was interrupted
            if not trial.state.is_finished():
                self._study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)

    def _open(self, identity):
        storages = self.optuna.storages
        if self.path is None:
            storage = storages.InMemoryStorage()
        else:
            backend = storages.journal.JournalFileBackend(os.fspath(self.path))
            storage = storages.JournalStorage(backend)
        names = {study.study_name for study in storage.get_all_studies()}
        if names - {_NAME}:
            raise ValueError(f"it holds the studies {sorted(names)}")
        if names:
            return self.optuna.load_study(storage=storage, study_name=_NAME)
        directions = ["maximize"] + ["minimize"] * (self.n_values - 1)
        study = self.optuna.create_study(storage=storage, study_name=_NAME, directions=directions)
        study.set_user_attr("identity", identity)
        return study

    @contextmanager
    def _refused_if_unreadable(self):
        try:
            yield
        except OSError:
            raise
        except Exception as error:  # whatever a damaged journal makes Optuna raise
            raise _refusal(self.path, f"cannot be read as a search: {error}") from error

    def _check_identity(self, identity):
        found = self._study.user_attrs.get("identity")
        if not isinstance(found, dict):
            raise _refusal(self.path, "does not say what it searched")
        for name, value in identity.items():
            if found.get(name) != value:
                raise _refusal(
                    self.path,
                    f"is of a search with another {name}: {found.get(name)} there, {value} here",
                )

    def _check_whole(self, trials):
        for trial in filter(self._counts, trials):
            values = trial.values or [0.0] * self.n_values
            if set(trial.params) != set(self.distributions) or len(values) != self.n_values:
                raise _refusal(self.path, f"lacks a part of trial {trial.number}")

    def _counts(self, trial) -> bool:
        """Whether a trial was measured or refused, rather than interrupted."""
        complete = trial.state == self.optuna.trial.TrialState.COMPLETE
        return complete or "error" in trial.user_attrs

    @property
    def finished(self) -> list:
        """Trials of Optuna that were measured, or refused by `fit`."""
        return [trial for trial in self._study.trials if self._counts(trial)]

    def ask(self, sampler: str, seed: int):
        """Choose what to try next.

        Each choice has a sampler of its own: an interrupted search goes on as if it had not
        been.

        Parameters
        ----------
        sampler : {"tpe", "nsga2"}
        seed : int

        Returns
        -------
        optuna.trial.Trial
        """
        samplers = self.optuna.samplers
        self._study.sampler = (
            samplers.TPESampler(seed=seed)
            if sampler == "tpe"
            else samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
        )
        return self._study.ask(self.distributions)

    def tell(self, trial, measured: np.ndarray | str) -> None:
        """Write what came of a trial.

        Parameters
        ----------
        trial : optuna.trial.Trial
        measured : array of shape (n_folds, 1 + n_costs), or str
            As `Evaluation` returns it.
        """
        if isinstance(measured, str):
            trial.set_user_attr("error", measured)
            self._study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        else:
            trial.set_user_attr("measured", measured.tolist())
            self._study.tell(trial, measured.mean(axis=0).tolist())


def _check_lines(path) -> None:
    """Refuse a file whose lines are not all entries of a journal."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return
    if lines[-1]:
        raise _refusal(path, f"ends in the middle of line {len(lines)}")
    for number, line in enumerate(lines[:-1], start=1):
        try:
            whole = {"op_code", "worker_id"} <= json.loads(line).keys()
        except (ValueError, AttributeError):
            whole = False
        if not whole:
            raise _refusal(path, f"has no entry of a journal of Optuna in line {number}")


def _refusal(path, what: str) -> ValueError:
    return ValueError(
        f"path={os.fspath(path)!r} {what}. It was left as it is: give another path, or a whole "
        "file of this search."
    )


@contextmanager
def _quiet(optuna):
    """No words of Optuna about studies that it makes."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
