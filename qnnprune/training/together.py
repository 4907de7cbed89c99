"""Fits that wait for each other where their nets are ready, and train as one.

Each fit has a thread, but only one of them runs at a time: threads are here what coroutines are
elsewhere, so that a fit may be called by anything, such as a pipeline or a search.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from threading import Semaphore, Thread
from typing import Any

from .blocks import quantizer
from .callbacks import LearningRate, WeightsLeft, WholeEpoch
from .optimizers import OPTIMIZERS
from .rows import TrainingTable
from .shared import KNOWN
from .stack import Stack
from .threads import one_thread

__all__ = ["run_together", "train_net"]

_FIT: ContextVar[_Fit | None] = ContextVar("fit", default=None)
_MOST = 16  # nets in a stack: more save nothing
_STEADY = {LearningRate, WeightsLeft, WholeEpoch}  # callbacks that do not stop a net


def train_net(net, table: TrainingTable) -> None:
    """`partial_fit` of a net, together with those of fits that run together with this one.

    Parameters
    ----------
    net : TrainingNet
    table : TrainingTable
    """
    fit = _FIT.get()
    if fit is None:
        net.partial_fit(table)
    else:
        fit.train(net, table)


def run_together(calls: Sequence[Callable[[], Any]]) -> list:
    """Call functions that fit, and let nets of one shape on the same rows train as one.

    Parameters
    ----------
    calls : sequence of callable

    Returns
    -------
    list
        What they return.  What one of them raises ends all.
    """
    known: dict = {}
    fits = [_Fit(call, known) for call in calls]
    try:
        for fit in fits:
            fit.start()
            fit.proceed()
        while waiting := [fit for fit in fits if fit.net is not None]:
            with one_thread():
                for group in _groups(waiting):
                    _train(group)
            for fit in waiting:
                fit.proceed()
    finally:
        for fit in fits:
            fit.end()
    return [fit.result for fit in fits]


class _Fit(Thread):
    """A call in a thread that runs only while `proceed` waits for it.

    Attributes
    ----------
    net, table
        What it wants to be trained; None before and after.
    failure : BaseException or None
        Why that failed.
    error : BaseException or None
        What ended the call.
    """

    def __init__(self, call, known):
        super().__init__(daemon=True)
        self.call, self.known, self.ended = call, known, False
        self.net = self.table = self.failure = self.error = self.result = None
        self.turn, self.pause = Semaphore(0), Semaphore(0)

    def run(self):
        self.turn.acquire()
        _FIT.set(self)
        KNOWN.set(self.known)
        try:
            self.result = None if self.ended else self.call()
        except BaseException as error:
            self.error = error
        self.pause.release()

    def proceed(self):
        """Let it run until it has a net to train, or returns."""
        self.turn.release()
        self.pause.acquire()
        if self.error is not None:
            raise self.error

    def end(self):
        """End the thread, wherever it is."""
        self.ended = True
        while self.is_alive():
            self.turn.release()
            self.join(0.01)

    def train(self, net, table):
        """Wait until somebody has trained a net; in the thread of the call."""
        self.net, self.table, self.failure = net, table, None
        self.pause.release()
        self.turn.acquire()
        self.net = self.table = None
        if self.ended:
            raise SystemExit
        if self.failure is not None:
            raise self.failure


def _groups(fits: list[_Fit]) -> list[list[_Fit]]:
    """Fits whose nets can train as one."""
    groups: defaultdict[Any, list] = defaultdict(list)
    for fit in fits:
        kind = _kind(fit.net)
        groups[fit if kind is None else (kind, _rows(fit.table))].append(fit)
    return [
        group[start : start + _MOST]
        for group in groups.values()
        for start in range(0, len(group), _MOST)
    ]


def _kind(net) -> tuple | None:
    """What nets that train as one have in common; None of a net that trains alone."""
    module, pruner = net.module_, net.pruner
    if not (
        {type(callback) for callback in net.given_callbacks} <= _STEADY
        and net.optimizer in OPTIMIZERS.values()
        and net.device == "cpu"
        and module.hidden
        and module.skipped is None
        and all(block.cell == 1 for block in module.hidden)
        # A product with a vector is rounded in another way than one with a matrix.
        and all(min(block.linear.weight.shape) > block.n_blocks for block in module.hidden)
    ):
        return None
    first, weights = module.hidden[0], quantizer(module.hidden[0].linear)
    return (
        type(net), net.optimizer, net.criterion_.function, net.dropout, tuple(net.seed),
        net.batch_size, net.max_epochs, net.always_prune, net.verbose,
        pruner and pruner.schedule.restarts_lr,  # nets of equal settings share a rate
        tuple(tensor.shape for tensor in module.tensors()), module.output.n_sums,
        module.output.n_members,
        weights and float(weights.bit_width), first.function,
        first.quantizer and first.quantizer.n_bits,
    )  # fmt: skip


def _rows(table: TrainingTable) -> tuple:
    """Equal for tables of the same rows, whose levels fits share."""
    arrays = table.rows, table.y, table.weight
    return id(table.source), id(table.encoding), *(array.tobytes() for array in arrays)


def _train(fits: list[_Fit]) -> None:
    """Train the nets of fits; of several, as one."""
    if len(fits) > 1:
        _train_as_one(fits)
        return
    try:
        fits[0].net.partial_fit(fits[0].table)
    except Exception as error:
        fits[0].failure = error
    else:
        if fits[0].net.interrupted_:
            raise KeyboardInterrupt("The search was interrupted.")


def _train_as_one(fits: list[_Fit]) -> None:
    trainings = {fit: fit.net.training(fit.table) for fit in fits}
    batches: dict = {}
    for fit in fits:
        _go_on(fit, trainings, batches, None)
    if not trainings:
        return
    stack = Stack([fit.net for fit in fits if fit in trainings])
    members = list(trainings)
    while trainings:
        steps = stack.train_step(next(iter(batches.values())))
        for fit, step in zip(members, steps, strict=True):
            if fit in trainings:
                _go_on(fit, trainings, batches, step)
    stack.take_apart()


def _go_on(fit, trainings, batches, step) -> None:
    """Let a training take in a step and ask for the next one; it leaves when it ends."""
    try:
        batches[fit] = trainings[fit].send(step)
        return
    except StopIteration:
        pass
    except Exception as error:
        fit.failure = error
    del trainings[fit]
    batches.pop(fit, None)
