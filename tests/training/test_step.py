"""The written-out step against autograd: of the module itself, and of stock Brevitas layers."""

import numpy as np
import pytest
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.nn import QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from torch import nn
from torch.nn import functional

from qnnprune.encoding._fit import fit_encoding
from qnnprune.training.activations import ACTIVATIONS
from qnnprune.training.losses import (
    LOSSES,
    binary_loss,
    huber_loss,
    loss_of,
    multiclass_loss,
    squared_loss,
)
from qnnprune.training.module import PrunableMLP
from qnnprune.training.spec import NetworkShape
from qnnprune.training.step import TrainingStep

N_ROWS = 40


def make(
    activation="relu",
    n_w_bits=3,
    n_a_bits=3,
    n_outputs=3,
    hidden=(12, 7),
    n_rounding_bits=0,
    n_output_sums=1,
    skips=False,
    n_members=1,
):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(N_ROWS, 4)), np.arange(N_ROWS) % 2])
    encoding = fit_encoding(X.T, None, n_segments=2, n_bits=2)
    shape = NetworkShape(
        hidden, n_outputs, activation, n_w_bits, n_a_bits, n_rounding_bits, n_output_sums, skips,
        n_members,
    )  # fmt: skip
    network = PrunableMLP(encoding, shape).seed(0).train()
    with torch.no_grad():
        for layer in network.hidden:
            layer.norm.weight.normal_()
            layer.norm.bias.normal_()
        network.output.gain.normal_()
        if n_w_bits is not None:
            for linear in network.linears:
                mask = linear.weight_quant.tensor_quant.mask
                mask *= torch.bernoulli(torch.full_like(mask, 0.7))
    return network, torch.from_numpy(encoding.levels(X))


def targets(loss, n_outputs):
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(N_ROWS, generator=generator)
    if loss in (squared_loss, huber_loss):
        return torch.randn(N_ROWS, n_outputs, generator=generator), weight
    return torch.randint(0, max(2, n_outputs), (N_ROWS,), generator=generator), weight


def step(network, loss, levels, y, weight, dropout=0.0, seed=0):
    return TrainingStep(network, loss, dropout, np.random.PCG64(seed))(
        network.input(levels), y, weight
    )


@pytest.mark.parametrize("loss", [*LOSSES, "quantile"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_rounding_bits": 1, "n_output_sums": 3},
        {"skips": True},
        {"n_output_sums": 6, "n_members": 3},
    ],
)
def test_all_of_a_step_happens_where_the_module_is(loss, options):
    """On a device without numbers, where a tensor that was left on the CPU raises an error."""
    n_outputs = 1 if loss == "binary" else 3
    network, levels = make(n_outputs=n_outputs, n_a_bits=4, **options)
    network.to("meta")
    for layer in network.hidden:
        layer.rounds = True
    y = torch.zeros(N_ROWS) if loss in ("binary", "multiclass") else torch.zeros(N_ROWS, n_outputs)
    y, weight = y.to("meta").to(torch.int64), torch.ones(N_ROWS, device="meta")
    found, output = step(network, loss_of(loss, (0.5,)), levels, y, weight, dropout=0.2)
    assert {found.device.type, output.device.type} == {"meta"}
    assert {p.grad.device.type for p in network.parameters()} == {"meta"}
    assert network.input(levels).device.type == "meta"


@pytest.mark.parametrize("dense_gradient", [False, True])
@pytest.mark.parametrize(("n_sums", "skips"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("bits", [(2, 1), (2, 2), (3, 4), (8, 8), (None, None)])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_step_equals_autograd_through_the_module(activation, bits, n_sums, skips, dense_gradient):
    if skips and bits == (2, 1):
        bits = (2, 5)  # input codes have 2 bits
    network, levels = make(activation, *bits, n_output_sums=n_sums, skips=skips)
    same, _ = make(activation, *bits, n_output_sums=n_sums, skips=skips)
    same.load_state_dict(network.state_dict())
    if bits[0] is not None:
        for linear in (*network.linears, *same.linears):
            linear.weight_quant.tensor_quant.dense_gradient = dense_gradient
    y, weight = targets(multiclass_loss, 3)
    output = same(levels)
    assert output.shape == (N_ROWS, 3) and len(same.output.linear.weight) == 3 * n_sums
    output.backward(multiclass_loss(output.detach().clone(), y, weight)[1])
    _, mine = step(network, multiclass_loss, levels, y, weight)
    torch.testing.assert_close(mine, output.detach(), rtol=0, atol=0)
    for (name, p), expected in zip(network.named_parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(p.grad, expected.grad, msg=name)
        assert expected.grad.abs().max() > 0
    for mine, theirs in zip(network.hidden, same.hidden, strict=True):
        for moment in ("running_mean", "running_var"):
            assert torch.equal(getattr(mine.norm, moment), getattr(theirs.norm, moment))


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("loss", ["multiclass", "squared_error", "huber"])
@pytest.mark.parametrize(("n_sums", "hidden"), [(3, (12, 7)), (3, (12, 9)), (6, (9,)), (6, ())])
def test_members_learn_each_for_itself(n_sums, hidden, loss, skips):
    """Against autograd of the mean of their losses, with logits put together from rows here."""
    if skips and not hidden:
        return
    options = {"hidden": hidden, "n_output_sums": n_sums, "skips": skips, "n_members": 3}
    network, levels = make(n_w_bits=2, n_a_bits=3, **options)
    same, _ = make(n_w_bits=2, n_a_bits=3, **options)
    same.load_state_dict(network.state_dict())
    y, weight = targets(LOSSES[loss].step, 3)
    seen = []
    same.output.linear.register_forward_hook(lambda layer, given, sums: seen.append(sums))
    predicted = same(levels)
    n_each, total = 3 * n_sums // 3, 0
    members = []
    y3, weight3 = torch.cat([y, y, y]), torch.cat([weight, weight, weight])
    for member in range(3):
        rows = seen[0][:, member * n_each : (member + 1) * n_each]
        logits = sum(rows[:, 3 * s : 3 * s + 3] for s in range(n_sums // 3))
        members.append(same.output.bias + 3 * same.output.gain * logits)
        if loss != "huber":
            value, gradient = LOSSES[loss](members[-1].detach().clone(), y, weight)
            total = total + value / 3
            members[-1].backward(gradient / 3, retain_graph=True)
    if loss == "huber":  # one width for the residuals of all
        total, gradient = LOSSES[loss](torch.cat(members).detach(), y3, weight3)
        torch.cat(members).backward(gradient)
    torch.testing.assert_close(sum(members) / 3, predicted)
    found, mine = step(network, LOSSES[loss], levels, y, weight)
    torch.testing.assert_close(found, total)
    torch.testing.assert_close(mine, predicted.detach())
    for (name, p), expected in zip(network.named_parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(p.grad, expected.grad, msg=name)
        assert expected.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("loss", "n_outputs"), [(binary_loss, 1), (multiclass_loss, 4), (squared_loss, 2)]
)
@pytest.mark.parametrize(("n_sums", "skips"), [(1, False), (3, False), (2, True)])
def test_gradients_are_those_of_finite_differences(loss, n_outputs, n_sums, skips):
    # Without quantization the loss is smooth, so that differences tell.
    network, levels = make("tanh", None, None, n_outputs, n_output_sums=n_sums, skips=skips)
    network = network.double()
    y, weight = targets(loss, n_outputs)
    weight = weight.double()
    step(network, loss, levels, y, weight)
    for name, p in list(network.named_parameters()):
        analytic = p.grad.flatten()
        for index in (0, p.numel() // 2, p.numel() - 1):
            values = []
            for change in (1e-5, -1e-5):
                with torch.no_grad():
                    p.view(-1)[index] += change
                    values.append(loss(network(levels), y, weight)[0].item())
                    p.view(-1)[index] -= change
            numeric = (values[0] - values[1]) / 2e-5
            assert analytic[index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-7), name


def stock_network(network, n_w_bits, n_a_bits):
    """The same network of plain Brevitas and torch layers, with the scales held constant."""

    class Activation(Uint8ActPerTensorFloat):
        scaling_impl_type = ScalingImplType.CONST
        bit_width = n_a_bits
        scaling_init = 2.0

    layers = []
    for layer in (*network.hidden, network.output):
        scale = layer.linear.weight_quant.tensor_quant.scale[0, 0].item()

        class Weight(Int8WeightPerTensorFloat):
            scaling_impl_type = ScalingImplType.CONST
            bit_width = n_w_bits
            narrow_range = True
            scaling_init = scale * (2 ** (n_w_bits - 1) - 1)

        n_out, n_in = layer.linear.weight.shape
        linear = QuantLinear(n_in, n_out, bias=False, weight_quant=Weight)
        linear.weight.data.copy_(layer.linear.weight)
        layers.append(linear)
        if hasattr(layer, "norm"):
            norm = nn.BatchNorm1d(n_out)
            norm.load_state_dict(layer.norm.state_dict())
            layers += [norm, QuantReLU(act_quant=Activation)]
    return nn.Sequential(*layers).train()


@pytest.mark.parametrize("n_bits", [2, 3, 4, 8])
def test_step_equals_a_network_of_stock_brevitas_layers(n_bits):
    network, levels = make("relu", n_bits, n_bits)
    for linear in network.linears:  # as stock: one scale for all rows, nothing pruned
        quantizer = linear.weight_quant.tensor_quant
        quantizer.scale.fill_(2.0**-n_bits)
        quantizer.mask.fill_(1)
    network.output.gain.data.fill_(1)
    network.output.bias.data.fill_(0)
    stock = stock_network(network, n_bits, n_bits)
    y, weight = targets(multiclass_loss, 3)
    output = stock(network.input(levels))
    (functional.cross_entropy(output, y, reduction="none") * weight).mean().backward()
    _, mine = step(network, multiclass_loss, levels, y, weight)
    torch.testing.assert_close(mine, output.detach(), rtol=1e-5, atol=1e-5)
    extra = ("output.gain", "output.bias")
    ours = [p.grad for name, p in network.named_parameters() if name not in extra]
    for mine, theirs in zip(ours, stock.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.grad, rtol=1e-4, atol=1e-6)


def test_dropout_leaves_out_that_share_and_keeps_the_mean():
    network, _ = make()
    x = torch.ones(2000, 10)
    stepper = TrainingStep(network, multiclass_loss, 0.25, np.random.PCG64(0))
    dropped = stepper._drop(x)
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (dropped == 0).double().mean().item() == pytest.approx(0.25, abs=0.01)
    # Every code of every row is drawn for itself.
    shares = (dropped == 0).double().mean(dim=0)
    assert shares.min() > 0.2 and shares.max() < 0.3
    again = TrainingStep(network, multiclass_loss, 0.25, np.random.PCG64(0))._drop(x)
    torch.testing.assert_close(again, dropped, rtol=0, atol=0)


def test_step_equals_autograd_where_sums_are_rounded():
    (network, levels), (same, _) = make(n_rounding_bits=2), make(n_rounding_bits=2)
    same.load_state_dict(network.state_dict())
    y, weight = targets(multiclass_loss, 3)
    before = step(network, multiclass_loss, levels, y, weight)[1]
    for layer in (*network.hidden, *same.hidden):
        layer.rounds = True
    output = same(levels)
    output.backward(multiclass_loss(output.detach().clone(), y, weight)[1])
    _, mine = step(network, multiclass_loss, levels, y, weight)
    torch.testing.assert_close(mine, output.detach(), rtol=0, atol=0)
    assert not torch.allclose(mine, before)
    for (name, p), expected in zip(network.named_parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(p.grad, expected.grad, msg=name)
