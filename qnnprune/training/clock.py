"""How far a training has come: its schedule, epoch by epoch."""

from __future__ import annotations

import math

from ..pruning.schedules import PRUNING_ENDS

__all__ = ["Clock"]


class Clock:
    """Tells how far pruning is at an epoch, and goes faster once the rest is shortened.

    Parameters
    ----------
    n_epochs : int
        Epochs of the whole training.
    starts : float or None
        Share of the epochs after which the pruning phase starts; None where the limits hold from
        the first epoch on, or there are none.

    Attributes
    ----------
    n_epochs : int
        Epochs of the whole training, as it stands.
    since : int
        Epochs that had passed when the rest was shortened; 0 until then.
    """

    def __init__(self, n_epochs: int, starts: float | None = None):
        self.n_epochs, self.starts, self.since = n_epochs, starts, 0
        self._done_then = 0.0

    def done(self, epochs: int) -> float:
        """Share of the schedule that is done after so many epochs."""
        share = (epochs - self.since) / (self.n_epochs - self.since)
        return self._done_then + (1 - self._done_then) * share

    def progress(self, epoch: int) -> float:
        """How far the pruning phase has come, from 0 to 1, at an epoch, counted from 1."""
        if self.starts is None:
            return 1.0
        progress = (self.done(epoch - 1) - self.starts) / (PRUNING_ENDS - self.starts)
        return min(max(progress, 0.0), 1.0)

    @property
    def cut_epoch(self) -> int:
        """The epoch at the end of which the limits hold first."""
        epochs = range(1, self.n_epochs)
        return next((e for e in epochs if self.progress(e) >= 1), self.n_epochs)

    def shorten(self, passed: int, usual: int, *, halve: bool = False) -> None:
        """Give what is left of the schedule fewer epochs; once, and before the limits hold.

        Pruning goes on from where it is, or begins, and fine-tuning follows, as fast as in a
        training of `usual` epochs.

        Parameters
        ----------
        passed : int
            Epochs that have passed.
        usual : int
            Epochs of a whole training.
        halve : bool
            Take no more than half of the epochs that are left.
        """
        left = self.n_epochs - passed
        if self.since or not left or self.progress(passed) >= 1:
            return
        done = max(self.done(passed), self.starts)
        rest = min(math.ceil((1 - done) * usual), math.ceil(left / 2) if halve else left)
        # At least the last epoch begins at the limits.
        rest = max(rest, math.ceil((1 - done) / (1 - PRUNING_ENDS)))
        if rest < left:
            self.since, self.n_epochs, self._done_then = passed, passed + rest, done
