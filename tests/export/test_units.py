"""Integer features in C: refused where they cannot be in the units of training, and only there."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.encoding import fit_encoding
from qnnprune.export import to_c
from qnnprune.export.c._inputs import input_thresholds
from qnnprune.export.c._units import check_units

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32"]


def checked(encoding, dtype):
    found = [
        t[: n * encoding.steps]
        for t, n in zip(encoding.thresholds, encoding.n_segments, strict=True)
    ]
    check_units(found, encoding.steps, np.dtype(dtype))
    return input_thresholds(found, np.dtype(dtype))


@st.composite
def integer_columns(draw):
    dtype = draw(st.sampled_from(INTEGERS))
    info = np.iinfo(dtype)
    near = st.integers(max(info.min, -9), 9)
    values = draw(st.lists(near | st.integers(info.min, info.max), min_size=1, max_size=30))
    weight = np.random.default_rng(draw(st.integers(0, 99))).integers(1, 6, len(values))
    return dtype, np.array(values, dtype=float), weight.astype(float)


@given(
    column=integer_columns(),
    n_segments=st.sampled_from([1, 2, 3, 16]),
    n_bits=st.integers(1, 8),
)
def test_what_was_fitted_on_integers_is_never_refused(column, n_segments, n_bits):
    dtype, values, weight = column
    encoding = fit_encoding([values], weight, n_segments=n_segments, n_bits=n_bits)
    found = checked(encoding, dtype)
    # And no training value changes sides.
    reached = values[:, None] >= found.thresholds
    if found.operator == ">":
        reached = values[:, None] > found.thresholds
    assert reached.sum(axis=1).tolist() == encoding.levels(values[:, None])[:, 0].tolist()


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([(1, 4), (1, 8), (3, 2), (3, 8), (16, 1), (16, 2)]),
    shift=st.floats(-0.9, 0.9),
)
def test_standardized_counts_are_refused(seed, size, shift):
    n_segments, n_bits = size
    values = np.random.default_rng(seed).integers(0, 200, 300).astype(float)
    values = (values - values.mean()) / values.std() + shift
    encoding = fit_encoding([values], None, n_segments=n_segments, n_bits=n_bits)
    with pytest.raises(ValueError, match=r"x\[0\] has \d+ thresholds from -\d.*lie between"):
        checked(encoding, "int16")


@pytest.mark.parametrize("n_segments", [1, 3, 16])
@pytest.mark.parametrize("n_bits", [2, 4, 8])
def test_shares_are_refused(n_segments, n_bits):
    encoding = fit_encoding([np.arange(101) / 100], None, n_segments=n_segments, n_bits=n_bits)
    with pytest.raises(ValueError, match="as uint8 they are 1: training values lie between"):
        checked(encoding, "uint8")


@pytest.mark.parametrize(
    "values, dtype", [([-1, 0, 1], "uint8"), ([0, 100, 200], "int8"), ([0, 2**31, 2**32], "int32")]
)
def test_training_values_beyond_the_type_are_refused(values, dtype):
    encoding = fit_encoding([np.array(values, float)], None, n_segments=3, n_bits=1)
    with pytest.raises(ValueError, match=f"{dtype} goes from .*values were beyond it.*holds them"):
        checked(encoding, dtype)


def fitted(scaler):
    X, y = load_digits(return_X_y=True)
    net = PrunedNeuralNetClassifier((16,), max_epochs=2, random_state=0)
    return (make_pipeline(scaler, net) if scaler else net).fit(X, y), net, X


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler()])
@pytest.mark.parametrize("kind", INTEGERS)
def test_a_network_behind_a_scaler_does_not_take_raw_integers(scaler, kind):
    _, net, _ = fitted(scaler)
    with pytest.raises(ValueError, match=r"x\[\d+\] has \d+ thresholds from .* to .*, and"):
        to_c(net, input=kind)
    assert to_c(net, input="float").text  # in the scaler's units


@pytest.mark.parametrize("kind", INTEGERS)
def test_raw_integers_are_taken_and_the_header_says_their_units(kind):
    _, net, X = fitted(None)
    text = to_c(net, input=kind).text
    lines = re.findall(
        r"x\[(\d+)\]: (not read|compared with (\S+) to ([^\s;]+))(?:; -?\d+ stands for a gap)?\n",
        text,
    )
    assert [int(index) for index, *_ in lines] == list(range(64))
    encoding = net.integer_network_.encoding
    for index, found, low, high in lines:
        row = encoding.thresholds[int(index)]
        if found == "not read":
            codes = net.integer_network_.layers[0].weight[:, encoding.feature == int(index)]
            assert not codes.any() or X[:, int(index)].std() == 0
        else:
            expected = [row[0], row[np.isfinite(row)][-1]]
            np.testing.assert_allclose([float(low), float(high)], expected, rtol=1e-5)


def test_messages_name_the_feature(tiny_network):
    names = np.array(["width", "height", "depth"])
    network = tiny_network(np.random.default_rng(0), feature_names=names)
    with pytest.raises(ValueError, match=r"x\[\d\] \('(width|height|depth)'\) has"):
        to_c(network, input="int16")
