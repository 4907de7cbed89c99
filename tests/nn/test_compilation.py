"""A module and its integer network: the same codes, whatever the layers."""

import copy

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas_examples.bnn_pynq.models.FC import FC
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_modules import KINDS, Branches, LeNet, Signal, inputs, trained

from qnnprune import IntegerGraph
from qnnprune.exceptions import AccumulatorOverflowError, UnsupportedModuleError
from qnnprune.nn import AccumulatorPruner, to_integer_network


def in_doubles(module, rows):
    """The module's own forward pass, free of the rounding of float32."""
    with torch.no_grad():
        result = copy.deepcopy(module).double()(rows.double())
    return (result if isinstance(result, torch.Tensor) else result.value).numpy()


def agree(network, module, rows):
    """Whether all outputs are equal: one code that differs would show by a whole step."""
    expected = in_doubles(module, rows)
    return np.allclose(network.decision(rows.numpy()), expected, rtol=1e-5, atol=1e-6)


def has_ties(kind, weights):
    """Whether sums lie on the edge between two codes exactly, so that float rounding decides.

    In `Branches` a quantizer reads sums of its own codes: they are codes times a power of two.
    """
    return kind is Branches and weights == "power of two"


@pytest.mark.parametrize("weights", ["per tensor", "per channel", "power of two"])
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_the_module_on_every_row(kind, weights):
    if has_ties(kind, weights):
        pytest.skip("float rounding decides ties")
    module = trained(kind(weights=weights))
    rows = inputs(module, 100)
    assert agree(to_integer_network(module, rows), module, rows)


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    w_bits=st.integers(2, 8),
    a_bits=st.integers(2, 6),
    weights=st.sampled_from(["per tensor", "per channel", "power of two"]),
    steps=st.integers(1, 2),
    seed=st.integers(0, 1000),
    n_accum_bits=st.one_of(st.none(), st.integers(10, 16)),
    criterion=st.sampled_from(["l1", "random", "neuron_l2"]),
)
def test_equal_for_any_widths_and_pruning(
    kind, w_bits, a_bits, weights, steps, seed, n_accum_bits, criterion
):
    torch.manual_seed(seed)
    weights = "per tensor" if has_ties(kind, weights) else weights
    module = trained(kind(w_bits, a_bits, weights), steps=steps, seed=seed)
    rows = inputs(module, 50)
    if n_accum_bits is not None:
        try:
            pruner = AccumulatorPruner(module, n_accum_bits, criterion=criterion, rows=rows)
        except ValueError:  # such widths leave no weight
            return
        pruner.step(1.0)
    network = to_integer_network(module, rows)
    assert agree(network, module, rows)
    assert n_accum_bits is None or network.proven_bits <= n_accum_bits


def test_the_module_is_left_as_it_was():
    module = trained(LeNet())
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    attributes, modes = set(vars(module)), [part.training for part in module.modules()]
    to_integer_network(module, inputs(module, 2))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert set(vars(module)) == attributes
    assert [part.training for part in module.modules()] == modes
    assert module.conv1.weight.dtype == torch.float32


def test_maxima_of_values_that_fall():
    """Before the quantizer; a channel without weights neither rises nor falls."""
    module = trained(Signal())
    with torch.no_grad():
        module.norm1.weight.copy_(torch.tensor([-1.0, 1.0, -0.5, 0.7, -1.0, 1.0]))
        module.conv1.weight[[2, 3]] = 0
    rows = inputs(module, 100)
    assert agree(to_integer_network(module, rows), module, rows)


def test_a_second_fall_after_maxima_is_refused():
    torch.manual_seed(0)
    module = nn.Sequential(
        QuantIdentity(bit_width=3),
        QuantConv2d(1, 2, 2, bias=False),
        nn.BatchNorm2d(2),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(2),
        QuantReLU(bit_width=2),
    )
    rows = torch.randn(20, 1, 5, 5)
    module(rows)
    with torch.no_grad():
        module[2].weight[0], module[4].weight[0] = -1.0, -1.0
    with pytest.raises(UnsupportedModuleError, match="maxima are taken of values"):
        to_integer_network(module.eval(), rows)


def test_tensors_that_the_forward_method_makes():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.layer = QuantIdentity(bit_width=4), QuantLinear(3, 2, bias=True)

        def forward(self, x):
            return self.layer(self.quant(x * torch.tensor([2.0]))) - torch.tensor([[1.0, 2.0]])

    torch.manual_seed(0)
    module, rows = Net(), torch.randn(40, 3)
    module(rows)
    attributes = set(vars(module.eval()))
    network = to_integer_network(module, rows)
    assert np.allclose(network.decision(rows.numpy()), module(rows).detach().numpy(), atol=1e-5)
    assert set(vars(module)) == attributes


def test_brevitas_example_network():
    torch.manual_seed(0)
    module = FC(10, 2, 2, 2, 1, [32, 32])
    rows = torch.rand(100, 1, 28, 28)
    for _ in range(3):
        module.train()(rows)
    network = to_integer_network(module.eval(), rows, classes=np.arange(10))
    with torch.no_grad():
        expected = module(rows)
    assert np.allclose(network.decision(rows.numpy()), expected.numpy(), atol=1e-5)
    assert np.array_equal(network.predict(rows.numpy()), expected.argmax(dim=1).numpy())


def test_inputs_on_both_sides_of_every_threshold():
    module = nn.Sequential(QuantIdentity(bit_width=3), QuantLinear(1, 1, bias=False))
    module(torch.linspace(-1.3, 1.1, 40)[:, None])
    module.eval()
    network = to_integer_network(module, torch.zeros(1, 1))
    edges = network.input.thresholds[0]
    rows = np.concatenate([edges, np.nextafter(edges, -np.inf, dtype=np.float32)])[:, None]
    scale = float(module[0].act_quant.scale())
    codes = torch.round(module[0](torch.from_numpy(rows)) / scale).int().numpy()
    assert np.array_equal(network.quantize_input(rows), codes)
    assert len(np.unique(codes)) == 8


def test_integers_as_inputs():
    torch.manual_seed(0)
    module = nn.Sequential(QuantConv2d(1, 2, 2, weight_bit_width=3), QuantReLU(bit_width=2))
    rows = torch.randint(0, 16, (20, 1, 5, 5)).float()
    module(rows)
    network = to_integer_network(module.eval(), rows, input_range=(0, 15))
    with torch.no_grad():
        assert np.allclose(network.decision(rows.numpy()), module(rows).numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="outside input_range, 0 to 15"):
        network.decision(rows.numpy() + 1)
    with pytest.raises(ValueError, match="must hold integers"):
        network.decision(rows.numpy() / 2)


def test_weights_of_a_convolution_are_shared():
    module = trained(LeNet())
    network = to_integer_network(module, inputs(module, 1))
    first = network.operations[0]
    assert first.weight.shape == (6, 1, 3, 3)
    assert np.array_equal(first.weight, module.conv1.quant_weight().int().numpy())


def test_removed_filters_leave_the_arrays():
    module = trained(LeNet(w_bits=3), negative=False)
    pruner = AccumulatorPruner(module, 12, criterion="neuron_l2", neuron_sparsity=0.5)
    pruner.step(1.0)
    rows = inputs(module, 100)
    network = to_integer_network(module, rows)
    assert [len(o.weight) for o in network.operations if hasattr(o, "weight")] == [3, 4, 4]
    assert agree(network, module, rows)


def test_constant_channels_are_folded_where_there_is_no_border():
    """A filter without weights puts out a constant that is not 0, and it still leaves."""
    module = trained(LeNet())
    with torch.no_grad():
        module.conv1.weight[[0, 3]] = 0
        module.norm1.bias[[0, 3]] = 5.0
        module.norm1.weight[[0, 3]] = 1.0
    rows = inputs(module, 100)
    network = to_integer_network(module, rows)
    assert len(network.operations[0].weight) == 4
    assert agree(network, module, rows)


def test_constant_channels_stay_where_a_border_shows_them():
    torch.manual_seed(0)
    module = nn.Sequential(
        QuantIdentity(bit_width=3),
        QuantConv2d(1, 2, 3, bias=True),
        QuantReLU(bit_width=2),
        QuantConv2d(2, 1, 3, padding=1),
    )
    rows = torch.randn(30, 1, 6, 6)
    module(rows)
    module.eval()
    with torch.no_grad():
        module[1].weight[0], module[1].bias[0] = 0, 10.0
        expected = module(rows).numpy()
    network = to_integer_network(module, rows)
    assert len(network.operations[0].weight) == 2
    assert np.allclose(network.decision(rows.numpy()), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded(kind, tmp_path):
    module = trained(kind())
    rows = inputs(module, 20).numpy()
    network = to_integer_network(module, rows)
    network.save(tmp_path / "net.npz")
    loaded = IntegerGraph.load(tmp_path / "net.npz")
    assert np.array_equal(loaded.decision(rows), network.decision(rows))
    assert loaded.proven_bits == network.proven_bits
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "net.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_pruned_to_its_width_it_never_overflows():
    module = trained(Branches())
    rows = inputs(module, 50)
    AccumulatorPruner(module, 8).step(1.0)
    network = to_integer_network(module, rows)
    result = network.simulate(rows.numpy(), n_accum_bits=8, mode="raise")
    assert result.overflow_rate == 0
    assert np.array_equal(result.decision, network.decision(rows.numpy()))
    with pytest.raises(AccumulatorOverflowError, match="Row 0: the sum .* in layer 'first'"):
        network.simulate(rows.numpy(), n_accum_bits=3, mode="raise")


REFUSED = {
    "softmax": nn.Sequential(QuantIdentity(), QuantLinear(4, 2, False), nn.Softmax(1)),
    "float layer": nn.Sequential(QuantIdentity(), nn.Linear(4, 2)),
    "no quantizer": nn.Sequential(nn.ReLU(), QuantLinear(4, 2, False)),
    "between": nn.Sequential(QuantIdentity(), QuantLinear(4, 4, False), QuantLinear(4, 2, False)),
    "not monotone": nn.Sequential(
        QuantIdentity(), QuantLinear(4, 4, False), nn.GELU(), QuantIdentity(bit_width=6)
    ),
    "sigmoid at the end": nn.Sequential(QuantIdentity(), QuantLinear(4, 2, False), nn.Sigmoid()),
}
MESSAGES = {
    "softmax": "Layer '2' is a Softmax",
    "float layer": "Layer '1' is a Linear",
    "no quantizer": "'1' reads values that are not quantized",
    "between": "'2' reads values that are not quantized after '1'",
    "not monotone": "codes of '3' neither rise nor fall",
    "sigmoid at the end": "after '2' are no affine function",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_layer(name):
    module, rows = REFUSED[name], torch.randn(50, 4)
    module(rows)
    with pytest.raises(UnsupportedModuleError, match=MESSAGES[name]):
        to_integer_network(module.eval(), rows)


def test_branches_of_other_scales_are_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = QuantIdentity(bit_width=3), QuantIdentity(bit_width=4)
            self.one, self.other = QuantIdentity(bit_width=3), QuantIdentity(bit_width=4)
            self.layer, self.layer2 = QuantLinear(4, 4, False), QuantLinear(4, 4, False)
            self.out = QuantLinear(4, 2, False)

        def forward(self, x):
            x = self.a(x)
            return self.out(self.one(self.layer(x)) + self.other(self.layer2(x)))

    module, rows = Net(), torch.randn(50, 4)
    module(rows)
    with pytest.raises(UnsupportedModuleError, match="'add' joins 'one', 'other' with scales"):
        to_integer_network(module.eval(), rows)


def test_control_flow_on_data_is_refused():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = QuantLinear(4, 2, False)

        def forward(self, x):
            return self.layer(x) if x.sum() > 0 else x

    with pytest.raises(UnsupportedModuleError, match="Net cannot be followed by torch.fx"):
        to_integer_network(Net(), torch.ones(2, 4), input_range=(0, 3))
