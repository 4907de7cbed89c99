"""Modules on a GPU: pruned, proven, simulated and turned into integers where they are."""

import copy

import numpy as np
import pytest
import torch
from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8AccumulatorAwareWeightQuant
from oracles import fits
from skorch import NeuralNetClassifier
from torch import nn
from torch_modules import KINDS, Branches, LeNet, fit_under_lightning, inputs, trained, worst_cases

from qnnprune import prove
from qnnprune.nn import (
    AccumulatorPruner,
    AccumulatorPruning,
    accumulator_report,
    narrow_registers,
    to_integer_network,
)

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def on_gpu(kind):
    own = trained(kind())
    return copy.deepcopy(own).to(DEVICE), own


def assert_on_gpu(module):
    assert {tensor.device.type for tensor in module.state_dict().values()} == {DEVICE}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("criterion", ["l1", "activation", "neuron_l2", "neuron_redundancy"])
def test_pruning_and_proof(kind, criterion):
    for there in (False, True):
        module, _ = on_gpu(kind)
        rows = inputs(module, 60).to(DEVICE if there else "cpu")
        pruner = AccumulatorPruner(module, 12, criterion=criterion, rows=rows)
        for progress in (0.1, 0.3, 0.7, 1.0):
            pruner.step(progress)
            pruner.keep_zeros()
        assert_on_gpu(module)
        ranges = [pair for each in worst_cases(module).values() for pair in each]
        assert all(fits(low, high, 12) for low, high in ranges)
        report = accumulator_report(module, n_accum_bits=12, example=rows)
        assert [row["proven_range"] for row in report.rows] == [
            row["proven_range"] for row in pruner.report().rows
        ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("there", [False, True])
def test_integer_networks(kind, there):
    module, same = on_gpu(kind)
    rows = inputs(same, 100)
    network = to_integer_network(module, rows.to(DEVICE if there else "cpu"))
    own = to_integer_network(same, rows)
    np.testing.assert_allclose(network.decision(rows.numpy()), own.decision(rows.numpy()), 1e-6)
    assert network.proven_bits == own.proven_bits
    assert_on_gpu(module)
    with torch.no_grad():
        output = module(rows.to(DEVICE))
    output = output if isinstance(output, torch.Tensor) else output.value
    close = np.isclose(network.decision(rows.numpy()), output.cpu().numpy(), 1e-4, 1e-4)
    assert close.all(axis=1).mean() > 0.9  # but for ties


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_registers(kind, mode):
    module, same = on_gpu(kind)
    rows = inputs(same, 50)
    outputs, counts = [], []
    for each, taken in ((module, rows.to(DEVICE)), (same, rows)):
        with torch.no_grad(), narrow_registers(each, rows, n_accum_bits=6, mode=mode) as overflows:
            output = each(taken)
        outputs.append((output if isinstance(output, torch.Tensor) else output.value).cpu().numpy())
        counts.append(sum(int(count.sum()) for count in overflows.values()))
    assert counts[0] == pytest.approx(counts[1], rel=0.02) and counts[0] > 0
    if kind is not Branches:  # whose ties float rounding decides
        assert np.isclose(*outputs, 1e-3, 1e-3).all(axis=1).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_audit(kind):
    module, same = on_gpu(kind)
    shape = (1, *same.shape)
    found, expected = (prove(m, 8, input_shape=shape, n_tries=20) for m in (module, same))
    assert [p.name for p in found.accumulators] == [p.name for p in expected.accumulators]
    for mine, theirs in zip(found.accumulators, expected.accumulators, strict=True):
        np.testing.assert_array_equal(mine.sum_range, theirs.sum_range)
        assert mine.holds == theirs.holds
    assert [u.name for u in found.unknown] == [u.name for u in expected.unknown]
    assert_on_gpu(module)


def test_audit_of_what_lies_outside_brevitas():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 8)).to(DEVICE)
    proof = prove(module, 8, input_shape=(1, 1, 4, 4))
    assert [unknown.name for unknown in proof.unknown] == ["0", "2"]


def test_weights_that_bound_their_sums():
    module = nn.Sequential(
        QuantIdentity(bit_width=4, return_quant_tensor=True),
        QuantLinear(
            12, 6, bias=False, weight_bit_width=4, weight_quant=Int8AccumulatorAwareWeightQuant
        ),
        QuantReLU(bit_width=3),
    ).to(DEVICE)
    rows = torch.randn(20, 12)
    module(rows.to(DEVICE))
    module[1].weight_quant.cache_inference_quant_act = True
    module.eval()(rows.to(DEVICE))
    network = to_integer_network(module, rows)
    with torch.no_grad():
        output = module(rows.to(DEVICE)).cpu().numpy()
    assert np.isclose(network.decision(rows.numpy()), output, 1e-4, 1e-4).all(axis=1).mean() > 0.9
    assert accumulator_report(module, n_accum_bits=16).rows


@pytest.mark.filterwarnings("ignore")
def test_lightning():
    pytest.importorskip("pytorch_lightning")
    from qnnprune.nn import LightningPruning, _lightning

    package = _lightning.Callback.__module__.rpartition(".callbacks")[0]
    lightning = pytest.importorskip(package)

    rows, labels = torch.randn(64, 1, 12, 12), torch.arange(64) % 4
    pruning = LightningPruning(8, module="net", criterion="activation", rows=rows)
    fit_under_lightning(lightning, pruning, rows, labels, accelerator="gpu", devices=1)
    assert max(pruning.pruner.report().to_dict()["proven_bits"]) <= 8


def test_skorch():
    torch.manual_seed(0)
    X = torch.randn(200, 1, 12, 12).numpy()
    y = X[:, 0, 3, :4].argmax(axis=1)
    net = NeuralNetClassifier(
        LeNet,
        criterion=nn.CrossEntropyLoss,
        max_epochs=5,
        verbose=0,
        device=DEVICE,
        callbacks=[("pruning", AccumulatorPruning(8, criterion="activation"))],
    ).fit(X, y)
    ranges = [pair for each in worst_cases(net.module_).values() for pair in each]
    assert all(fits(low, high, 8) for low, high in ranges)
    network = to_integer_network(net.module_, X, classes=net.classes_)
    assert np.mean(network.predict(X) == net.predict(X)) > 0.97
