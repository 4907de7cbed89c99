"""Training rows as levels, merged, weighted and served in whole batches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import train_test_split

from .._utils import row_blocks
from ..encoding import InputEncoding
from ..encoding._common import recoded_levels

__all__ = ["TrainingTable", "hold_out", "merge_rows"]

_MOST_COPIES = 2**20


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """Rows to train on: levels of the features, targets, weights.

    Attributes
    ----------
    source : unsigned integer array, or scipy sparse CSR matrix, of shape (n_samples, n_features)
        Levels; or raw sparse values, which become levels batch by batch.
    encoding : InputEncoding
    rows : int64 array of shape (n_rows,)
        The rows of `source` that are in this table, in canonical order.
    y : array of shape (n_rows,) or (n_rows, n_outputs)
        Class indices (int64); several labels, 0 or 1, or targets (float64).
    weight : float64 array of shape (n_rows,)
    copies : int64 array of shape (n_rows,)
        How many equal rows each one stands for when rows are held out.
    output_mean, output_scale : float64 arrays of shape (n_outputs,), or floats
        The map from the network's outputs to the target's units; 0 and 1 for logits.
    """

    source: object
    encoding: InputEncoding
    rows: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    copies: np.ndarray
    output_mean: np.ndarray | float = 0.0
    output_scale: np.ndarray | float = 1.0

    def __len__(self) -> int:
        return len(self.rows)

    def levels(self, rows: np.ndarray) -> np.ndarray:
        """Levels of some rows of `source`, of shape (len(rows), n_features)."""
        if hasattr(self.source, "toarray"):
            return self.encoding.levels(self.source[rows].toarray())
        return self.source.take(rows, axis=0)

    def subset(self, index: np.ndarray) -> TrainingTable:
        """The table of some of the rows; nothing is copied but indices."""
        names = ("rows", "y", "weight", "copies")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def recoded(self, encoding: InputEncoding) -> TrainingTable:
        """The same rows with the levels of an encoding that `encoding` is common to."""
        if encoding is self.encoding:
            return self
        if hasattr(self.source, "toarray"):
            return replace(self, encoding=encoding)
        source = np.empty(self.source.shape, dtype=encoding.level_dtype)  # rows stay in place
        source[self.rows] = recoded_levels(self.levels(self.rows), self.encoding, encoding)
        return replace(self, source=source, encoding=encoding)

    def split(self, fraction: float, seed: int) -> tuple[TrainingTable, TrainingTable] | None:
        """Hold rows out at random, by classes; see `hold_out`.

        A row that stands for several is split as these would be.

        Returns
        -------
        kept, held : TrainingTable
            None where too few rows are left to train on.
        """
        each = np.repeat(np.arange(len(self)), self.copies)
        labels = self.y[each] if self.y.dtype.kind == "i" else None
        parts = hold_out(
            len(each), math.ceil(fraction * len(each)), labels=labels, random_state=seed
        )
        if parts is None:
            return None
        return tuple(self._with_copies(np.bincount(each[p], minlength=len(self))) for p in parts)

    def _with_copies(self, copies) -> TrainingTable:
        weight = self.weight * (copies / self.copies)
        return replace(self, weight=weight, copies=copies).subset(np.flatnonzero(copies))


def merge_rows(X, y, weight, encoding: InputEncoding) -> TrainingTable:
    """Turn rows into levels and merge those with equal levels and targets.

    Equal rows become one row with the sum of their weights, rows of weight 0 leave, and
    the order follows from the contents (it is that of a hash; equal contents decide what is
    merged).  So a fit depends on the weighted set of rows
    alone: the order in which they come makes no difference, bit for bit, nor does repeating
    a row instead of doubling its weight, where sums of the weights are exact.

    Parameters
    ----------
    X : array or scipy sparse CSR matrix of shape (n_samples, n_features)
    y : int64 or float64 array of shape (n_samples,) or (n_samples, n_outputs)
    weight : float64 array of shape (n_samples,)
    encoding : InputEncoding

    Returns
    -------
    TrainingTable
    """
    sparse = hasattr(X, "toarray")
    source = X if sparse else np.empty(X.shape, dtype=encoding.level_dtype)
    # The bits of the target: 0 and -0 stay apart.
    targets = np.ascontiguousarray(y.reshape(len(y), -1)).view(np.uint64)
    keys = np.empty((X.shape[0], 2), dtype=np.uint64)
    for block in row_blocks(*X.shape):
        levels = encoding.levels(X[block].toarray() if sparse else X[block])
        if not sparse:
            source[block] = levels
        keys[block] = _hash(levels, targets[block])

    def contents(rows):
        levels = encoding.levels(X[rows].toarray()) if sparse else source[rows]
        return np.hstack([levels.astype(np.uint64), targets[rows]])

    order, starts = _groups(keys, weight, contents, width=X.shape[1] + targets.shape[1])
    rows = order[starts]
    counts = np.diff(np.append(starts, len(order)))
    weight = np.add.reduceat(weight[order], starts)
    return TrainingTable(source, encoding, rows, y[rows], weight, _copies(weight, counts))


def _groups(keys, weight, contents, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Put equal rows next to each other; where each group starts.

    Parameters
    ----------
    keys : uint64 array of shape (n, 2)
        Equal for equal rows, and seldom for others; they give the order.
    weight : float64 array of shape (n,)
        Rows of weight 0 are left out.
    contents : callable
        Row numbers to a uint64 array of shape (len(rows), width): what decides.

    Returns
    -------
    order, starts : int64 arrays
    """
    tie = np.zeros(len(keys), dtype=np.int64)
    while True:
        order = np.lexsort((weight, tie, *keys.T))  # sums of weights are rounded in one order
        order = order[weight[order] > 0]
        sorted_keys = np.column_stack([keys[order], tie[order].astype(np.uint64)])
        new = np.ones(len(order), dtype=bool)
        new[1:] = (sorted_keys[1:] != sorted_keys[:-1]).any(axis=1)
        strangers = _strangers(order, new, contents, width)
        if not len(strangers):
            return order, np.flatnonzero(new)
        # Rows of other contents under one key: told apart by these, whatever their order.
        met = order[np.isin(np.cumsum(new), np.cumsum(new)[strangers])]
        tie[met] = np.unique(contents(met), axis=0, return_inverse=True)[1].reshape(-1)


def _strangers(order, new, contents, width: int) -> np.ndarray:
    """Places in `order` whose key is that of the row before, but whose contents are not."""
    found, again = [], np.flatnonzero(~new)
    for block in row_blocks(len(again), width):
        places = again[block]
        differ = (contents(order[places]) != contents(order[places - 1])).any(axis=1)
        found.append(places[differ])
    return np.concatenate(found) if found else again


def _copies(weight: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How many rows each merged row stands for when rows are held out.

    Whole weights count repeated rows, in units of their common divisor.  Others say how much a
    row matters, and the rows themselves are counted.
    """
    if (weight == np.rint(weight)).all() and weight.max(initial=0) < 2**53:
        counts = weight / np.gcd.reduce(weight.astype(np.int64))
    # No more than are of use: each becomes an entry of an array.
    copies = counts / max(1.0, counts.sum() / max(_MOST_COPIES, len(counts)))
    return np.maximum(1, np.rint(copies)).astype(np.int64)


def _hash(levels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Two 64-bit sums of products modulo 2**64 for every row; `targets` are bits of floats."""
    width = levels.shape[1] + targets.shape[1]
    multipliers = np.random.RandomState(0).randint(0, 2**63, (width, 2), dtype=np.uint64) * 2 + 1
    # Mixed so that the low-order zeros of the target do not cancel.
    mixed = (targets ^ (targets >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = mixed ^ (mixed >> np.uint64(32))
    n = levels.shape[1]
    return levels.astype(np.uint64) @ multipliers[:n] + mixed @ multipliers[n:]


def hold_out(
    n_rows: int, n_held: int, *, labels: np.ndarray | None = None, random_state: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draw rows to hold back.

    Both parts have rows of every label where that can be; the only row of a label is never held
    back.

    Parameters
    ----------
    n_rows, n_held : int
        Counts of rows, of all and of those to hold back.
    labels : integer array of shape (n_rows,), optional
        Class indices; None draws whatever the rows are.
    random_state : int

    Returns
    -------
    kept, held : int arrays, ascending
        None where too few rows are left to train on.
    """
    rows, single, stratify = np.arange(n_rows), np.array([], dtype=np.intp), None
    if labels is not None:
        count = np.bincount(labels.reshape(-1))
        rows, single = np.flatnonzero(count[labels] > 1), np.flatnonzero(count[labels] == 1)
        if (count > 1).sum() <= min(n_held, len(rows) - n_held):
            stratify = labels[rows]
    if len(rows) <= n_held:
        return None
    kept, held = train_test_split(
        rows, test_size=n_held, random_state=random_state, stratify=stratify
    )
    return np.sort(np.concatenate([kept, single])), np.sort(held)
