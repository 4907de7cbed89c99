"""Narrow registers inside a module: the same as in its integer network."""

import numpy as np
import pytest
import torch
from torch_modules import KINDS, LeNet, inputs, trained

from qnnprune.exceptions import AccumulatorOverflowError
from qnnprune.nn import AccumulatorPruner, narrow_registers, to_integer_network


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize("kind", [k for k in KINDS if k.__name__ != "Branches"])
def test_equal_to_the_integer_network(kind, mode):
    """`Branches` has registers of sums without weights as well, which belong to no layer."""
    module = trained(kind())
    rows = inputs(module, 60)
    network = to_integer_network(module, rows)
    simulated = network.simulate(rows.numpy(), n_accum_bits=5, mode=mode)
    assert simulated.overflow_rate > 0
    with narrow_registers(module, rows, n_accum_bits=5, mode=mode) as counts, torch.no_grad():
        values = module(rows).numpy()
    if kind.__name__ != "Signal":  # whose mean overflows too
        assert np.allclose(values, simulated.decision, atol=1e-4)
    first = next(iter(counts))
    assert counts[first].tolist() == simulated.overflow_count[0].tolist()


def test_outside_the_block_nothing_is_narrow():
    module = trained(LeNet())
    rows = inputs(module, 20)
    with torch.no_grad():
        before = module(rows)
        with narrow_registers(module, rows, n_accum_bits=5):
            assert not torch.equal(module(rows), before)
        assert torch.equal(module(rows), before)


def test_after_pruning_nothing_overflows():
    module = trained(LeNet())
    rows = inputs(module, 50)
    AccumulatorPruner(module, 8).step(1.0)
    with narrow_registers(module, rows, n_accum_bits=8, mode="raise") as counts:
        module(rows)
    assert not any(count.any() for count in counts.values())
    overflow = pytest.raises(AccumulatorOverflowError, match="layer 'conv1' leaves n_accum_bits=4")
    with overflow, narrow_registers(module, rows, n_accum_bits=4, mode="raise"):
        module(rows)


def test_gradients_go_straight_through():
    module = trained(LeNet())
    with narrow_registers(module, inputs(module, 2), n_accum_bits=6):
        module(inputs(module, 8)).sum().backward()
    assert module.conv1.weight.grad.abs().sum() > 0
