"""Every way of multiplying codes by weights, against sums of Python's integers."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qnnprune.integer import HiddenLayer, OutputLayer, _int8
from qnnprune.integer._int8 import line_through, torch_with_int8
from qnnprune.integer._layer import IntegerLayer, Scratch
from qnnprune.integer._products import Products, many_rows

PLAIN, PACKED, INT8 = 64, 65, 128  # rows for which that way is taken, where it can be


def sums_of(layer, codes, dtype=np.int64):
    return Products(layer, INT8).sums(codes, np.dtype(dtype), Scratch())


def expected_sums(weight, codes):
    columns = codes.T.tolist()
    rows = weight.tolist()
    return [[sum(w * c for w, c in zip(r, x, strict=True)) for x in columns] for r in rows]


@st.composite
def layers_at_their_ends(draw):
    """Rows of weights, many of whose ranges are just those of int8, with codes at their ends."""
    bits, n_in, n_out = draw(st.integers(1, 8)), draw(st.integers(1, 40)), draw(st.integers(1, 10))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    weight = np.zeros((n_out, n_in), dtype=np.int8)
    for row in weight:
        left = 128 // -low  # as much as fits -128 to 127
        for place in random.permutation(n_in):
            size = random.integers(0, min(left, 127) + 1)
            row[place], left = random.choice([-size, size]), left - size
    layer = IntegerLayer(weight, np.tile([low, high], (n_in, 1)))
    if draw(st.booleans()):  # sums of other layers do not fit
        layer = IntegerLayer(np.roll(weight, 1, axis=1) // 2 * 3, layer.input_range)
    n = draw(st.sampled_from([1, 2, PLAIN, PACKED, 100, INT8, 1100]))
    codes = random.integers(low, high + 1, (n_in, n))
    # The first rows reach the ends of the first neurons' ranges.
    for place in range(min(n // 2, n_out)):
        codes[:, 2 * place] = np.where(layer.weight[place] > 0, low, high)
        codes[:, 2 * place + 1] = np.where(layer.weight[place] > 0, high, low)
    return layer, codes.astype(np.int8)


@pytest.mark.parametrize("torch", [True, False])
@settings(max_examples=60, deadline=None)
@given(drawn=layers_at_their_ends(), order=st.sampled_from("CF"))
def test_all_ways_give_the_same_integers(torch, drawn, order):
    layer, codes = drawn
    with pytest.MonkeyPatch.context() as patch:
        if torch:
            pytest.importorskip("torch")
        else:
            patch.delitem(sys.modules, "torch", raising=False)
        found = sums_of(layer, np.array(codes, order=order))
    assert found.tolist() == expected_sums(layer.weight, codes)


def test_which_way_is_taken():
    """Three neurons share a float32 where all of their sums fit 8 bits, in any order."""
    ends = np.array([[-128, 127]])
    assert Products(IntegerLayer(np.eye(4, 1, dtype=np.int8), ends), INT8).packed_weight.shape == (
        2,
        1,
    )
    assert Products(IntegerLayer(-np.eye(4, 1, dtype=np.int8), ends), INT8).packed_weight is None
    # Sums are within -4 to 4, but the first two products alone make 254.
    shifted = np.array([[126, 127], [126, 127], [-127, -126], [-127, -126]])
    layer = IntegerLayer(np.ones((2, 4), dtype=np.int8), shifted)
    assert np.abs(layer.accumulator_range).max() == 4 - 2
    assert Products(layer, INT8).packed_weight is None


def test_totals_of_a_logit_may_leave_int8():
    weight = np.full((6, 2), 127, dtype=np.int8)
    output = OutputLayer(weight, np.tile([-128, 127], (2, 1)), np.ones(2), np.zeros(2))
    assert output.totals.weight.tolist() == [[381, 381]] * 2
    codes = np.tile(np.array([[-128, 127, 3]], dtype=np.int8), (2, INT8))
    assert sums_of(output.totals, codes)[1, :3].tolist() == [-97536, 96774, 2286]


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1)])
def test_one_neuron_or_one_input(shape):
    """The strides of such a matrix are those of its transpose, too."""
    weight = np.arange(1, 1 + np.prod(shape), dtype=np.int8).reshape(shape)
    layer = IntegerLayer(weight, np.tile([-2, 1], (shape[1], 1)))
    codes = np.resize(np.array([-2, 1, 0, 1, -1], dtype=np.int8), (shape[1], INT8))
    assert sums_of(layer, codes).tolist() == expected_sums(weight, codes)


def test_torch_multiplies_where_it_can(monkeypatch):
    pytest.importorskip("torch")
    if torch_with_int8() is None:
        pytest.skip("this processor has no int8 products")
    called, product = [], _int8._Operation.sums
    monkeypatch.setattr(_int8._Operation, "sums", lambda *a: called.append(a) or product(*a))
    layer = IntegerLayer(np.ones((2, 2), dtype=np.int8), np.tile([-2, 1], (2, 1)))
    sums_of(layer, np.ones((2, INT8), dtype=np.int8))
    assert len(called) == 1
    sums_of(layer, np.ones((2, INT8 - 1), dtype=np.int8))
    assert len(called) == 1


def test_a_network_goes_one_way():
    """From as many rows on as its largest layer needs for 4 million products; 32 more a code."""
    shapes = [(128, 64), (10, 128)]
    layers = [IntegerLayer(np.ones(shape, np.int8), np.zeros((shape[1], 2))) for shape in shapes]
    assert many_rows(layers) == many_rows(layers[:1]) == np.ceil(2**22 / (64 * 160))
    assert many_rows(layers[1:]) == np.ceil(2**22 / (128 * 42))


def test_default_types_of_torch_do_not_matter():
    torch = pytest.importorskip("torch")
    weight = np.array([[1, -2, 1]], dtype=np.int8)
    layer = IntegerLayer(weight, np.tile([-2, 1], (3, 1)))
    codes = np.resize(np.array([-2, 1, 0, 1, -1], dtype=np.int8), (3, INT8))
    torch.set_default_dtype(torch.float64)
    try:
        assert sums_of(layer, codes).tolist() == expected_sums(weight, codes)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_forked_process_leaves_torch_alone(monkeypatch):
    """Its threads are those of the parent, which it would wait for."""
    pytest.importorskip("torch")
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert torch_with_int8() is None


def test_torch_that_another_thread_is_importing(monkeypatch):
    half = SimpleNamespace(__spec__=SimpleNamespace(_initializing=True))
    monkeypatch.setitem(sys.modules, "torch", half)
    assert torch_with_int8() is None


def exact(rows, weight):
    return (rows.astype(int) - 128) @ weight.T.astype(int)


def saturating(rows, weight):
    """What processors do that add up pairs of products in 16 bits."""
    pairs = rows.astype(int)[:, None, :] * weight.astype(int)
    pairs = pairs[..., ::2] + pairs[..., 1::2]
    return np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=-1) - 128 * weight.sum(axis=1, dtype=int)


class Array(np.ndarray):
    def numpy(self):
        return np.asarray(self)


@pytest.mark.parametrize(
    ("multiply", "rounded", "is_taken"),
    [(exact, np.rint, True), (saturating, np.rint, False), (exact, np.floor, False)]
    + [(None, None, False)],
)
def test_a_product_is_tried_before_it_is_taken(monkeypatch, multiply, rounded, is_taken):
    def pointwise(rows, _, __, weight, scale, ___, bias, *rest):
        values = multiply(np.asarray(rows), weight) * scale + (0 if bias is None else bias)
        dtype, arguments = rest[2], rest[4]
        values = np.clip(values, *arguments) if arguments else values
        return (rounded(values) if dtype is np.int8 else values).astype(dtype).view(Array)

    other = ModuleType("torch")
    other.from_numpy, other.int8, other.float32 = np.asarray, np.int8, np.float32
    other.cpu = SimpleNamespace(_is_vnni_supported=lambda: True)
    onednn = SimpleNamespace(qlinear_prepack=lambda weight, _: weight)
    if multiply is not None:
        onednn.qlinear_pointwise = pointwise
    other.ops = SimpleNamespace(onednn=onednn)
    monkeypatch.setitem(sys.modules, "torch", other)
    assert (torch_with_int8() is not None) == is_taken


def counted(layer, row, total):
    return layer.output_low + sum(total >= threshold for threshold in layer.thresholds[row])


def agrees(layer, line):
    """Whether a line gives the code of every sum that a neuron can have, in float32."""
    slope, offset = line
    for row, (low, high) in enumerate(layer.accumulator_range.tolist()):
        sums = np.arange(low, high + 1, dtype=np.float32)
        codes = np.rint(slope[row] * sums + offset[row])
        last = layer.output_low + layer.thresholds.shape[1]
        expected = [counted(layer, row, total) for total in range(low, high + 1)]
        if np.clip(codes, layer.output_low, last).tolist() != expected:
            return False
    return True


def hidden(thresholds, largest, output_low=-2):
    weight = np.full((len(thresholds), 1), 1, dtype=np.int8)
    return HiddenLayer(weight, np.array([[-largest, largest]]), np.array(thresholds), output_low)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), bits=st.integers(1, 4), largest=st.sampled_from([1, 5, 100]))
def test_a_line_gives_the_code_of_every_sum(data, bits, largest):
    """Or there is none, of any thresholds."""
    near = st.integers(-2 * largest, 2 * largest)
    rows = st.lists(near, min_size=2**bits - 1, max_size=2**bits - 1).map(sorted)
    layer = hidden(data.draw(st.lists(rows, min_size=1, max_size=3)), largest)
    line = line_through(layer)
    assert line is None or agrees(layer, line)


@settings(max_examples=300, deadline=None)
@given(
    bits=st.integers(1, 8),
    slope=st.floats(1e-3, 20),
    offset=st.floats(-300, 300),
    largest=st.sampled_from([1, 5, 127]),
)
def test_affine_maps_have_a_line(bits, slope, offset, largest):
    """If the map itself does not come too near to a half, where float32 may round either way."""
    places = np.arange(1, 2**bits) - 0.5
    edges = (places - offset) / slope
    mapped = slope * np.arange(-largest, largest + 1) + offset
    assume(np.abs(mapped[:, None] - places).min() > 1e-3)
    layer = hidden([np.ceil(edges).astype(int)], largest, output_low=-(2 ** (bits - 1)))
    assert agrees(layer, line_through(layer))


@pytest.mark.parametrize(
    ("thresholds", "largest", "has_line"),
    [
        ([-1, 0, 1], 5, True),
        ([-5, 0, 5], 9, True),
        ([-5, 1, 5], 9, False),  # only a line through the ends of their places
        ([0, 1, 9], 9, False),
        ([0, 3, 9], 5, True),  # no sum reaches the last
        ([0, 0, 0], 5, True),
        ([0, 0, 1], 5, True),
        ([-9, -9, 3], 5, True),
        ([-3, -3, 3], 5, False),
        ([6, 7, 8], 5, True),
        ([-7, -6, -5], 5, True),
        ([-(2**53), 2, 2**53], 5, True),
    ],
)
def test_which_thresholds_lie_on_a_line(thresholds, largest, has_line):
    layer = hidden([thresholds, [-1, 0, 1]], largest)
    line = line_through(layer)
    assert (line is not None) == has_line
    assert line is None or agrees(layer, line)
