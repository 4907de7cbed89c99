"""Fits that are watched or interrupted, and what must hold after them."""

import numpy as np
import oracles
from skorch.callbacks import Callback

from qnnprune import PrunedNeuralNetClassifier

ACCUM_BITS = 5


def make(**changes):
    settings = {"n_accum_bits": ACCUM_BITS, "max_epochs": 10, "random_state": 0} | changes
    return PrunedNeuralNetClassifier((16, 8), **settings)


def assert_proven(model):
    network = model.integer_network_
    assert oracles.widest(network) <= ACCUM_BITS
    assert all(np.abs(layer.weight).max() <= 1 for layer in network.layers)


class Recorder(Callback):
    """Keeps every epoch's weights, and whether they respect the final limits."""

    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, net, **kwargs):
        state = {k: v.detach().clone().numpy() for k, v in net.module_.state_dict().items()}
        self.epochs.append((net.progress >= 1, state))


def assert_same_state(model, state):
    for key, value in model.module_.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key], err_msg=key)


def quantizers(model):
    return [linear.weight_quant.tensor_quant for linear in model.module_.linears]


class Interrupt(Callback):
    """Ctrl-C at one moment of one epoch."""

    def __init__(self, epoch, moment="on_batch_end", batch=2, error=KeyboardInterrupt):
        self.epoch, self.moment, self.batch, self.error = epoch, moment, batch, error

    def on_batch_end(self, net, training=False, **kwargs):
        self._raise("on_batch_end", net, len(net.history[-1]["batches"]) == self.batch)

    def on_grad_computed(self, net, **kwargs):
        self._raise("on_grad_computed", net, len(net.history[-1]["batches"]) == self.batch)

    def on_epoch_begin(self, net, **kwargs):
        self._raise("on_epoch_begin", net)

    def on_train_begin(self, net, **kwargs):
        if self.moment == "on_train_begin":
            raise self.error

    def _raise(self, moment, net, now=True):
        if moment == self.moment and now and len(net.history) == self.epoch:
            raise self.error
