"""The C header, compiled by gcc and run: an executor that shares no code with Python's."""

import re
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.accumulators import code_range
from qnnprune.encoding import InputEncoding
from qnnprune.export import to_c
from qnnprune.export.argmax import LinearScores, RankScores, integer_scores
from qnnprune.export.c_source import c_string
from qnnprune.export.c_tables import compare, sparse_weight
from qnnprune.integer import IntegerLayer

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-Wundef"]
SANITIZED = ["-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
C99, CXX11 = ["gcc", "-std=c99", "-x", "c"], ["g++", "-std=c++11", "-x", "c++"]
FLOAT32_MAX = np.finfo(np.float32).max

# Reads a number of rows and the rows, for one network after the other; writes sums, values
# and predictions of every row in float64.
RUN = """
static void run_{p}(void)
{{
    {p}_input_t x[{p_upper}_WIDTH];
    {p}_sum_t sum[{n_sums}];
    double out[3 * {n_sums}] = {{0}};
    uint32_t rows;
    if (fread(&rows, sizeof rows, 1, stdin) != 1) exit(2);
    while (rows--) {{
        if (fread(x, sizeof x, 1, stdin) != 1) exit(3);
        {p}_raw(x, sum);
        for (int k = 0; k < {n_sums}; k++) out[k] = sum[k];
        {p}_decision(sum, out + {n_sums});
        {predict};
        fwrite(out, sizeof out, 1, stdout);
    }}
}}
"""


def compiled(folder, text, command, name="main"):
    """Compile C text in a folder; return the path of what comes out."""
    source, target = folder / f"{name}.c", folder / name
    source.write_text(text)
    done = subprocess.run(
        [*command, str(source), "-o", str(target)], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr[:5000]
    return target


def main_of(headers):
    """C that runs all headers, given as {prefix: (network, input)}."""
    lines = ["#include <stdio.h>", "#include <stdlib.h>"]
    for p, (network, kind) in headers.items():
        width = "N_CODES" if kind == "codes" else "N_FEATURES"
        n_sums = len(network.layers[-1].weight)
        predict = f"out[2 * {n_sums}] = {p}_predict(x)"
        if network.classes is None and n_sums > 1:
            predict = f"{p}_predict(x, out + 2 * {n_sums})"
        lines += [f'#include "{p}.h"', f"#define {p.upper()}_WIDTH {p.upper()}_{width}"]
        lines += [RUN.format(p=p, p_upper=p.upper(), n_sums=n_sums, predict=predict)]
    calls = " ".join(f"run_{p}();" for p in headers)
    return "\n".join(lines) + f"\nint main(void) {{ {calls} return 0; }}\n"


def run(program, headers, rows):
    """Sums, values and predictions of the rows of every network, as (n, 3, n_sums) each."""
    data = b"".join(np.uint32(len(x)).tobytes() + x.tobytes() for x in rows)
    done = subprocess.run([str(program)], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:5000]
    sizes = [
        len(x) * 3 * len(network.layers[-1].weight)
        for x, (network, _) in zip(rows, headers.values(), strict=True)
    ]
    out = np.split(np.frombuffer(done.stdout), np.cumsum(sizes)[:-1])
    return [o.reshape(len(x), 3, -1) for o, x in zip(out, rows, strict=True)]


def expected(network, kind, X):
    """The same in Python: exact sums by int64 products, values and predictions by the network."""
    codes = X if kind == "codes" else network.quantize_input(X)
    values = network.run(codes)
    for layer in network.layers:
        sums = codes.astype(np.int64) @ layer.weight.T.astype(np.int64)
        if layer.thresholds is not None:
            codes = layer.output_low + (sums[:, :, None] >= layer.thresholds).sum(axis=2)
    result = np.zeros((len(X), 3, sums.shape[1]))
    result[:, 0], result[:, 1] = sums, values
    if network.classes is None:
        result[:, 2] = values
    elif values.shape[1] == 1:
        result[:, 2, 0] = values[:, 0] > 0
    else:
        result[:, 2, 0] = values.argmax(axis=1)
    return result


TYPES = {"float": "f4", "double": "f8", "uint8": "u1", "int8": "i1", "int16": "i2", "uint16": "u2"}
TYPES |= {"int32": "i4", "codes": "i1"}


def rows_of(rng, network, kind, n_rows=40):
    """Rows on, beside and far from thresholds; codes that reach the worst cases."""
    dtype = np.dtype(TYPES[kind])
    if kind == "codes":
        return code_rows(rng, network, n_rows)
    thresholds = network.encoding.thresholds
    picked = rng.integers(0, thresholds.shape[1], (n_rows, len(thresholds)))
    X = thresholds[np.arange(len(thresholds)), picked]
    X = np.where(np.isfinite(X), X, rng.normal(size=X.shape))
    if dtype.kind == "f":
        X = X.astype(dtype)
        towards = rng.choice([-1.0, 1.0], X.shape).astype(dtype) * np.inf
        X = np.where(rng.random(X.shape) < 0.5, np.nextafter(X, towards), X)
        X[0], X[1] = np.finfo(dtype).max, np.finfo(dtype).min
        return X
    info = np.iinfo(dtype)
    X = np.clip(np.floor(X) + rng.integers(0, 2, X.shape), info.min, info.max).astype(dtype)
    X[0], X[1] = info.max, info.min
    return X


def code_rows(rng, network, n_rows):
    layer = network.layers[0]
    low, high = layer.input_range.T
    worst = [np.where(sign * w > 0, high, low) for w in layer.weight for sign in (1, -1)]
    random = rng.integers(low, high + 1, (n_rows, len(low)))
    return np.concatenate([random, worst]).astype(np.int8)


SHAPES = [
    {"n_hidden": (), "n_outputs": 1},
    {"n_hidden": (), "n_outputs": 3, "n_in_bits": 8, "n_w_bits": 8},
    {"n_hidden": (4, 3), "n_outputs": 4, "n_a_bits": 3},
    {"n_hidden": (9,), "n_outputs": 1, "n_w_bits": 2, "n_in_bits": 1},
    {"n_hidden": (300, 5), "n_outputs": 2, "n_w_bits": 2, "n_features": 20},
    {"n_hidden": (5, 270, 4), "n_outputs": 3, "n_w_bits": 8, "n_a_bits": 8},
]


def scaled(network, factor):
    """The network with thresholds that integers straddle."""
    encoding = network.encoding
    wider = InputEncoding(encoding.thresholds * factor, encoding.n_segments, encoding.n_bits)
    return IntegerNetwork(
        wider,
        network.layers,
        n_w_bits=network.n_w_bits,
        n_accum_bits=network.n_accum_bits,
        classes=network.classes,
    )


@pytest.fixture(scope="module")
def zoo(tiny_network, tmp_path_factory):
    """Headers of random networks of every kind, with the rows and the results they must give."""
    folder, headers, rows = tmp_path_factory.mktemp("zoo"), {}, []
    for number, (shape, kind) in enumerate(product(SHAPES, TYPES)):
        rng = np.random.default_rng(number)
        n_classes = max(2, shape["n_outputs"]) if number % 3 else None
        classes = None if n_classes is None else np.arange(n_classes)
        network = tiny_network(rng, classes=classes, **shape)
        if number % 5 > 1:
            for layer in network.layers:
                layer.weight[rng.random(layer.weight.shape) < 0.7] = 0
        network = scaled(network, 40 if TYPES[kind][0] in "iu" else 1)
        prefix = f"n{number}"
        headers[prefix] = (network, kind)
        optimize = "size" if number % 4 else "speed"
        to_c(network, folder / f"{prefix}.h", prefix=prefix, input=kind, optimize=optimize)
        rows.append(rows_of(rng, network, kind))
    return folder, headers, rows


COMMANDS = [
    pytest.param([*C99, *STRICT, *SANITIZED], id="C99, sanitized", marks=needs_gcc),
    pytest.param([*C99, *STRICT, "-O2"], id="C99, optimized", marks=needs_gcc),
    pytest.param([*CXX11, *STRICT, "-Os"], id="C++11, small", marks=needs_gxx),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_compiled_header_equals_python_on_every_row(zoo, command):
    folder, headers, rows = zoo
    program = compiled(folder, main_of(headers), command)
    results = run(program, headers, rows)
    for (p, (network, kind)), X, result in zip(headers.items(), rows, results, strict=True):
        np.testing.assert_array_equal(result, expected(network, kind, X), err_msg=p)
