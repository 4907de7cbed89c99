"""Fixtures that every test module may use."""

import os

# Before numpy and torch look: two processes of tests share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from qnnprune import IntegerNetwork
from qnnprune.accumulators import accumulator_range, code_range, weight_max
from qnnprune.encoding._encoding import InputEncoding
from qnnprune.integer import HiddenLayer, OutputLayer

# Their assertions explain themselves as those of test modules do.
pytest.register_assert_rewrite("prunable", "samples", "trainings")

# The same examples in every run, and no example fails for being slow.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def _encoding(rng, n_features, n_bits):
    n_segments = rng.integers(0, 3, n_features)
    steps = 2**n_bits - 1
    thresholds = np.full((n_features, max(1, n_segments.max()) * steps), np.inf)
    for row, count in zip(thresholds, n_segments * steps, strict=True):
        row[:count] = np.sort(rng.normal(size=count).round(2))
    return InputEncoding(thresholds, n_segments, n_bits)


def _hidden_layer(rng, weight, input_range, n_bits):
    low, high = accumulator_range(weight, input_range).T[:, :, None]
    shape = (len(weight), 2**n_bits - 1)
    thresholds = np.sort(rng.integers(low, high + 2, shape), axis=1)
    return HiddenLayer(weight, input_range, thresholds, output_low=code_range(n_bits)[0])


@pytest.fixture(scope="session")
def tiny_network():
    """Factory of random, valid networks: ``tiny_network(rng, n_hidden=(4, 3), ...)``."""

    def make(
        rng,
        *,
        n_features=3,
        n_hidden=(4, 3),
        n_outputs=1,
        n_output_sums=1,
        n_in_bits=2,
        n_a_bits=2,
        n_w_bits=3,
        n_accum_bits=8,
        classes=None,
        feature_names=None,
    ):
        encoding = _encoding(rng, n_features, n_in_bits)
        layers, input_range, largest = [], encoding.input_range, weight_max(n_w_bits)
        for n_out in (*n_hidden, n_outputs * n_output_sums):
            shape = (n_out, len(input_range))
            weight = rng.integers(-largest, largest + 1, shape).astype(np.int8)
            if len(layers) < len(n_hidden):
                layers.append(_hidden_layer(rng, weight, input_range, n_a_bits))
                input_range = np.tile(np.array(code_range(n_a_bits)), (n_out, 1))
        scale, bias = rng.normal(size=(2, n_outputs))
        layers.append(OutputLayer(weight, input_range, scale=scale, bias=bias))
        return IntegerNetwork(
            encoding,
            layers,
            n_w_bits=n_w_bits,
            n_accum_bits=n_accum_bits,
            classes=classes,
            feature_names=feature_names,
        )

    return make
