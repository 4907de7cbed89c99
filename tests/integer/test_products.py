"""Every way of multiplying codes by weights, against sums of Python's integers."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune.integer import OutputLayer
from qnnprune.integer._layer import IntegerLayer, Scratch
from qnnprune.integer._products import Products, int8_product

PLAIN, PACKED, INT8 = 64, 65, 256  # rows for which that way is taken, where it can be


def sums_of(layer, codes, dtype=np.int64):
    return Products(layer).sums(codes, np.dtype(dtype), Scratch())


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
    n = draw(st.sampled_from([1, 2, PLAIN, PACKED, 100, INT8, 300]))
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
    assert Products(IntegerLayer(np.eye(4, 1, dtype=np.int8), ends)).packed_weight.shape == (2, 1)
    assert Products(IntegerLayer(-np.eye(4, 1, dtype=np.int8), ends)).packed_weight is None
    # Sums are within -4 to 4, but the first two products alone make 254.
    shifted = np.array([[126, 127], [126, 127], [-127, -126], [-127, -126]])
    layer = IntegerLayer(np.ones((2, 4), dtype=np.int8), shifted)
    assert np.abs(layer.accumulator_range).max() == 4 - 2
    assert Products(layer).packed_weight is None


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
    torch = pytest.importorskip("torch")
    if int8_product() is None:
        pytest.skip("this processor has no int8 products")
    called, product = [], torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda *a, **k: called.append(a) or product(*a, **k))
    layer = IntegerLayer(np.ones((2, 3), dtype=np.int8), np.tile([-2, 1], (3, 1)))
    sums_of(layer, np.ones((3, INT8), dtype=np.int8))
    assert len(called) == 1
    sums_of(layer, np.ones((3, INT8 - 1), dtype=np.int8))
    assert len(called) == 1


def test_a_forked_process_leaves_torch_alone(monkeypatch):
    """Its threads are those of the parent, which it would wait for."""
    pytest.importorskip("torch")
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    assert int8_product() is None


def test_torch_that_another_thread_is_importing(monkeypatch):
    half = SimpleNamespace(__spec__=SimpleNamespace(_initializing=True))
    monkeypatch.setitem(sys.modules, "torch", half)
    assert int8_product() is None


def saturating(left, right, out):
    """What processors do that multiply uint8 by int8, and add up pairs of products in 16 bits."""
    unsigned = left + 128
    pairs = unsigned[:, ::2, None] * right[::2] + unsigned[:, 1::2, None] * right[1::2]
    out[...] = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=1) - 128 * right.sum(axis=0)


def exact(left, right, out):
    out[...] = left @ right


@pytest.mark.parametrize(
    ("multiply", "is_taken"), [(saturating, False), (exact, True), (None, False)]
)
def test_a_product_is_tried_before_it_is_taken(monkeypatch, multiply, is_taken):
    other = ModuleType("torch")
    other.from_numpy = lambda array: array
    other.cpu = SimpleNamespace(_is_vnni_supported=lambda: True)
    if multiply is not None:
        other._int_mm = lambda left, right, out: multiply(left.astype(int), right.astype(int), out)
    monkeypatch.setitem(sys.modules, "torch", other)
    assert (int8_product() is not None) == is_taken
