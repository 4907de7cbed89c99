"""Integer arguments of any integer type mean what the same Python int means."""

import numpy as np
import pytest

from qnnprune import accumulators
from qnnprune.encoding import InputEncoding, fit_encoding, fit_input_encoding
from qnnprune.export import to_qonnx
from qnnprune.integer import HiddenLayer
from qnnprune.pruning import LayerLimits
from qnnprune.pruning.limits import keep_what_fits

TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
TYPES.append(np.array)  # of no dimension

RANGES = np.array([[-5, 7], [0, 9]])
WIDTHS = [1, 2, 7, 8, 16, 31, 32, 40, 62]
CALLS = {
    "weight_max": (accumulators.weight_max, WIDTHS),
    "code_range": (accumulators.code_range, WIDTHS),
    "register_range": (lambda n: accumulators.register_range(RANGES, n).tolist(), WIDTHS),
    "omega of accumulators": (lambda n: accumulators.omega(2, 2, n), WIDTHS),
    "omega of weights": (lambda n: accumulators.omega(n, 2, 62), WIDTHS),
    "omega of inputs": (lambda n: accumulators.omega(2, n, 62), WIDTHS),
    "weight_budget": (lambda n: accumulators.weight_budget(2, 2, n, 9.5), WIDTHS[2:]),
    "ordinary_weights": (lambda n: accumulators.ordinary_weights(2, n, 2), WIDTHS),
    "optimal_step": (accumulators.optimal_step, [2, 8]),
}


def exactly(value):
    """Values with their types."""
    values = value if isinstance(value, (tuple, list)) else [value]
    return [(type(v), v) for v in values]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", CALLS)
def test_widths(name, kind):
    call, widths = CALLS[name]
    for n_bits in widths:
        assert exactly(call(kind(n_bits))) == exactly(call(n_bits))


@pytest.mark.parametrize("call", [accumulators.weight_max, accumulators.code_range])
@pytest.mark.parametrize("width", [2.0, 2.5, "2", None])
def test_what_is_no_integer(call, width):
    with pytest.raises(TypeError):
        call(width)


@pytest.mark.parametrize("multiplier", [np.float16(4), np.float32(4), np.int8(4), np.uint8(4)])
def test_numpy_multipliers_neither_round_nor_wrap(multiplier):
    # 4 * 7281 is no float16, and beyond int8.
    assert accumulators.weight_budget(2, 2, 16, multiplier) == 29124


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_encodings(kind):
    column = np.arange(3000.0)
    for n_segments, n_bits in [(9, 8), (40, 7)]:
        plain = fit_encoding([column], None, n_segments=n_segments, n_bits=n_bits)
        other = fit_encoding([column], None, n_segments=kind(n_segments), n_bits=kind(n_bits))
        np.testing.assert_array_equal(other.thresholds, plain.thresholds)
        assert type(other.n_bits) is int and other.n_bits == n_bits
    table, random_state = column[:, None], np.random.RandomState(0)
    weight = np.ones(3000)
    other = fit_input_encoding(
        table, weight, n_segments=kind(40), n_bits=kind(7), random_state=random_state
    )
    np.testing.assert_array_equal(other.thresholds, plain.thresholds)
    made = InputEncoding(plain.thresholds, plain.n_segments, kind(7))
    levels = np.arange(0, 40 * 127, 50, dtype=np.uint16)[:, None]
    np.testing.assert_array_equal(made.codes(levels), plain.codes(levels))
    assert made.steps == 127 and type(made.n_bits) is int


@pytest.mark.parametrize("kind", [k for k in TYPES if k is not np.array], ids=lambda k: k.__name__)
def test_limits(kind):
    codes = np.array([[3, -2, 1, 1, 1, -1]])
    input_range, candidates = np.array([[-4, 3]] * 6), np.ones((1, 6), dtype=bool)
    for n_accum_bits, budget in [(5, None), (8, 3), (40, 100)]:
        plain = LayerLimits(input_range, n_accum_bits, budget)
        other = LayerLimits(input_range, kind(n_accum_bits), budget and kind(budget))
        expected = keep_what_fits(codes, np.abs(codes), candidates, plain)
        found = keep_what_fits(codes, np.abs(codes), candidates, other)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int64, np.array])
def test_the_lowest_code_of_a_layer(kind):
    thresholds = np.arange(-127, 128)[None]
    layers = [
        HiddenLayer(np.array([[1]], dtype=np.int8), np.array([[-128, 127]]), thresholds, low)
        for low in (-128, kind(-128))
    ]
    acc = np.arange(-130.0, 130)[:, None]
    np.testing.assert_array_equal(*(layer.requantize(acc) for layer in layers))
    assert type(layers[1].output_low) is int


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_networks(tiny_network, kind):
    network = tiny_network(np.random.default_rng(0))
    other = tiny_network(np.random.default_rng(0), n_w_bits=3, n_accum_bits=kind(8))
    assert type(other.n_accum_bits) is int
    X = np.random.default_rng(1).normal(size=(50, 3))
    for n_bits in (2, 8, 40):
        plain, found = (network.simulate(X, n_accum_bits=n) for n in (n_bits, kind(n_bits)))
        np.testing.assert_array_equal(found.predictions, plain.predictions)
        np.testing.assert_array_equal(found.overflow_count[0], plain.overflow_count[0])
        assert type(found.n_accum_bits) is int


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_batches_of_qonnx(tiny_network, kind):
    pytest.importorskip("onnx")
    network = tiny_network(np.random.default_rng(0))
    assert to_qonnx(network, batch_size=kind(100)) == to_qonnx(network, batch_size=100)
