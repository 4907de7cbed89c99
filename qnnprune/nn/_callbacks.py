"""Pruning as a callback of skorch: in every training epoch, up to the proof."""

from __future__ import annotations

import numpy as np
import torch
from skorch.callbacks import Callback

from ._pruner import AccumulatorPruner

__all__ = ["AccumulatorPruning"]


class AccumulatorPruning(Callback):
    """Prunes the module of a skorch net while it trains.

    Put it before callbacks that score or keep checkpoints at the end of an epoch.  The last
    40 % of the epochs end with all limits respected.

    Parameters
    ----------
    n_accum_bits : int
        Width of every register, in bits.
    input_range : array-like of int, optional
    schedule, criterion : str
    multiplier, sparsity : float, optional
    neuron_sparsity : float
    per_layer : dict of str to dict, optional
    rows : tensor, optional
        By default the first 1024 of X where X is an array.
    random_state : int
        All as in `AccumulatorPruner`.

    Attributes
    ----------
    report_ : AccumulatorReport
        The proof, once training has ended.

    Examples
    --------
    >>> from skorch import NeuralNetClassifier
    >>> from brevitas.nn import QuantIdentity, QuantLinear
    >>> from torch import nn
    >>> module = nn.Sequential(QuantIdentity(bit_width=4), QuantLinear(8, 2, bias=True))
    >>> X = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    >>> pruning = AccumulatorPruning(n_accum_bits=12)
    >>> net = NeuralNetClassifier(
    ...     module, criterion=nn.CrossEntropyLoss, callbacks=[pruning], max_epochs=5, verbose=0
    ... ).fit(X, (X[:, 0] > 0).astype(int))
    >>> dict(net.callbacks_)["AccumulatorPruning"].report_.rows[0]["proven_bits"] <= 12
    True
    """

    def __init__(
        self,
        n_accum_bits=8,
        input_range=None,
        schedule="gradual",
        criterion="l1",
        multiplier=None,
        sparsity=None,
        neuron_sparsity=0.5,
        per_layer=None,
        rows=None,
        random_state=0,
    ):
        self.n_accum_bits = n_accum_bits
        self.input_range = input_range
        self.schedule = schedule
        self.criterion = criterion
        self.multiplier = multiplier
        self.sparsity = sparsity
        self.neuron_sparsity = neuron_sparsity
        self.per_layer = per_layer
        self.rows = rows
        self.random_state = random_state

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Look at the module."""
        options = {**self.get_params(), "rows": _rows(self.rows, X, net)}
        self.pruner_ = AccumulatorPruner(net.module_, **options)
        self.begun_, self.pruned_ = len(net.history), False

    def on_epoch_begin(self, net, **kwargs):
        """Weights are going to move."""
        self.pruned_ = False

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Prune before the first validation batch sees the module."""
        if not training:
            self._prune(net)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Keep pruned weights at 0."""
        if training:
            self.pruner_.keep_zeros()

    def on_epoch_end(self, net, **kwargs):
        """Prune, where no validation batch came."""
        self._prune(net)

    def on_train_end(self, net, **kwargs):
        """Prove all sums."""
        self.pruner_.step(1.0)
        self.report_ = self.pruner_.report()

    def _prune(self, net):
        if not self.pruned_:
            self.pruner_.step((len(net.history) - self.begun_) / net.max_epochs)
            self.pruned_ = True

    def __getstate__(self):
        # It refers to the module, which the net keeps.
        return {name: value for name, value in vars(self).items() if name != "pruner_"}


def _rows(given, X, net):
    rows = X if given is None else given
    if rows is None or not hasattr(rows, "shape"):
        return None
    rows = rows[:1024]
    rows = rows if isinstance(rows, torch.Tensor) else torch.from_numpy(np.asarray(rows))
    return rows.to(net.device)
