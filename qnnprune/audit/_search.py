"""Search for an input of the whole model that overflows one of its registers.

The search flips elements of the input between the ends of their ranges and keeps what enlarges
the sum.  For the first sums of a model, where each element moves the sum on its own, one pass
finds the worst case; behind them it is a climb from several starts, without any guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ._registers import Register
from ._sums import Sums
from ._witness import witness_of

__all__ = ["Subject", "find_input"]

_BATCH = 64
_STARTS = 32
_NEURONS = 2  # tried one after the other, those that overflow most first


@dataclass(eq=False)
class Subject:
    """A model as the search sees it.

    Attributes
    ----------
    box : dict of str to (array, array)
        Ends of the inputs' ranges, with a batch of one.
    run : callable
        ``run(inputs, n_sums)`` evaluates the model as far as its first `n_sums` layers, at least,
        and returns their `Sums` at known inputs.
    batched : bool
        Whether `run` takes batches of any size.
    n_products : int
        Of one evaluation.
    """

    box: dict[str, tuple[np.ndarray, np.ndarray]]
    run: Callable[[dict[str, np.ndarray], int], list[Sums]]
    batched: bool
    n_products: int

    def sums_at(self, inputs: dict[str, np.ndarray], index: int, proven: Sums) -> Sums:
        """The sums of one layer at some inputs; `proven` are those with ranges."""
        found = self.run(inputs, index + 1)
        if len(found) <= index or found[index].name != proven.name:
            raise LookupError(f"{proven.name} was not met when the model was evaluated")
        return replace(found[index], signed=proven.signed)


class _Target:
    """Largest (or smallest) sum of one neuron, as a function of flat inputs in 0 .. 1."""

    def __init__(
        self, subject: Subject, index: int, proven: Sums, register: Register, neuron, largest
    ):
        self.subject, self.index, self.proven, self.register = subject, index, proven, register
        self.neuron, self.largest, self.n_tries = neuron, largest, 0
        self.low, self.high = (
            np.concatenate([np.ravel(ends[k]).astype(np.float64) for ends in subject.box.values()])
            for k in (0, 1)
        )

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Model inputs of rows of booleans: True is the upper end."""
        flat, inputs, start = np.where(rows, self.high, self.low), {}, 0
        for name, (low, _) in self.subject.box.items():
            part = flat[:, start : start + low.size]
            shape = (len(rows) * low.shape[0], *low.shape[1:]) if low.ndim else ()
            inputs[name] = part.reshape(shape).astype(low.dtype)
            start += low.size
        return inputs

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The sums at some rows, negated where the smallest is looked for."""
        self.n_tries += len(rows)
        if not self.subject.batched:
            return np.array([self._sums(row[None])[0] for row in rows])
        parts = [self._sums(rows[k : k + _BATCH]) for k in range(0, len(rows), _BATCH)]
        return np.concatenate(parts)

    def _sums(self, rows: np.ndarray) -> np.ndarray:
        sums = self.subject.sums_at(self.inputs(rows), self.index, self.proven)
        ends = self.register.at(sums, sums.cases[0], self.neuron)
        end = ends[1] if self.largest else -ends[0]
        return end.reshape(len(rows), -1).max(axis=1)


def find_input(
    subject: Subject,
    index: int,
    proven: Sums,
    register: Register,
    ranges,
    limits,
    n_tries,
    random_state,
):
    """An input of the model at which sums of one layer leave their register.

    Parameters
    ----------
    subject : Subject
    index : int
        Of the layer among the sums of `run`.
    proven : Sums
        Of that layer, with ranges.
    register : Register
    ranges, limits : arrays of shape (neurons, 2)
        What the register would have to hold, and what it holds.
    n_tries : int
        Evaluations of the model, about.
    random_state : numpy.random.RandomState

    Returns
    -------
    tuple of (dict of str to array, int, bool), or None
        Inputs with a batch of one, the neuron, and whether its upper end is left.
    """
    beyond = (ranges - limits) * [-1, 1]
    order = np.argsort(-beyond, axis=None, kind="stable")[:_NEURONS]
    order = [divmod(int(flat), 2) for flat in order if beyond.flat[flat] > 0]
    for neuron, end in order:
        target = _Target(subject, index, proven, register, neuron, bool(end))
        limit = limits[neuron, end] * (1 if end else -1)
        codes = witness_of(proven, register, ranges, neuron, bool(end)).codes
        row = _guided(target, limit, codes)
        if row is None:
            row = _climb(target, limit, n_tries // len(order), random_state)
        if row is not None:
            return target.inputs(row[None]), neuron, bool(end)
    return None


def _guided(target: _Target, limit: float, codes: np.ndarray):
    """Carry the layer's own witness back, as if only elementwise functions lay before it."""
    if codes.size != len(target.low):
        return None
    upper = codes.ravel() > np.median([codes.min(), codes.max()])
    rows = np.stack([upper, ~upper])
    found = target(rows)
    return rows[found.argmax()] if found.max() > limit else None


def _climb(target: _Target, limit: float, n_tries: int, random_state):
    """A row at which the target is larger than the limit, or None."""
    n = len(target.low)
    while target.n_tries < n_tries:
        row, best = _start(target, max(2, min(_STARTS, n_tries // 4)), random_state)
        groups = _groups(n, n_tries, random_state)
        improved = True
        while best <= limit and improved and target.n_tries < n_tries:
            row, last = _pass(target, row, best, groups, n_tries)
            best, improved = last, last > best
        if best > limit:
            return row
    return None


def _start(target: _Target, n_starts: int, random_state):
    """The best of some random vertices, with few and with many upper ends, and the two outermost."""
    n = len(target.low)
    share = random_state.uniform(size=(n_starts, 1))
    rows = random_state.uniform(size=(n_starts, n)) < share
    rows[0], rows[1] = False, True
    found = target(rows)
    return rows[found.argmax()], found.max()


def _groups(n: int, most: int, random_state) -> list[np.ndarray]:
    """Elements that are flipped together: single ones where the tries suffice."""
    return np.array_split(random_state.permutation(n), max(1, min(n, most)))


def _pass(target: _Target, row, best, groups, n_tries: int):
    """Flip group after group; keep all flips that help, or the best one of each batch."""
    for k in range(0, len(groups), _BATCH):
        if target.n_tries > n_tries:
            break
        some = groups[k : k + _BATCH]
        rows = np.repeat(row[None], len(some), axis=0)
        for flipped, group in zip(rows, some, strict=True):
            flipped[group] ^= True
        found = target(rows)
        helping = [group for group, value in zip(some, found, strict=True) if value > best]
        if not helping:
            continue
        together = row.copy()
        together[np.concatenate(helping)] ^= True
        both = target(together[None])[0]
        single = found.max()
        row, best = (together, both) if both >= single else (rows[found.argmax()], single)
    return row, best
