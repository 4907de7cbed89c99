"""Modules of Brevitas layers: codes and sums as the layers themselves have them."""

import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int32Bias,
    SignedBinaryActPerTensorConst,
)
from torch import nn

from qnnprune import prove


def trained(module, shape):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(3):
            module(torch.randn(8, *shape[1:]))
    return module.eval()


def make():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            qnn.QuantIdentity(bit_width=4),
            qnn.QuantConv2d(2, 4, 3, padding=1, groups=2, weight_bit_width=3),
            nn.BatchNorm2d(4),
            qnn.QuantReLU(bit_width=3, return_quant_tensor=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            qnn.QuantLinear(64, 6, bias=True, weight_bit_width=2, bias_quant=Int32Bias),
            qnn.QuantReLU(bit_width=2),
            nn.Dropout(0.2),
            qnn.QuantLinear(6, 3, bias=False, weight_bit_width=4),
        )


def integers(layer):
    weight = layer.quant_weight()
    return torch.round(weight.value / weight.scale).detach().numpy().astype(int)


def ends(rows, low, high):
    return [[sum(f(w * low, w * high) for w in row.tolist()) for f in (min, max)] for row in rows]


def test_layers_of_brevitas():
    module = trained(make(), (1, 2, 8, 8))
    proof = prove(module, 7, input_shape=(1, 2, 8, 8), n_tries=300)
    assert [layer.name for layer in proof.accumulators] == ["1", "6", "9"]
    conv, linear, last = proof.accumulators
    assert conv.input_range == (-8, 7)
    assert conv.sum_range.tolist() == ends(integers(module[1]).reshape(4, -1), -8, 7)
    assert linear.input_range == (0, 7) and linear.n_terms == 64
    assert last.sum_range.tolist() == ends(integers(module[9]), 0, 3)
    spans = np.diff(linear.sum_range, axis=1).ravel()
    assert spans.tolist() == (7 * np.abs(integers(module[6])).sum(axis=1)).tolist()
    assert not proof.unknown
    assert not module.training and module[0].return_quant_tensor is False


def test_an_input_of_the_module_overflows_in_the_module():
    module = trained(make(), (1, 2, 8, 8))
    layer = prove(module, 7, input_shape=(1, 2, 8, 8), n_tries=300).accumulators[0]
    x = torch.as_tensor(layer.witness.inputs["input"])
    quantized = module[0].act_quant(x)
    codes = torch.round(quantized.value / quantized.scale).detach().double()
    group = layer.witness.neuron // 2
    weight = torch.as_tensor(integers(module[1])[layer.witness.neuron]).double()[None]
    terms = nn.functional.unfold(codes[:, group : group + 1], 3, padding=1)[0] * weight.reshape(
        -1, 1
    )
    found = {int(terms.clamp(max=0).sum(0).min()), int(terms.clamp(min=0).sum(0).max())}
    assert layer.witness.input_bound in found
    assert not -64 <= layer.witness.input_bound <= 63


class Outside(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = qnn.QuantLinear(
            4,
            3,
            bias=False,
            input_quant=Int8ActPerTensorFloat,
            weight_quant=Int8WeightPerChannelFloat,
        )
        self.plain = qnn.QuantLinear(3, 3, bias=False)
        self.dense = nn.Linear(3, 3)

    def forward(self, x):
        x = self.dense(self.plain(self.layer(x)))
        return x @ x.T


def test_sums_outside_are_unknown():
    module = trained(Outside(), (1, 4))
    proof = prove(module, 32, input_shape=(1, 4))
    assert [layer.name for layer in proof.accumulators] == ["layer"]
    assert proof.accumulators[0].input_range == (-128, 127)
    assert {unknown.name for unknown in proof.unknown} == {"plain", "dense", "Outside"}
    assert proof.holds is None


@pytest.mark.parametrize(("quantizer", "codes"), [
    (qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, min_val=-1, max_val=1), (-1, 1)),
    (qnn.QuantIdentity(bit_width=2, narrow_range=True), (-1, 1)),
    (qnn.QuantIdentity(bit_width=2), (-2, 1)),
    (qnn.QuantReLU(bit_width=2), (0, 3)),
])  # fmt: skip
def test_codes_of_quantizers(quantizer, codes):
    module = trained(nn.Sequential(quantizer, qnn.QuantLinear(4, 2, bias=False)), (1, 4))
    assert prove(module, input_shape=(1, 4)).accumulators[0].input_range == codes


def test_mistakes():
    with pytest.raises(ValueError, match="input_shape=None"):
        prove(make())
    with pytest.raises(ValueError, match=r"does not run on input_shape=\(1, 5\)"):
        prove(trained(make(), (1, 2, 8, 8)), input_shape=(1, 5))
    with pytest.raises(ValueError, match="input_range='uint8'"):
        prove(make(), input_shape=(1, 2, 8, 8), input_range="uint8")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["export_qonnx", "export_onnx_qcdq"])
def test_exports_of_brevitas_have_the_same_ranges(name, tmp_path):
    pytest.importorskip("onnxoptimizer")  # Brevitas's exporters need it
    from brevitas import export

    module = trained(make(), (1, 2, 8, 8))
    wanted = prove(module, input_shape=(1, 2, 8, 8))
    path = tmp_path / "model.onnx"
    getattr(export, name)(module, torch.zeros(1, 2, 8, 8), str(path), dynamo=False)
    proof = prove(path)
    assert not proof.unknown
    for found, layer in zip(proof.accumulators, wanted.accumulators, strict=True):
        assert (found.sum_range == layer.sum_range).all()
        assert (found.partial_range == layer.partial_range).all()


class Around(nn.Module):
    """A proven layer, and another one of which the first result counts."""

    def __init__(self, layer, n_inputs=1):
        super().__init__()
        self.quant, self.known = qnn.QuantIdentity(bit_width=4), qnn.QuantLinear(4, 4, bias=False)
        self.again, self.inner, self.n_inputs = qnn.QuantIdentity(bit_width=4), layer, n_inputs

    def forward(self, x):
        result = self.inner(*[self.again(self.known(self.quant(x)))] * self.n_inputs)
        return result[0] if isinstance(result, tuple) else result


SUMMING = {
    "LSTM": Around(nn.LSTM(4, 3)),
    "GRU": Around(nn.GRU(4, 3)),
    "MultiheadAttention": Around(nn.MultiheadAttention(4, 2), 3),
    "TransformerEncoderLayer": Around(nn.TransformerEncoderLayer(4, 2, 8)),
    "Linear": Around(nn.Linear(4, 3)),
    "ConvTranspose1d": Around(nn.ConvTranspose1d(5, 3, 2)),
    "Bilinear": Around(nn.Bilinear(4, 4, 3), 2),
    "QuantConvTranspose1d": Around(qnn.QuantConvTranspose1d(5, 3, 2)),
    "QuantLSTM": Around(qnn.QuantLSTM(4, 3)),
}


@pytest.mark.parametrize("kind", SUMMING)
def test_layers_that_are_not_read_are_unknown_by_name(kind):
    module = SUMMING[kind]
    module(torch.randn(20, 5, 4))
    proof = prove(module.eval(), 16, input_shape=(1, 5, 4), n_tries=0)
    assert proof.holds is None
    assert {unknown.name.split(".")[0] for unknown in proof.unknown} == {"inner"}
    assert "known" in [layer.name for layer in proof.accumulators]


def test_products_of_computed_values_are_unknown():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant = qnn.QuantIdentity(bit_width=4)

        def forward(self, x):
            x = self.quant(x)
            return x @ x.transpose(1, 2)  # which Brevitas tensors do not have

    proof = prove(Net().eval(), 16, input_shape=(1, 5, 4))
    assert proof.holds is None and [unknown.op for unknown in proof.unknown] == ["bmm"]


def test_layers_without_products_have_nothing_to_prove():
    module = nn.Sequential(qnn.QuantIdentity(bit_width=4), nn.GroupNorm(2, 4)).eval()
    with pytest.raises(ValueError, match="sums no products"):
        prove(module, 16, input_shape=(1, 4))
