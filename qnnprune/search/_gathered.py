"""A backend of joblib that gathers calls until a result is wanted, and then runs them together."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import chain

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import ParallelBackendBase

__all__ = ["Gathered", "Together"]

_ALL = 2**20  # calls that are gathered before the first result is wanted
_MOST = 64  # fits that wait for each other


def _run_together(calls) -> list:
    from ..training.together import run_together  # torch, where something is trained

    return run_together(calls)


class Together:
    """Runs calls in groups: those of a fold train as one.

    Parameters
    ----------
    n_jobs : int or None
        Groups beside each other, by the backend of joblib that is active now.
    """

    def __init__(self, n_jobs: int | None):
        self.parallel, self.n_jobs = Parallel(n_jobs), effective_n_jobs(n_jobs)

    def __call__(self, calls: list[Callable], n_folds: int) -> list:
        """Call them.

        Parameters
        ----------
        calls : list of callable
            Of every candidate one per fold.
        n_folds : int

        Returns
        -------
        list
            What they return, in their order.
        """
        places = [
            places for fold in range(n_folds) for places in self._split(fold, len(calls), n_folds)
        ]
        with warnings.catch_warnings():  # fits that wait restore filters in another order
            found = self.parallel(
                delayed(_run_together)([calls[place] for place in group]) for group in places
            )
        results = dict(zip(chain(*places), chain(*found), strict=True))
        return [results[place] for place in range(len(calls))]

    def _split(self, fold: int, n_calls: int, n_folds: int) -> list[np.ndarray]:
        """Places of a fold's calls, in groups: for more jobs than folds, and to save memory."""
        places = np.arange(fold, n_calls, n_folds)
        return np.array_split(places, max(-(-self.n_jobs // n_folds), -(-len(places) // _MOST)))


class Gathered(ParallelBackendBase):
    """Backend that hands over all calls at once.

    Parameters
    ----------
    run : callable
        Takes the list of calls and returns the list of their results.
    """

    uses_threads = True
    supports_sharedmem = True

    def __init__(self, run: Callable, **options):
        super().__init__(**options)
        self.run, self.calls, self.is_over = run, [], False

    def effective_n_jobs(self, n_jobs):
        """How many calls to wait for: all; once it is over, one by one."""
        return 1 if self.is_over else _ALL

    def submit(self, func, callback=None):
        """Put a call to the others."""
        self.calls.append(_Call(self, func, callback))
        return self.calls[-1]

    apply_async = submit  # before joblib 1.5

    def run_all(self):
        """Run what was gathered."""
        calls, self.calls = self.calls, []
        for call, result in zip(calls, self.run([call.function for call in calls]), strict=True):
            call.result = result
            call.callback(result)

    def terminate(self):
        """Leave what comes later to whoever calls."""
        self.is_over = True


class _Call:
    """A call whose result is computed with those of all others once it is wanted."""

    def __init__(self, backend, function, callback):
        self.backend, self.function, self.callback = backend, function, callback

    def get(self, timeout=None):
        if not hasattr(self, "result"):
            self.backend.run_all()
        return self.result
