"""Pruning of one's own modules: the proof, from Brevitas's own integers."""

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from oracles import fits, omega, width
from torch import nn
from torch.nn.utils import prune
from torch_modules import (
    CODES,
    KINDS,
    Branches,
    LeNet,
    Mlp,
    Signal,
    inputs,
    integer_weights,
    layers,
    trained,
    worst_cases,
)

from qnnprune.exceptions import UnsupportedModuleError
from qnnprune.nn import AccumulatorPruner, accumulator_report


def proven(module, n_accum_bits):
    """Whether every neuron of every layer fits its register in the worst case."""
    return all(
        fits(low, high, n_accum_bits)
        for ranges in worst_cases(module).values()
        for low, high in ranges
    )


def train(module, pruner, *, n_epochs=5, n_batches=2, optimizer=torch.optim.Adam, **options):
    """A loop as users write it: `step` after every step of the optimizer."""
    generator = torch.Generator().manual_seed(0)
    steps = optimizer(module.parameters(), lr=0.05, **options)
    for step in range(n_epochs * n_batches):
        loss = module.train()(inputs(module, 16, generator)).square().mean()
        steps.zero_grad()
        loss.backward()
        steps.step()
        pruner.step((step + 1) / (n_epochs * n_batches))
    return module


def pruner_of(module, n_accum_bits, **options):
    return AccumulatorPruner(module, n_accum_bits, rows=inputs(module, 50), **options)


@pytest.mark.parametrize("weights", ["per tensor", "per channel", "power of two"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_sum_overflows_after_the_last_step_of_the_optimizer(kind, weights):
    torch.manual_seed(0)
    module = kind(weights=weights)
    train(module, pruner_of(module, 9))
    assert proven(module, 9)
    assert all(layer.weight.any() for layer in layers(module).values())


@pytest.mark.parametrize(
    "schedule", ["gradual", "one_shot", "before_training", "in_training", "after_training", "set"]
)
def test_schedules(schedule):
    torch.manual_seed(0)
    module = LeNet()
    train(module, pruner_of(module, 8, schedule=schedule))
    assert proven(module, 8)


@pytest.mark.parametrize("criterion", ["neuron_l2", "neuron_activation", "neuron_redundancy"])
@pytest.mark.parametrize("kind", [LeNet, Branches])
def test_criteria_for_filters(kind, criterion):
    torch.manual_seed(0)
    module = kind()
    train(module, pruner_of(module, 10, criterion=criterion, neuron_sparsity=0.5), n_epochs=3)
    assert proven(module, 10)
    first = layers(module)["conv1" if kind is LeNet else "first"]
    filters = first.weight.flatten(1).any(dim=1)
    assert 0 < filters.sum() <= len(filters) // 2
    out = layers(module)["out"].weight
    assert out.any(dim=1).all()  # outputs stay


@pytest.mark.parametrize("criterion", ["random", "activation"])
def test_criteria_for_weights(criterion):
    torch.manual_seed(0)
    module = Signal()
    train(module, pruner_of(module, 10, criterion=criterion), n_epochs=3)
    assert proven(module, 10)


def test_weights_on_removed_filters_go():
    torch.manual_seed(0)
    module = LeNet()
    pruner_of(module, 16, criterion="neuron_l2").step(1.0)
    gone = ~module.conv1.weight.flatten(1).any(dim=1)
    assert gone.sum() == 3
    assert not module.conv2.weight[:, gone].any()
    gone = ~module.conv2.weight.flatten(1).any(dim=1)
    assert not module.out.weight.reshape(4, 8, -1)[:, gone].any()


def test_limits_hold_from_sixty_percent_on():
    torch.manual_seed(0)
    module = LeNet()
    pruner = pruner_of(module, 8)
    pruner.step(0.3)
    assert not proven(module, 8)
    for share in (0.6, 0.8, 1.0):
        with torch.no_grad():
            for layer in layers(module).values():
                layer.weight += 0.1 * torch.randn_like(layer.weight)
        pruner.step(share)
        assert proven(module, 8)


def test_sparsity_by_kind_of_layer():
    torch.manual_seed(0)
    module = LeNet()
    per_layer = {"conv": {"sparsity": 0.5}, "linear": {"sparsity": 0.8}}
    AccumulatorPruner(module, 16, per_layer=per_layer).step(1.0)
    for name, kept in (("conv1", 0.5), ("conv2", 0.5), ("out", 0.2)):
        weight = layers(module)[name].weight.flatten(1)
        assert (weight.count_nonzero(dim=1) <= kept * weight.shape[1]).all()
        assert weight.count_nonzero() >= 0.8 * kept * weight.numel()


def test_budget_of_omega():
    torch.manual_seed(0)
    module = Mlp(w_bits=3, a_bits=2)
    pruner = AccumulatorPruner(module, 8, multiplier=1.0, per_layer={"layers.7": {"multiplier": 2}})
    pruner.step(1.0)
    bits = {"layers.1": 4, "layers.5": 2, "layers.7": 2}
    for name, layer in layers(module).items():
        budget = omega(3, bits[name], 8) * (2 if name == "layers.7" else 1)
        assert max(sum(map(bool, row)) for row in integer_weights(layer)) <= budget
    assert pruner.report().rows[0]["budget"] == omega(3, 4, 8)


def test_a_register_of_its_own():
    torch.manual_seed(0)
    module = LeNet()
    AccumulatorPruner(module, 7, per_layer={"out": {"n_accum_bits": 20}}).step(1.0)
    ranges = worst_cases(module)
    assert all(fits(*pair, 7) for name in ("conv1", "conv2") for pair in ranges[name])
    assert not all(fits(*pair, 7) for pair in ranges["out"])


@pytest.mark.parametrize("kind", KINDS)
def test_report_is_the_outside_proof(kind):
    module = trained(kind())
    rows = {r["layer"]: r for r in accumulator_report(module, example=inputs(module, 2)).rows}
    for name, ranges in worst_cases(module).items():
        assert rows[name]["proven_range"] == (min(r[0] for r in ranges), max(r[1] for r in ranges))
        assert rows[name]["proven_bits"] == max(width(*pair) for pair in ranges)
        counts = [sum(map(bool, row)) for row in integer_weights(layers(module)[name])]
        assert rows[name]["nonzeros_max"] == max(counts)


def test_report_says_where_an_overflow_is_possible():
    module = trained(LeNet())
    text = repr(accumulator_report(module, n_accum_bits=6))
    assert "An overflow is possible in conv1, conv2, out" in text
    AccumulatorPruner(module, 6).step(1.0)
    assert "Proven for every input: no sum needs more than 6 bits" in repr(
        accumulator_report(module, n_accum_bits=6)
    )


def test_masks_fit_torch_prune():
    torch.manual_seed(0)
    module = LeNet()
    pruner = AccumulatorPruner(module, 8)
    pruner.step(1.0)
    before = {name: layer.weight.clone() for name, layer in layers(module).items()}
    assert set(pruner.masks) == set(CODES[LeNet])
    for name, mask in pruner.masks.items():
        layer = module.get_submodule(name)
        prune.custom_from_mask(layer, "weight", mask)
        prune.remove(layer, "weight")
        assert torch.equal(layer.weight, before[name])


def test_a_narrower_range_of_inputs_leaves_more_weights():
    def left(**options):
        torch.manual_seed(0)
        module = LeNet()
        AccumulatorPruner(module, 7, **options).step(1.0)
        return int(module.conv1.weight.count_nonzero())

    assert left(input_range=(0, 3)) > left()


def test_a_layer_used_twice_respects_both_ranges():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow, self.wide = QuantIdentity(bit_width=2), QuantIdentity(bit_width=4)
            self.layer = QuantLinear(8, 8, bias=False, weight_bit_width=3)

        def forward(self, x):
            return self.layer(self.wide(self.layer(self.narrow(x))))

    torch.manual_seed(0)
    module = Net()
    AccumulatorPruner(module, 8).step(1.0)
    for row in integer_weights(module.layer):
        for low, high in ((-2, 1), (-8, 7)):
            ends = [sorted((w * low, w * high)) for w in row]
            assert fits(sum(e[0] for e in ends), sum(e[1] for e in ends), 8)


REFUSED = {
    "per_layer names \\['nowhere'\\]": {"per_layer": {"nowhere": {"sparsity": 0.5}}},
    "\\['bits'\\] are not among": {"per_layer": {"conv": {"bits": 3}}},
    "n_accum_bits=0 must be": {"n_accum_bits": 0},
    "sparsity=1.5 must be": {"sparsity": 1.5},
    "schedule='never' must be one of": {"schedule": "never"},
    "criterion='l3' must be one of": {"criterion": "l3"},
    "criterion='activation' measures activations": {"criterion": "activation"},
    "'conv1' reads codes from -8 to 7: not one weight": {"n_accum_bits": 3},
    "input_range=\\(0, 300\\) leaves the codes": {"input_range": (0, 300)},
    "moves single weights": {"schedule": "set", "criterion": "neuron_l2"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_errors_name_the_parameter(message):
    with pytest.raises(ValueError, match=message):
        AccumulatorPruner(LeNet(), **{"n_accum_bits": 8, **REFUSED[message]})


def test_sums_of_codes_that_no_pruning_narrows_are_refused():
    with pytest.raises(ValueError, match="'mean' adds up codes without weights"):
        AccumulatorPruner(Branches(), 4)
    pruner = AccumulatorPruner(
        Branches(), 4, per_layer={"mean": {"n_accum_bits": 5}, "out": {"n_accum_bits": 9}}
    )
    assert {r["layer"]: r["limit_bits"] for r in pruner.report().rows}["mean"] == 5


def test_weights_of_one_bit_are_refused():
    from brevitas.quant import SignedBinaryWeightPerTensorConst

    layer = QuantLinear(4, 2, False, weight_quant=SignedBinaryWeightPerTensorConst)
    with pytest.raises(UnsupportedModuleError, match="'1' has weights of 1 bit"):
        AccumulatorPruner(nn.Sequential(QuantIdentity(), layer), 8)


def test_the_same_seed_gives_the_same_weights():
    def weights():
        torch.manual_seed(0)
        module = LeNet()
        return train(module, pruner_of(module, 8, schedule="set", random_state=3)).conv2.weight

    assert torch.equal(weights(), weights())


def test_grouped_and_depthwise_filters_count_their_own_inputs():
    torch.manual_seed(0)
    module = nn.Sequential(
        QuantIdentity(bit_width=4), QuantConv2d(4, 4, 3, groups=4, bias=False, weight_bit_width=4)
    )
    AccumulatorPruner(module, 8).step(1.0)
    codes = module[1].quant_weight().int().flatten(1).numpy()
    assert codes.shape == (4, 9)
    assert (np.abs(codes).sum(axis=1) <= 127 / 7).all()
