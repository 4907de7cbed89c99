"""Prediction on columns against sums in Python's integers, by each product of matrices."""

import sys

import numpy as np
import oracles
import pandas as pd
import pytest
from samples import classifier
from scipy.sparse import csr_matrix

from qnnprune import IntegerNetwork
from qnnprune.encoding import InputEncoding
from qnnprune.integer import HiddenLayer, OutputLayer, _int8, _products
from qnnprune.integer._int8 import line_through


@pytest.fixture(params=["few rows", "many rows", "torch"])
def product(request, monkeypatch):
    if request.param != "few rows":
        monkeypatch.setattr(_products, "_FEW_ROWS", 1)
    if request.param == "torch":
        pytest.importorskip("torch")
        monkeypatch.setattr(_products, "_MANY_PRODUCTS", 2)
        if _int8.torch_with_int8() is None:
            pytest.skip("no int8 products in this processor")
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)


def code_ranges(n, bits):
    return np.tile(np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]), (n, 1))


def random_network(n_segments, n_bits, widths, largest, random, *, on_lines=False):
    """Any thresholds and weights, ties and unreachable thresholds among them.

    Or thresholds as those of affine maps, so that a layer is one operation of torch.
    """
    steps, n_features = 2**n_bits - 1, len(n_segments)
    thresholds = np.full((n_features, max(1, max(n_segments) * steps)), np.inf)
    for feature, n in enumerate(n_segments):
        thresholds[feature, : n * steps] = np.sort(random.normal(size=n * steps).round(1))
    encoding = InputEncoding(
        thresholds, np.array(n_segments), n_bits,
        missing_level=random.integers(0, max(n_segments) * steps + 1, n_features),
    )  # fmt: skip
    layers, ranges = [], encoding.input_range
    for n_out in widths:
        weight = random.integers(-largest, largest + 1, (n_out, len(ranges))).astype(np.int8)
        reach = 2 * largest * len(ranges)
        rows = np.sort(random.integers(-reach, reach, (n_out, steps)), axis=1)
        if on_lines:
            stride = random.uniform(0.3, reach / steps, (n_out, 1))
            edges = (np.arange(steps) + 0.5 - random.uniform(0, steps, (n_out, 1))) * stride
            rows = np.ceil(edges).astype(int)
        layers.append(HiddenLayer(weight, ranges, rows, output_low=-(2 ** (n_bits - 1))))
        ranges = code_ranges(n_out, n_bits)
    weight = random.integers(-largest, largest + 1, (6, len(ranges))).astype(np.int8)
    layers.append(OutputLayer(weight, ranges, random.normal(size=3), random.normal(size=3)))
    return IntegerNetwork(encoding, layers, n_w_bits=8, n_accum_bits=8)


@pytest.mark.parametrize("on_lines", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
@pytest.mark.parametrize(
    ("n_segments", "n_bits", "largest"),
    [
        ([1, 1, 1], 2, 1),
        ([3, 0, 1, 3, 2], 2, 1),  # a constant, and groups of segments out of order
        ([2, 5, 2], 3, 1),
        ([4, 1], 1, 3),
        ([1, 2], 5, 127),  # more steps than are compared, sums beyond 16 bits
        ([2, 1, 0], 8, 127),
        ([0, 0], 2, 1),
        ([0, 1] * 150, 2, 1),  # several rows are compared at a time, and some are left
    ],
)
def test_decisions_are_those_of_plain_integers(
    product, n_segments, n_bits, largest, dtype, on_lines
):
    random = np.random.default_rng(n_bits)
    network = random_network(n_segments, n_bits, (9, 5), largest, random, on_lines=on_lines)
    if on_lines and n_bits < 8:  # more thresholds leave float32 too little room
        assert all(line_through(layer) is not None for layer in network.layers[:-1])
    X = random.normal(size=(40, len(n_segments))).astype(dtype)
    expected = [oracles.decision(network, x) for x in X]
    np.testing.assert_array_equal(network.decision(X), expected)
    np.testing.assert_array_equal(network.decision(X[:1]), expected[:1])
    np.testing.assert_array_equal(network.decision(np.asfortranarray(X)), expected)
    np.testing.assert_array_equal(network.run(network.quantize_input(X)), expected)


def test_a_network_of_one_layer(product):
    random = np.random.default_rng(2)
    network = random_network([3, 0, 1, 3, 2], 2, (), 1, random)
    X = random.normal(size=(40, 5))
    expected = [oracles.decision(network, x) for x in X]
    np.testing.assert_array_equal(network.decision(X), expected)
    np.testing.assert_array_equal(network.simulate(X, n_accum_bits=20).decision, expected)


@pytest.mark.parametrize("bound", [2**18, 600, 1])
def test_blocks_of_any_size(product, bound, monkeypatch):
    monkeypatch.setattr("qnnprune.integer._network._BLOCK_VALUES", bound)
    random = np.random.default_rng(3)
    network = random_network([2, 1], 2, (7,), 1, random)
    X = random.normal(size=(150, 2))
    expected = [oracles.decision(network, x) for x in X]
    np.testing.assert_array_equal(network.decision(X), expected)


@pytest.mark.parametrize("n", [0, 1, 1119, 1120, 1121, 2241, 100_000])
def test_no_block_is_much_smaller_than_the_others(n, monkeypatch):
    """It would be multiplied in another way, and threads of both ways wait for each other."""
    monkeypatch.setattr("qnnprune.integer._network._BLOCK_VALUES", 1120 * 9)
    network = random_network([2, 1], 2, (9,), 1, np.random.default_rng(3))
    sizes = [rows.stop - rows.start for rows in network._blocks(n)]
    assert sum(sizes) == n
    assert len(sizes) == -(-n // 1120)
    assert max(sizes, default=0) <= 1120
    assert not sizes or min(sizes) >= max(sizes) - 16 * len(sizes)


@pytest.mark.parametrize("n_segments", [[2, 0, 1, 2], [1, 0] * 150])
def test_blocks_with_gaps(product, n_segments):
    random = np.random.default_rng(0)
    network = random_network(n_segments, 2, (7,), 1, random)
    X = random.normal(size=(30, len(n_segments)))
    X[::3, 0], X[::4, 3], X[5] = np.nan, np.nan, np.nan
    expected = [oracles.decision(network, x) for x in X]
    np.testing.assert_array_equal(network.decision(X), expected)


@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize("n_accum_bits", [1, 3, 6, 40])
@pytest.mark.parametrize("on_lines", [False, True])
def test_registers_narrower_than_the_sums(product, mode, n_accum_bits, on_lines):
    random = np.random.default_rng(1)
    network = random_network([2, 1, 2], 3, (7, 6), 3, random, on_lines=on_lines)
    X = random.normal(size=(30, 3))
    registers = oracles.Registers(network.layers, n_accum_bits, mode)
    expected = [oracles.decision(network, x, store=registers) for x in X]
    result = network.simulate(X, n_accum_bits=n_accum_bits, mode=mode)
    np.testing.assert_array_equal(result.decision, expected)
    assert [count.tolist() for count in result.overflow_count] == registers.overflows


def test_sums_at_both_ends_of_int8(product):
    # -128 and 127, with a threshold that only 128 would reach.
    layer = HiddenLayer(
        np.array([[1, 0], [0, 1]]), np.array([[-128, 127]] * 2),
        np.array([[-128, 127, 128], [-500, 0, 500]]), output_low=-2,
    )  # fmt: skip
    output = OutputLayer(np.eye(2, dtype=np.int8), code_ranges(2, 2), np.ones(2), np.zeros(2))
    thresholds = np.sort(np.random.default_rng(0).normal(size=(2, 255)))
    encoding = InputEncoding(thresholds, np.array([1, 1]), 8)
    network = IntegerNetwork(encoding, [layer, output], n_w_bits=2, n_accum_bits=8)
    codes = np.array([[-128, -128], [127, 127], [126, -1], [0, 0]] * 10)
    expected = [oracles.logits(network.layers, row) for row in codes]
    np.testing.assert_array_equal(network.run(codes), expected)


@pytest.mark.parametrize("per", ["step", 2])
def test_registers_that_clip_on_the_way(product, per):
    """They look at the codes after the product has."""
    random = np.random.default_rng(5)
    network = random_network([2, 1], 2, (6, 5), 3, random, on_lines=True)
    X = random.normal(size=(300, 2))
    options = {"n_accum_bits": 4, "mode": "saturate", "per": per}
    every = network.simulate(X, **options)
    each = [network.simulate(X[[row]], **options) for row in range(0, 300, 30)]
    assert every.overflow_rate > 0
    np.testing.assert_array_equal(every.decision[::30], np.concatenate([r.decision for r in each]))


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix, np.float32])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_estimators_leave_it_to_the_network_to_refuse_infinity(convert, value):
    X = np.zeros((40, 4))
    X[::2] = 1
    model = classifier(max_epochs=1).fit(X, X[:, 0])
    X[3, 2] = value
    for refuse in (model.predict, model.simulate, model.float_twin().fit(X[:3], X[:3, 0]).predict):
        with pytest.raises(ValueError, match="infinity"):
            refuse(convert(X))


def test_one_code_of_a_table():
    """A matrix of one row: its strides are both 1, as those of its transpose are."""
    table = np.array([[-1], [0], [-1], [0]], dtype=np.int8)
    encoding = InputEncoding(
        np.array([[-1.0, 0.0, 1.0]]), np.array([0]), 1, (table,), (None,), np.array([1])
    )
    weight = np.arange(-7, 1, dtype=np.int8)[:, None]
    layer = OutputLayer(weight, encoding.input_range, scale=np.ones(8), bias=np.zeros(8))
    network = IntegerNetwork(encoding, [layer], n_w_bits=4, n_accum_bits=8)
    X = np.tile([-2.0, -0.5, 0.5, 2.0, np.nan], 8)[:, None]
    codes = np.tile([-1, 0, -1, 0, 0], 8)[:, None]
    np.testing.assert_array_equal(network.decision(X), codes * weight[:, 0])


def test_infinity_in_the_last_block(monkeypatch):
    monkeypatch.setattr("qnnprune.integer._network._BLOCK_VALUES", 100)
    network = random_network([2, 1], 2, (7,), 1, np.random.default_rng(3))
    X = np.zeros((50, 2))
    X[-1, 1] = -np.inf
    with pytest.raises(ValueError, match="Column 1 contains infinity"):
        network.decision(X)


def test_infinity_in_a_column_that_a_pipeline_reads_in_float32():
    encoding = InputEncoding(
        np.full((2, 1), 0.5), np.array([1, 1]), 1, missing_level=np.zeros(2, dtype=int),
        single_thresholds=np.full((2, 1), 0.5, np.float32), blocks=np.array([0, 1]),
    )  # fmt: skip
    X = pd.DataFrame({"a": np.array([0, np.inf], np.float32), "b": [0.0, np.nan]})
    with pytest.raises(ValueError, match="Column 0 contains infinity"):
        encoding.numbers(X)
    assert np.isnan(encoding.numbers(X.iloc[:1].assign(b=np.nan))).tolist() == [[False, True]]
