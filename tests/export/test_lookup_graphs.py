"""Sums, maxima and tables of integer graphs, in the clear: the same integers, within their widths."""

import numpy as np
import pytest
from branching_graph import branching_graph, every_row, sums_by_hand
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune import IntegerGraph
from qnnprune.export import encrypted_cost, encrypted_seconds
from qnnprune.export.fhe._graph_lookups import Lookup, lookup_graph
from qnnprune.integer._inputs import CodedInput
from qnnprune.integer._operations import Add, Flatten, MaxPool, Sums, Thresholds
from qnnprune.integer._windows import Window


def last_integers(lookups, codes):
    return lookups.run(codes) - lookups.last_offset


def test_every_input_by_hand():
    lookups, rows = lookup_graph(branching_graph()), every_row()
    assert np.array_equal(last_integers(lookups, rows), [sums_by_hand(r) for r in rows.tolist()])


def random_graph(rng):
    """A convolution, maxima before or after the quantizer, branches, and a linear layer."""
    n_in, n_mid = rng.integers(1, 4), 2 * rng.integers(1, 3)
    size, stride, dilation = rng.integers(1, 3, (3, 2))
    window = Window(size, stride, rng.integers(0, 2, 2), dilation)
    conv = rng.integers(-3, 4, (n_mid, n_in, *window.size))
    source = CodedInput((n_in, 5, 6), np.sort(rng.integers(-3, 4, (n_in, 2)), axis=1))
    pool = Window((2, 2), rng.integers(1, 3, 2), rng.integers(0, 2, 2), (1, 1))
    order = [Sums("conv", (0,), conv, window, 1, int(rng.integers(-1, 2)))]
    steps = random_steps(rng, n_mid, 12, 1), MaxPool("pool", (1,), pool)
    for operation in steps if rng.integers(2) else steps[::-1]:
        order.append(type(operation)(**{**vars(operation), "inputs": (len(order),)}))
    deep = rng.integers(-2, 3, (n_mid, 2, 1, 1))
    one = Window((1, 1), (1, 1), (0, 0), (1, 1))
    order += [
        Sums("deep", (3,), deep, one, n_mid // 2),
        random_steps(rng, n_mid, 5, 4),
        Add("add", (3, 5), tuple(rng.choice([-2, -1, 1, 2], 2))),
        Flatten("flat", (6,)),
    ]
    parts = {"scale": np.ones(1), "bias": np.zeros(1)}
    size = np.prod(
        IntegerGraph(source, order[:4], scale=np.ones(n_mid), bias=np.zeros(n_mid)).shapes[-1]
    )
    order.append(Sums("out", (7,), rng.integers(-2, 3, (1, size))))
    return IntegerGraph(source, order, **parts)


def random_steps(rng, n_channels, reach, place):
    """Thresholds of 2 bits, rising or falling, some on a grid."""
    thresholds = np.sort(rng.integers(-reach, reach + 1, (n_channels, 3)), axis=1)
    if rng.integers(2):
        thresholds = thresholds // 4 * 4
    slope = rng.choice([-1, 1], n_channels)
    first = np.where(slope > 0, -1, 2)
    return Thresholds("act", (place,), thresholds, first, slope)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_same_integers_and_no_value_beyond_its_width(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng)
    lookups = lookup_graph(graph)
    low, high = graph.input.range.T.reshape(2, 1, -1, 1, 1)
    codes = rng.integers(low, high + 1, (30, *graph.input.shape))
    codes[0], codes[1] = low[0], high[0]
    assert np.array_equal(last_integers(lookups, codes), graph.values(codes)[-1])
    values = [codes.astype(np.int64)]
    for operation in lookups.operations:
        if isinstance(operation, Lookup):
            seen = np.moveaxis(values[operation.inputs[0]], 1, -1) + operation.offset
            half = 2 ** (operation.n_bits - 1)
            assert -half <= seen.min() and seen.max() < half
            assert operation.n_bits == lookups.n_bits[operation.inputs[0]]
        values.append(operation.apply([values[i] for i in operation.inputs]))
    last = lookups.run(codes)
    assert (last >= -(2 ** (lookups.n_bits[-1] - 1))).all()
    assert (last < 2 ** (lookups.n_bits[-1] - 1)).all()


def pooled(order, n_next=2):
    """Sums of 2 x 2 codes, thresholds and maxima in some order, then sums of 30 codes."""
    operations = {
        "steps": Thresholds("act", (0,), np.array([[-1, 0, 2]]), np.array([3]), np.array([-1])),
        "pool": MaxPool("pool", (0,), Window((2, 2), (2, 2), (0, 0), (1, 1))),
    }
    window = Window((2, 2), (1, 1), (0, 0), (1, 1))
    kinds = [Sums("conv", (0,), np.array([[[[1, -2], [2, 1]]]]), window)]
    kinds += [operations[name] for name in order]
    kinds += [Flatten("flat", (0,)), Sums("out", (0,), np.full((1, 4), 7))]
    kinds = [type(o)(**{**vars(o), "inputs": (k,)}) for k, o in enumerate(kinds)]
    source = CodedInput((1, 5, 5), np.array([[-2, 1]]))
    return IntegerGraph(source, kinds, scale=[1.0], bias=[0.0])


@pytest.mark.parametrize("order", [("steps", "pool"), ("pool", "steps")])
def test_maxima_are_taken_of_narrow_codes(order):
    """Sums of 4 to 5 bits; codes of 2 bits have differences of 3, and the last sums 7."""
    graph = pooled(order)
    lookups = lookup_graph(graph)
    kinds = [type(operation).__name__ for operation in lookups.operations]
    assert kinds == ["Sums", "Lookup", "MaxPool", "Lookup", "Flatten", "Sums"]
    # One lookup for each of 4 x 4 sums, three for each of 2 x 2 windows, one after each.
    assert [kind.count for kind in lookups.kinds] == [16, 12, 4]
    assert [kind.n_bits for kind in lookups.kinds] == [5, 3, 3]
    assert lookups.n_bits[-1] == 7
    codes = np.random.default_rng(0).integers(-2, 2, (300, 1, 5, 5))
    assert np.array_equal(last_integers(lookups, codes), graph.values(codes)[-1])


def test_low_bits_go_where_thresholds_are_on_a_grid():
    window = Window((3, 3), (1, 1), (0, 0), (1, 1))
    steps = [np.array([[-8, 0, 8]]), np.array([0]), np.array([1])]
    graph = IntegerGraph(
        CodedInput((1, 4, 4), np.array([[-2, 1]])),
        [Sums("conv", (0,), np.full((1, 1, 3, 3), 2), window), Thresholds("act", (1,), *steps)],
        scale=[1.0],
        bias=[0.0],
    )
    (kind,) = lookup_graph(graph).kinds
    assert (kind.n_bits, kind.n_removed_bits, kind.count) == (6, 2, 4)


def test_sums_wider_than_lookups_are_refused_by_name():
    for weight, fits in ((127, True), (129, False)):
        graph = IntegerGraph(
            CodedInput((2,), np.array([[-128, 127]] * 2)),
            [Sums("wide", (0,), np.array([[weight, weight + 1]]))],
            scale=[1.0],
            bias=[0.0],
        )
        if fits:
            assert lookup_graph(graph).n_bits == (16, 16)
            continue
        with pytest.raises(ValueError, match="Layer 'wide' needs 17 bits, .* AccumulatorPruner"):
            lookup_graph(graph)


def test_cost_counts_lookups_by_width():
    # 2 x 4 sums of 4 bits; for each of 2 x 2 maxima two of 3 bits and one after; 2 x 2 of 5 bits.
    graph = branching_graph()
    cost = encrypted_cost(graph)
    assert cost.lookups_by_bits == {3: 12, 4: 8, 5: 4}
    assert cost.neurons == (8, 8, 4, 4, 3)
    assert encrypted_seconds(graph) > 0 and not cost.out_of_reach


def test_wider_weights_cost_more():
    costs = []
    for weight in (1, 2, 4):
        window = Window((2, 2), (1, 1), (0, 0), (1, 1))
        steps = np.array([[-1, 0, 2]]), np.array([-2]), np.array([1])
        operations = [
            Sums("conv", (0,), np.full((1, 1, 2, 2), weight), window),
            Thresholds("act", (1,), *steps),
            Flatten("flat", (2,)),
            Sums("out", (3,), np.full((1, 9), weight)),
        ]
        source = CodedInput((1, 4, 4), np.array([[-2, 1]]))
        graph = IntegerGraph(source, operations, scale=[1.0], bias=[0.0])
        costs.append(encrypted_cost(graph).core_seconds_row)
    assert costs == sorted(costs) and costs[0] < costs[-1]
