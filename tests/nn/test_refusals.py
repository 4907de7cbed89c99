"""Layers without an integer form: refused by name, with a way out, wherever a module is taken."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8AccumulatorAwareZeroCenterWeightQuant
from torch import nn
from torch.nn import functional as F

from qnnprune import prove
from qnnprune.exceptions import UnsupportedModuleError
from qnnprune.nn import (
    AccumulatorPruner,
    AccumulatorPruning,
    accumulator_report,
    narrow_registers,
    to_integer_network,
)


class Around(nn.Module):
    """A quantizer, the layer `inner`, of which the first result counts, and a linear layer."""

    def __init__(self, layer, n_inputs=1):
        super().__init__()
        self.quant, self.inner, self.n_inputs = qnn.QuantIdentity(bit_width=4), layer, n_inputs
        self.out = qnn.QuantLinear(4, 2, False)

    def forward(self, x):
        result = self.inner(*[self.quant(x)] * self.n_inputs)
        return self.out(result if self.n_inputs == 1 else result[0])


class Recurrent(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.quant, self.inner = qnn.QuantIdentity(bit_width=4), layer

    def forward(self, x):
        return self.inner(self.quant(x))[0]


class Lookup(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.inner, self.out = layer, qnn.QuantLinear(4, 2, False)

    def forward(self, x):
        return self.out(self.inner(x))


IMAGES, STEPS, NUMBERS = (3, 4, 6, 6), (3, 5, 4), (3, 4)
LAYERS = {
    "ConvTranspose2d": (Around(nn.ConvTranspose2d(4, 4, 3)), IMAGES, "Enlarge its input outside"),
    "QuantConvTranspose1d": (Around(qnn.QuantConvTranspose1d(4, 4, 3)), STEPS, "Enlarge its"),
    "QuantConvTranspose2d": (Around(qnn.QuantConvTranspose2d(4, 4, 3)), IMAGES, "Enlarge its"),
    "Conv3d": (Around(nn.Conv3d(4, 4, 2)), (3, 4, 3, 3, 3), "Use QuantConv2d"),
    "Conv2d": (Around(nn.Conv2d(4, 4, 3)), IMAGES, "use Brevitas's QuantConv2d"),
    "Linear": (Around(nn.Linear(4, 4)), NUMBERS, "use Brevitas's QuantLinear"),
    "LSTM": (Recurrent(nn.LSTM(4, 3)), STEPS, "QuantConv1d over the time steps"),
    "GRU": (Recurrent(nn.GRU(4, 3)), STEPS, "QuantConv1d over the time steps"),
    "RNN": (Recurrent(nn.RNN(4, 3)), STEPS, "QuantConv1d over the time steps"),
    "QuantLSTM": (Recurrent(qnn.QuantLSTM(4, 3)), STEPS, "QuantConv1d over the time steps"),
    "MultiheadAttention": (Around(nn.MultiheadAttention(4, 2), 3), STEPS, "keep it outside"),
    "QuantMultiheadAttention": (
        Around(qnn.QuantMultiheadAttention(4, 2), 3), STEPS, "keep it outside"
    ),
    "TransformerEncoderLayer": (
        Around(nn.TransformerEncoderLayer(4, 2, 8)), STEPS, "keep it outside"
    ),
    "Embedding": (Lookup(nn.Embedding(9, 4)), (3, 2), "Look vectors up outside"),
    "QuantEmbedding": (Lookup(qnn.QuantEmbedding(9, 4)), (3, 2), "Look vectors up outside"),
    "GroupNorm": (Around(nn.GroupNorm(2, 4)), NUMBERS, "use batch normalisation"),
    "LayerNorm": (Around(nn.LayerNorm(4)), NUMBERS, "use batch normalisation"),
    "InstanceNorm2d": (Around(nn.InstanceNorm2d(4)), IMAGES, "use batch normalisation"),
    "LocalResponseNorm": (Around(nn.LocalResponseNorm(2)), IMAGES, "use batch normalisation"),
    "Upsample": (Around(nn.Upsample(scale_factor=2)), IMAGES, "Supported are"),
    "PixelShuffle": (Around(nn.PixelShuffle(2)), IMAGES, "Supported are"),
    "Softmax": (Around(nn.Softmax(1)), NUMBERS, "Leave it to the loss"),
    "AdaptiveMaxPool2d": (Around(nn.AdaptiveMaxPool2d(1)), IMAGES, "size of the window"),
}  # fmt: skip


def narrowed(module, rows):
    with narrow_registers(module, rows, n_accum_bits=8):
        pass


def pruned_by_callback(module, rows):
    from skorch import NeuralNet

    callbacks = [("pruning", AccumulatorPruning(n_accum_bits=8))]
    net = NeuralNet(module, nn.MSELoss, max_epochs=1, verbose=0, callbacks=callbacks)
    net.fit(rows, torch.zeros(len(rows), 2))


FACES = {
    "to_integer_network": to_integer_network,
    "AccumulatorPruner": lambda module, rows: AccumulatorPruner(module, 8, rows=rows),
    "accumulator_report": lambda module, rows: accumulator_report(module, example=rows),
    "narrow_registers": narrowed,
    "AccumulatorPruning": pruned_by_callback,
}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_layer_and_a_way_out_are_named(kind, face):
    module, shape, way_out = LAYERS[kind]
    rows = torch.zeros(shape)
    with pytest.raises(UnsupportedModuleError, match=f"Layer 'inner' is a {kind}, .*{way_out}"):
        FACES[face](module.eval(), rows)


FUNCTIONS = {
    "scaled_dot_product_attention": (lambda x: F.scaled_dot_product_attention(x, x, x), "outside"),
    "matmul": (lambda x: torch.matmul(x, x), "outside"),
    "bmm": (lambda x: torch.bmm(x, x), "outside"),
    "layer_norm": (lambda x: F.layer_norm(x, (4,)), "use batch normalisation"),
    "softmax": (lambda x: F.softmax(x, 1), "Leave it to the loss"),
    "interpolate": (lambda x: F.interpolate(x, scale_factor=2), "Supported are"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_refused_alike(name):
    function, way_out = FUNCTIONS[name]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant = qnn.QuantIdentity(bit_width=4)

        def forward(self, x):
            return function(self.quant(x))

    with pytest.raises(UnsupportedModuleError, match=f"calls {name}, .*{way_out}"):
        to_integer_network(Net().eval(), torch.zeros(2, 4, 4))


def test_a_module_that_does_not_run_on_the_example():
    module = nn.Sequential(qnn.QuantIdentity(bit_width=4), qnn.QuantLinear(4, 2, False))
    with pytest.raises(ValueError, match=r"does not run on rows of shape \(1, 5\)"):
        to_integer_network(module.eval(), torch.zeros(2, 5))


class BoundedSums(nn.Module):
    """A linear layer of A2Q+, whose sums fit 9 bits."""

    def __init__(self):
        super().__init__()
        self.quant = qnn.QuantIdentity(bit_width=4, return_quant_tensor=True)
        self.out = qnn.QuantLinear(
            6, 3, False, weight_quant=Int8AccumulatorAwareZeroCenterWeightQuant,
            weight_bit_width=4, weight_accumulator_bit_width=9,
        )  # fmt: skip

    def forward(self, x):
        return self.out(self.quant(x))


def test_weights_that_depend_on_the_width_of_the_input_are_taken_once_it_is_known():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, rows = BoundedSums(), torch.randn(40, 6)
    module(rows)
    module.eval()
    for convert in (to_integer_network, accumulator_report):
        with pytest.raises(UnsupportedModuleError, match="'out'.*cache_inference_quant_act"):
            convert(module, example=rows[:1])
    with pytest.raises(UnsupportedModuleError, match="'out' cannot be pruned.*weight_quant"):
        AccumulatorPruner(module, 9)
    unknown = prove(module, 9, input_shape=(1, 6)).unknown
    assert [(each.name, "cache_inference" in each.reason) for each in unknown] == [("out", True)]

    module.out.weight_quant.cache_inference_quant_act = True
    expected = module(rows).detach().numpy()
    network = to_integer_network(module, rows[:1])
    assert network.proven_bits <= 9
    np.testing.assert_allclose(network.decision(rows.numpy()), expected, rtol=1e-5, atol=1e-6)
    assert prove(module, 9, input_shape=(1, 6)).holds
