"""The C header, compiled by gcc and run: an executor that shares no code with Python's."""

import re
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import oracles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.encoding import InputEncoding, fit_encoding
from qnnprune.export import to_c
from qnnprune.export.c._argmax import LinearScores, RankScores, integer_scores
from qnnprune.export.c._source import c_string
from qnnprune.export.c._tables import compare, sparse_weight
from qnnprune.integer import OutputLayer

slow = pytest.mark.slow
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
    {p}_sum_t sum[{p_upper}_N_SUMS];
    double out[{p_upper}_N_SUMS + 2 * {p_upper}_N_VALUES] = {{0}};
    double *value = out + {p_upper}_N_SUMS, *predicted = value + {p_upper}_N_VALUES;
    uint32_t rows;
    if (fread(&rows, sizeof rows, 1, stdin) != 1) exit(2);
    while (rows--) {{
        if (fread(x, sizeof x, 1, stdin) != 1) exit(3);
        {p}_raw(x, sum);
        for (int k = 0; k < {p_upper}_N_SUMS; k++) out[k] = sum[k];
        {p}_decision(sum, value);
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
        predict = f"predicted[0] = {p}_predict(x)"
        if network.classes is None and len(network.layers[-1].scale) > 1:
            predict = f"{p}_predict(x, predicted)"
        lines += [f'#include "{p}.h"', f"#define {p.upper()}_WIDTH {p.upper()}_{width}"]
        lines += [RUN.format(p=p, p_upper=p.upper(), predict=predict)]
    calls = " ".join(f"run_{p}();" for p in headers)
    return "\n".join(lines) + f"\nint main(void) {{ {calls} return 0; }}\n"


def sizes(network):
    """How many sums, values and places for predictions there are."""
    output = network.layers[-1]
    return len(output.weight), len(output.scale), len(output.scale)


def run(program, headers, rows):
    """Sums, values and predictions of the rows of every network, side by side."""
    data = b"".join(np.uint32(len(x)).tobytes() + x.tobytes() for x in rows)
    done = subprocess.run([str(program)], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:5000]
    ends = np.cumsum(
        [len(x) * sum(sizes(net)) for x, (net, _) in zip(rows, headers.values(), strict=True)]
    )
    out = np.split(np.frombuffer(done.stdout), ends[:-1])
    return [o.reshape(len(x), -1) for o, x in zip(out, rows, strict=True)]


def expected(network, kind, X):
    """The same in Python integers."""
    rows = []
    for x in X:
        codes = x if kind == "codes" else oracles.encode(network.encoding, x)
        *_, (sums, values) = oracles.walk(network.layers, codes)
        rows.append([*sums, *values, *predicted(values, network.classes)])
    return np.array(rows, dtype=np.float64)


def predicted(values, classes):
    """Target values, or the index of a class and zeros."""
    if classes is None:
        return values
    best = values.index(max(values)) if len(values) > 1 else int(values[0] > 0)
    return [best] + [0] * (len(values) - 1)


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
    {"n_hidden": (300, 20), "n_outputs": 2, "n_w_bits": 2, "n_features": 20},
    {"n_hidden": (5, 270, 4), "n_outputs": 3, "n_w_bits": 8, "n_a_bits": 8},
    {"n_hidden": (6, 30), "n_outputs": 3, "n_output_sums": 4, "n_a_bits": 1, "n_w_bits": 4},
    {"n_hidden": (30,), "n_outputs": 1, "n_output_sums": 2, "n_a_bits": 1, "n_w_bits": 4},
    {"n_hidden": (60, 5), "n_outputs": 2, "n_output_sums": 3, "n_w_bits": 8},
]


# Scale and bias that only scores of 64 or 32 bits, or ranks, tell apart as float64 does.
FINE = {
    0: ([1.0, 1.0], [0.0, 1e-12]),
    2: ([0.1, 0.3], [0.2, 0.0]),
    4: ([1.0, -1.0], [0.0, 1e-7]),
}


def scaled(network, factor):
    """The network with thresholds of another magnitude."""
    encoding = network.encoding
    wider = InputEncoding(encoding.thresholds * factor, encoding.n_segments, encoding.n_bits)
    return with_encoding(network, wider)


def fitted_on_integers(rng, network, dtype):
    """The network with thresholds between integers of a type, few or many, near or far."""
    encoding, info = network.encoding, np.iinfo(dtype)
    thresholds = np.full_like(encoding.thresholds, np.inf)
    for row, n_segments in zip(thresholds, encoding.n_segments.tolist(), strict=True):
        n_values = n_segments + 1 + int(rng.integers(0, 60)) * (n_segments > 0)
        reach = int(
            rng.integers(
                n_values, min(n_values * 2 ** int(rng.integers(0, 20)), 2 ** int(info.bits)) + 1
            )
        )
        first = int(rng.integers(info.min, info.max + 2 - reach))
        values = first + rng.choice(reach, n_values, replace=False)
        fitted = fit_encoding([values], None, n_segments=n_segments or 1, n_bits=encoding.n_bits)
        assert fitted.n_segments.tolist() == [n_segments]
        row[: n_segments * encoding.steps] = fitted.thresholds[0][: n_segments * encoding.steps]
    return with_encoding(network, InputEncoding(thresholds, encoding.n_segments, encoding.n_bits))


def with_encoding(network, encoding):
    return IntegerNetwork(
        encoding,
        network.layers,
        n_w_bits=network.n_w_bits,
        n_accum_bits=network.n_accum_bits,
        classes=network.classes,
    )


@pytest.fixture(scope="module")
def zoo(tiny_network, tmp_path_factory):
    """Headers of random networks of every kind, with the rows and the results they must give."""
    folder, headers, rows, results = tmp_path_factory.mktemp("zoo"), {}, [], []
    for number, (shape, kind) in enumerate(product(SHAPES, TYPES)):
        if number % 5 in (1, 3):  # enough of all combinations
            continue
        rng = np.random.default_rng(number)
        n_classes = max(2, shape["n_outputs"]) if number % 7 > 1 else None
        classes = None if n_classes is None else np.arange(n_classes)
        network = tiny_network(rng, classes=classes, **shape)
        if number % 10 in FINE and shape["n_outputs"] > 1:
            network.layers[-1].scale[:2], network.layers[-1].bias[:2] = FINE[number % 10]
        if number % 4 > 1:
            for layer in network.layers:
                layer.weight[rng.random(layer.weight.shape) < 0.3 + 0.2 * (number % 4 - 1)] = 0
        if TYPES[kind][0] in "iu" and kind != "codes":
            network = fitted_on_integers(rng, network, TYPES[kind])
        prefix = f"n{number}"
        headers[prefix] = (network, kind)
        optimize = "size" if number % 3 else "speed"
        to_c(network, folder / f"{prefix}.h", prefix=prefix, input=kind, optimize=optimize)
        rows.append(rows_of(rng, network, kind))
        results.append(expected(network, kind, rows[-1]))
    return folder, headers, rows, results


COMMANDS = [
    pytest.param([*C99, *STRICT, *SANITIZED], id="C99, sanitized", marks=needs_gcc),
    pytest.param([*C99, *STRICT, "-O2"], id="C99, optimized", marks=[needs_gcc, slow]),
    pytest.param([*CXX11, *STRICT, "-Os"], id="C++11, small", marks=[needs_gxx, slow]),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_compiled_header_equals_python_on_every_row(zoo, command):
    folder, headers, rows, results = zoo
    texts = "".join((folder / f"{p}.h").read_text() for p in headers)
    kinds = ["int16_t", "int32_t", "int64_t", "uint8_t"]  # the last for ranks
    assert all(re.search(rf"typedef {kind} n\d+_score_t", texts) for kind in kinds)
    tables = ["step", "packed", "index", "weight", "rank", r"layer\d_start"]
    assert all(re.search(rf"_{table}\[", texts) for table in tables)
    assert re.search(r"int8_t (n\d+)_sum_t;\ntypedef int16_t \1_total_t", texts)
    assert re.search(r"_best_rank\w*\(total,", texts) and re.search(r"_score\(total\[0\],", texts)
    program = compiled(folder, main_of(headers), command)
    for p, found, result in zip(headers, run(program, headers, rows), results, strict=True):
        np.testing.assert_array_equal(found, result, err_msg=p)


def make_estimator(kind, **settings):
    """A fitted estimator of each kind, with its training rows in float32."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4)).astype(np.float32)
    X[:, 3] = 2.5  # a constant feature has a code, but no threshold
    net, y = PrunedNeuralNetClassifier, np.array(["no", "yes"])[(X[:, 0] > X[:, 1]).astype(int)]
    if kind == "several":
        y = np.array(["<b>", 'q"*/', "caffè ??/"])[np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])]
    if kind == "target":
        net, y = PrunedNeuralNetRegressor, X[:, 0] - X[:, 1]
    if kind == "targets":
        net, y = PrunedNeuralNetRegressor, X[:, :2] * 3 + X[:, 2:3]
    return net((12, 6), n_w_bits=3, max_epochs=2, random_state=0, **settings).fit(X, y), X


@needs_gcc
@pytest.mark.parametrize("settings", [{}, {"n_output_sums": 3, "n_a_bits": 1}])
def test_fitted_estimators_predict_the_same_in_c(tmp_path, settings):
    kinds = ["two", "several", "target", "targets"]
    fitted = {kind: make_estimator(kind, **settings) for kind in kinds}
    headers = {kind: (net.integer_network_, "float") for kind, (net, _) in fitted.items()}
    for kind, (net, _) in fitted.items():
        header = to_c(net, tmp_path / f"{kind}.h", prefix=kind)
        assert (tmp_path / f"{kind}.h").read_text("ascii") == header.text
    program = compiled(tmp_path, main_of(headers), [*C99, *STRICT, *SANITIZED])
    rows = [X for _, X in fitted.values()]
    for (net, X), result in zip(fitted.values(), run(program, headers, rows), strict=True):
        n_values = len(net.integer_network_.layers[-1].scale)
        values = result[:, -2:] if n_values == 2 else result[:, -n_values]
        labels = net.classes_[values.astype(int)] if hasattr(net, "classes_") else values
        np.testing.assert_array_equal(labels, net.predict(X))


@needs_gcc
def test_infinite_and_missing_features(tiny_network, tmp_path):
    network = tiny_network(np.random.default_rng(0), n_features=2)
    headers = {"net": (network, "float")}
    to_c(network, tmp_path / "net.h", prefix="net")
    program = compiled(tmp_path, main_of(headers), [*C99, *SANITIZED])
    X = np.array([[np.inf, -np.inf], [np.nan, np.nan]], dtype=np.float32)
    like = np.array([[FLOAT32_MAX, -FLOAT32_MAX]] + [[-FLOAT32_MAX] * 2], dtype=np.float32)
    (result,) = run(program, headers, [X])
    np.testing.assert_array_equal(result, expected(network, "float", like))


@needs_gcc
def test_two_files_and_two_networks_get_along(tiny_network, tmp_path):
    rng = np.random.default_rng(1)
    for prefix, n_outputs in (("one", 1), ("two", 3)):
        classes = np.arange(max(2, n_outputs))
        network = tiny_network(rng, n_outputs=n_outputs, classes=classes)
        to_c(network, tmp_path / f"{prefix}.h", prefix=prefix, input="codes")
    include = '#define ONE_INTEGER_ONLY\n#include "one.h"\n#include "one.h"\n#include "two.h"\n'
    other = tmp_path / "other.c"
    other.write_text(include + "int other(void);\nint other(void) { return TWO_N_CLASSES; }\n")
    main = include + "int other(void);\nint main(void) { return other() - TWO_N_CLASSES; }\n"
    program = compiled(tmp_path, main, [*C99, *STRICT, str(other)])
    assert subprocess.run([str(program)]).returncode == 0


@needs_gcc
def test_prefixes_that_differ_in_case_alone_get_along(tiny_network, tmp_path):
    rng = np.random.default_rng(8)
    prefixes, lines = {"net": "NET", "Net": "Net", "nEt": "nEt"}, []
    for n_outputs, (prefix, macro) in enumerate(prefixes.items(), start=2):
        network = tiny_network(rng, n_outputs=n_outputs, classes=np.arange(n_outputs))
        to_c(network, tmp_path / f"{n_outputs}.h", prefix=prefix)
        lines += [f'#include "{n_outputs}.h"', f"#if {macro}_N_SUMS != {n_outputs}"]
        lines += ["#error shared macros", "#endif"]
    calls = " + ".join(f"{prefix}_predict(x)" for prefix in prefixes)
    lines += [f"int main(void) {{ const float x[3] = {{0}}; return {calls} > 9; }}"]
    compiled(tmp_path, "\n".join(lines), [*C99, *STRICT])


@pytest.fixture(scope="module")
def pair(tiny_network, tmp_path_factory):
    """Source files and their headers of a classifier and of a regressor, with rows."""
    folder, headers, rows = tmp_path_factory.mktemp("pair"), {}, []
    for prefix, classes, kind in (
        ("a", ["x", "y", "zz"], "int16"),
        ("b", None, "float"),
        ("c", [0.5, 1, 2], "codes"),
    ):
        rng = np.random.default_rng(len(rows))
        network = tiny_network(
            rng, n_outputs=3, classes=None if classes is None else np.array(classes)
        )
        if kind == "int16":
            network = fitted_on_integers(rng, network, TYPES[kind])
        written = to_c(network, folder / f"{prefix}.c", prefix=prefix, input=kind)
        assert written.path == str(folder / f"{prefix}.h")
        assert (folder / f"{prefix}.h").read_text() == written.text
        assert (folder / f"{prefix}.c").read_text() == written.source
        one = to_c(network, prefix=prefix, input=kind)
        assert (one.source, one.flash_bytes, one.ram_bytes) == (
            None,
            written.flash_bytes,
            written.ram_bytes,
        )
        headers[prefix] = (network, kind)
        rows.append(rows_of(rng, network, kind))
    return folder, headers, rows


PROTOTYPES = ["-Wmissing-prototypes", "-Wstrict-prototypes", "-Wredundant-decls"]


@needs_gcc
@pytest.mark.parametrize("language", ["C99", "C++11"])
def test_source_files_define_what_their_headers_declare(pair, language):
    folder, headers, rows = pair
    command = [*C99, *STRICT, *PROTOTYPES] if language == "C99" else [*CXX11, *STRICT]
    sources = [str(folder / f"{p}.c") for p in headers]
    program = compiled(folder, main_of(headers), [*command, *SANITIZED, *sources], name="main")
    for (network, kind), X, result in zip(
        headers.values(), rows, run(program, headers, rows), strict=True
    ):
        np.testing.assert_array_equal(result, expected(network, kind, X))


@needs_gcc
def test_a_program_shares_one_copy_of_a_source_file(pair):
    folder, *_ = pair
    users = []
    for name in ("one", "two"):
        text = f'#include "a.h"\nint {name}(const int16_t *x);\nint {name}(const int16_t *x) {{ return a_predict(x) + a_label[0][0]; }}'
        users.append(compiled(folder, text, [*C99, *STRICT, "-c"], name=f"{name}.o"))
    main = compiled(folder, (folder / "a.c").read_text(), [*C99, *STRICT, "-c"], name="a.o")
    listed = [
        subprocess.run(["nm", f], capture_output=True, text=True).stdout for f in (*users, main)
    ]
    assert all("U a_predict" in text and "layer0" not in text for text in listed[:2])
    assert "T a_predict" in listed[2] and "R a_label" in listed[2]
    # Nothing but what the header declares is seen from outside.
    outside = set(re.findall(r"^\S+ [A-Z] (\w+)$", listed[2], flags=re.M))
    assert outside == {"a_predict", "a_raw", "a_decision", "a_label"}


@needs_gcc
def test_a_pair_without_doubles(pair, tmp_path):
    folder, *_ = pair
    done = subprocess.run(
        ["gcc", "-std=c99", *STRICT, "-DA_INTEGER_ONLY", "-E", "-P", str(folder / "a.c")],
        capture_output=True,
        text=True,
    )
    assert "a_predict" in done.stdout and "double" not in done.stdout
    compiled(
        folder, (folder / "c.c").read_text(), [*C99, *STRICT, "-DC_INTEGER_ONLY", "-c"], name="c.o"
    )


@needs_gcc
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_integers_only_has_no_float_and_no_multiplication(tiny_network, tmp_path, optimize):
    rng = np.random.default_rng(2)
    network = tiny_network(rng, n_w_bits=2, classes=np.array([4, 7]))
    network = fitted_on_integers(rng, network, "i2")
    header = to_c(network, prefix="net", input="int16", optimize=optimize)
    integers = header.text[: header.text.index("#ifndef NET_INTEGER_ONLY")]
    code = re.sub(r'/\*.*?\*/|"[^"]*"', "", integers, flags=re.S)
    assert not re.search(r"float|double|\d\.\d", code)
    assert not any(" * " in line for line in code.splitlines() if "sum =" in line)
    (tmp_path / "net.h").write_text(header.text)
    main = '#define NET_INTEGER_ONLY\n#include "net.h"\nint main(void) { return NET_N_SUMS; }\n'
    compiled(tmp_path, main, [*C99, *STRICT])


@needs_gcc
@pytest.mark.skipif(shutil.which("size") is None, reason="size (binutils) is not installed")
@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("more", [{}, {"n_output_sums": 50, "n_a_bits": 1}])
def test_bytes_are_those_of_the_object_file(tiny_network, tmp_path, optimize, more):
    network = tiny_network(
        np.random.default_rng(3), n_features=40, n_hidden=(900, 30), n_outputs=3, n_w_bits=2,
        classes=np.arange(3), **more,
    )  # fmt: skip
    header = to_c(network, tmp_path / "net.h", prefix="net", optimize=optimize)
    text = (
        '#include "net.h"\nint f(const float *x);\nint f(const float *x) { return net_predict(x); }'
    )
    target = compiled(tmp_path, text, [*C99, "-Os", "-fstack-usage", "-c"], name="f.o")
    listed = subprocess.run(["size", "-A", str(target)], capture_output=True, text=True).stdout
    sizes = re.findall(r"^(\.\S+)\s+(\d+)", listed, flags=re.M)
    constants = sum(int(size) for name, size in sizes if name.startswith(".rodata"))
    assert header.flash_bytes <= constants <= header.flash_bytes + 32 * 12  # alignment of 12 tables
    assert not any(int(size) for name, size in sizes if name.startswith((".data", ".bss")))
    stack = sum(int(line.split("\t")[1]) for line in next(tmp_path.glob("*.su")).open())
    red_zone = 128  # bytes that x86-64 lends a function below its stack, uncounted
    assert header.ram_bytes - red_zone <= stack <= header.ram_bytes + 200


@needs_gcc
def test_totals_of_32_bit_sums_take_64(tmp_path):
    network = wide_network(100_000, 2, None, n_sums=2)  # sums of up to 1.6e9
    text = to_c(network, tmp_path / "net.h", prefix="net", input="codes").text
    assert "typedef int32_t net_sum_t;\ntypedef int64_t net_total_t;" in text
    assert "in int64_t:\n * totals lie within -3251200000..3225800000." in text
    headers, X = {"net": (network, "codes")}, np.full((1, 100_000), -128, np.int8)
    program = compiled(tmp_path, main_of(headers), [*C99, *STRICT, *SANITIZED])
    (found,) = run(program, headers, [X])
    assert found.tolist() == [[-1_625_600_000.0] * 2 + [-3_251_200_000.0] * 2]


def test_a_code_of_one_bit_is_one_comparison(tiny_network):
    text = to_c(tiny_network(np.random.default_rng(5), n_a_bits=1)).text
    assert (
        len(
            re.findall(
                r"\*out\+\+ = \(int8_t\)\(\(sum >=? \w+\(\w+, threshold\+\+\)\) - 1\);", text
            )
        )
        == 2
    )
    assert "qnn_sum_" not in text.replace("qnn_sum_t", "")


@pytest.mark.parametrize("n_sums", [1, 3])
def test_the_header_says_where_sums_are_added_up(tiny_network, n_sums):
    network = tiny_network(np.random.default_rng(5), n_outputs=2, n_output_sums=n_sums)
    text = to_c(network).text
    said = (
        f"Each of the 2 values has {n_sums} sums.  They are added up after the layers, in int8_t:"
    )
    assert (
        (said in text)
        == (n_sums > 1)
        == ("sum s of value k is number s * QNN_N_VALUES + k" in text)
    )
    assert f"#define QNN_N_SUMS {2 * n_sums}\n#define QNN_N_VALUES 2\n" in text


def test_pruned_weights_and_unread_neurons_take_no_bytes(tiny_network):
    network = tiny_network(np.random.default_rng(4), n_features=30, n_hidden=(50,), n_w_bits=2)
    full = to_c(network)
    network.layers[1].weight[:, 10:] = 0  # now 40 neurons are read by nobody
    network.layers[0].weight[:, ::2] = 0
    pruned = to_c(network)
    kept = np.count_nonzero(network.layers[0].weight[:10]) + 10
    assert pruned.nonzeros <= kept < full.nonzeros / 5
    assert pruned.flash_bytes < full.flash_bytes / 2
    assert pruned.macs == full.macs == sum(layer.weight.size for layer in network.layers)


# Layouts


def unpacked(sparse, shape):
    """The weight matrix, walked through as C does it, and the places stepped on."""
    if sparse.layout == "digit":
        digits = sparse.place.reshape(shape[0], -1, 1) * 3 ** np.arange(1, 6) // 256 % 3
        return digits.reshape(shape[0], -1)[:, : shape[1]] - 1
    weight, place = np.zeros(shape, dtype=int), 0
    for list_number in np.ndindex(sparse.count.shape):
        at = 0
        for _ in range(sparse.count[list_number]):
            entry = int(sparse.place[place])
            sign = 1 - 2 * list_number[-1]
            if sparse.layout == "step":
                for step in (entry & 15, entry >> 4):
                    at += step
                    if at % 15:
                        weight[list_number[0], at - at // 15 - 1] += sign * (list_number[1] + 1)
            elif sparse.layout == "index":
                column = 256 * list_number[2] + entry
                weight[list_number[0], column] += sign * (list_number[1] + 1)
            else:
                weight[list_number[0], 256 * list_number[1] + entry] += sparse.value[place]
            place += 1
    assert place == len(sparse.place)
    return weight


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 600)),
    largest=st.sampled_from([1, 3, 127]),
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    packed=st.booleans(),
)
def test_layouts_hold_the_weights(seed, shape, largest, density, packed):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-largest, largest + 1, shape) * (rng.random(shape) < density)
    sparse = sparse_weight(weight.astype(np.int8), packed=packed)
    np.testing.assert_array_equal(unpacked(sparse, shape), weight)


def test_layouts_are_those_expected():
    rng = np.random.default_rng(0)
    ternary, wide = rng.integers(-1, 2, (20, 100)), rng.integers(-127, 128, (20, 100))
    sparse = ternary * (rng.random((20, 100)) < 0.4)
    assert sparse_weight(ternary).layout == "digit"
    assert sparse_weight(sparse).layout == "step"
    assert sparse_weight(ternary, packed=False).layout == "index"
    assert sparse_weight(wide).layout == "value"
    assert sparse_weight(ternary).nbytes == 20 * 100 // 5
    assert sparse_weight(sparse).nbytes < 0.7 * sparse_weight(sparse, packed=False).nbytes


@given(
    thresholds=st.lists(st.integers(-400, 400), min_size=1, max_size=5),
    low=st.integers(-300, 0),
    high=st.integers(0, 300),
)
def test_compared_thresholds_decide_alike(thresholds, low, high):
    found = compare(np.array([thresholds]), low, high)
    for value in range(low, high + 1):
        reached = value >= found.thresholds if found.operator == ">=" else value > found.thresholds
        assert reached.tolist() == [[value >= t for t in thresholds]]
    if max(-low, high) <= 127 or (low == -128 and high < 127):
        assert found.thresholds.dtype == np.int8


# Scores


def affine_map(scale, bias):
    """Ranges of sums of 3 and 2 times a code of 4 bits, scale and bias."""
    return np.tile([[-40, 35]], (len(scale), 1)), np.array(scale), np.array(bias)


def assert_decides_alike(ranges, scale, bias, scores):
    ranges = [np.arange(low, high + 1) for low, high in ranges]
    logits = [a * s + b for a, s, b in zip(ranges, scale, bias, strict=True)]
    if isinstance(scores, RankScores):
        found = [scores.rank[start + a] for start, a in zip(scores.start, ranges, strict=True)]
    else:
        assert scores.n_bits in (15, 31, 62)
        affine = zip(ranges, scores.multiplier.tolist(), scores.offset.tolist(), strict=True)
        found = [[int(value) * m + c for value in a] for a, m, c in affine]
        largest = max(abs(value) for values in found for value in values)
        assert largest < 2**scores.n_bits
    if len(logits) == 1:
        assert (np.array(found[0]) > 0).tolist() == (logits[0] > 0).tolist()
    for row in product(*map(range, map(len, logits))):
        if len(row) > 1:
            in_floats = np.argmax([values[i] for values, i in zip(logits, row, strict=True)])
            in_integers = np.argmax([values[i] for values, i in zip(found, row, strict=True)])
            assert in_floats == in_integers


@slow
@given(
    scale=st.lists(st.floats(-2, 2), min_size=1, max_size=2),
    bias=st.lists(st.floats(-2, 2), min_size=2, max_size=2),
)
def test_scores_decide_as_logits_do(scale, bias):
    output = affine_map(scale, bias[: len(scale)])
    assert_decides_alike(*output, integer_scores(*output))


@pytest.mark.parametrize(
    "scale, bias, n_bits",
    [
        ([0.5, 0.25], [0.0, 0.0], 15),  # ties all over: the first class wins
        ([0.1, 0.1], [0.3, 0.3], 15),
        ([0.0, 0.0], [0.0, 0.0], 15),
        ([1.0, -1.0], [0.0, 1e-7], 31),  # what only finer scores tell apart
        ([1.0, 1.0], [0.0, 1e-12], 62),
        ([5e-324, 1e-320], [0.0, 5e-324], 31),
        ([0.1, 0.3], [0.2, 0.0], None),  # float64 rounds to ties that exact arithmetic has not
        ([1e308, -1e308], [1e308, 0.0], None),
    ],
)
def test_scores_are_as_narrow_as_they_can_be(scale, bias, n_bits):
    output = affine_map(scale, bias)
    with np.errstate(over="ignore"):
        scores = integer_scores(*output)
        assert_decides_alike(*output, scores)
    assert n_bits == (scores.n_bits if isinstance(scores, LinearScores) else None)


@given(
    scale=st.lists(st.sampled_from([-1.0, -0.1, 0.0, 0.1, 0.3, 1.0]), min_size=3, max_size=3),
    bias=st.lists(st.sampled_from([0.0, 1e-12, 1e-7, 0.2, 1.0]), min_size=3, max_size=3),
)
def test_scores_of_three_classes_with_many_ties(scale, bias):
    output = np.tile([[-4, 3]], (3, 1)), np.array(scale), np.array(bias)
    assert_decides_alike(*output, integer_scores(*output))


def test_checks_grow_with_classes_and_not_with_their_pairs():
    counts = []
    for n_classes in (50, 200):
        rng = np.random.default_rng(0)
        output = np.tile([[-8, 7]], (n_classes, 1)), *rng.normal(size=(2, n_classes))
        calls = []
        sys.setprofile(lambda frame, event, _, calls=calls: calls.append(event))
        try:
            integer_scores(*output)
        finally:
            sys.setprofile(None)
        counts.append(len(calls))
    assert counts[1] < 6 * counts[0]  # of pairs there are 16 times as many


# Text


@needs_gcc
def test_labels_and_names_come_through(tiny_network, tmp_path):
    labels = ["<=50K", 'say "*/"', "??/", "a\\", "caffè\n", "\u4e2d0"]
    names = ["*/ int x;", "/*", "back\\", "ü", "??/", "nl\n#error"]
    network = tiny_network(
        np.random.default_rng(6), n_features=6, n_outputs=6,
        classes=np.array(labels), feature_names=np.array(names),
    )  # fmt: skip
    to_c(network, tmp_path / "net.h", prefix="net")
    main = (
        '#include <stdio.h>\n#include "net.h"\n'
        "int main(void) { for (int i = 0; i < NET_N_CLASSES; i++) puts(net_label[i]); return 0; }"
    )
    program = compiled(tmp_path, main, [*C99, *STRICT, "-trigraphs"])
    printed = subprocess.run([str(program)], capture_output=True).stdout.decode()
    assert printed == "\n".join(labels) + "\n"


@needs_gcc
def test_number_labels_come_through(tiny_network, tmp_path):
    cases = [np.array([False, True]), np.array([-(2**63), 5]), np.array([-0.5, 1e300])]
    cases += [np.array([7, 2**64 - 1], dtype=np.uint64), np.array([1, 300], dtype=object)]
    lines = ["#include <stdio.h>"]
    formats = ["(long long)", "(long long)", "", "(unsigned long long)", "(long long)"]
    for i, classes in enumerate(cases):
        to_c(
            tiny_network(np.random.default_rng(i), classes=classes),
            tmp_path / f"n{i}.h",
            prefix=f"n{i}",
        )
        lines.append(f'#include "n{i}.h"')
    lines.append("int main(void) {")
    for i, cast in enumerate(formats):
        form = {"(long long)": "%lld", "": "%.17g"}.get(cast, "%llu")
        lines.append(f'printf("{form} {form}\\n", {cast}n{i}_label[0], {cast}n{i}_label[1]);')
    program = compiled(tmp_path, "\n".join(lines) + "return 0; }", [*C99, *STRICT])
    printed = subprocess.run([str(program)], capture_output=True, text=True).stdout
    found = [line.split() for line in printed.splitlines()]
    assert found[0] == ["0", "1"]
    assert found[1:2] + found[3:] == [[str(v) for v in c.tolist()] for c in cases[1:2] + cases[3:]]
    assert [float(v) for v in found[2]] == cases[2].tolist()


def test_string_literals_are_closed():
    assert c_string("a1\x01") == r'"a1\001"'
    assert c_string("\ud800") == r'"\134ud800"'
    assert c_string("é1") == r'"\303\2511"'


# Bad input


def test_a_prefix_without_lower_case_letters_names_the_way_out(tiny_network):
    network = tiny_network(np.random.default_rng(0))
    with pytest.raises(ValueError, match="prefix='NET_2' must have a lower-case letter.*'net_2'"):
        to_c(network, prefix="NET_2")


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a b", "é", "a;", "_a", "a" * 41, None, "a\n"])
def test_bad_prefixes(tiny_network, prefix):
    with pytest.raises(ValueError, match="prefix="):
        to_c(tiny_network(np.random.default_rng(0)), prefix=prefix)


@pytest.mark.parametrize(
    "option, value", [("input", "int"), ("input", None), ("optimize", "both"), ("optimize", 1)]
)
def test_unknown_options(tiny_network, option, value):
    with pytest.raises(ValueError, match=f"{option}={value!r} must be one of"):
        to_c(tiny_network(np.random.default_rng(0)), **{option: value})


def test_unfitted_and_foreign_models():
    with pytest.raises(NotFittedError):
        to_c(PrunedNeuralNetClassifier())
    with pytest.raises(TypeError, match="neither"):
        to_c("net")
    with pytest.raises(TypeError, match="A FloatTwinClassifier has no integers.*the quantized"):
        to_c(PrunedNeuralNetClassifier().float_twin())


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", 1], dtype=object),
        np.array([None, "a"], dtype=object),
        np.array(["a\0b", "c"]),
        np.array(["\ud800", "a"]),
        np.array(["a" * 4096, "b"]),
        np.array([0.0, np.inf]),
        np.array([b"a", b"b"]),
        np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"),
    ],
)
def test_labels_without_a_form_in_c(tiny_network, tmp_path, labels):
    network = tiny_network(np.random.default_rng(0))
    network.classes = labels
    with pytest.raises(ValueError, match="label"):
        to_c(network, tmp_path / "net.h")
    assert list(tmp_path.iterdir()) == []


def test_no_half_file_is_left(tiny_network, tmp_path):
    network = tiny_network(np.random.default_rng(0))
    with pytest.raises(OSError):
        to_c(network, tmp_path / "missing" / "net.h")
    with pytest.raises(OSError):
        to_c(network, tmp_path)
    assert list(tmp_path.iterdir()) == []


def wide_network(n_features, n_outputs, classes, n_sums=1):
    encoding = InputEncoding(
        np.tile(np.arange(255.0), (n_features, 1)), np.ones(n_features, dtype=np.int64), 8
    )
    weight = np.full((n_outputs, n_features), 127, dtype=np.int8)
    scale, bias = np.ones(n_outputs // n_sums), np.zeros(n_outputs // n_sums)
    output = OutputLayer(weight, encoding.input_range, scale=scale, bias=bias)
    return IntegerNetwork(encoding, [output], n_w_bits=8, n_accum_bits=40, classes=classes)


def test_networks_too_wide_name_the_way_out():
    with pytest.raises(ValueError, match=r"Layer 0 has sums of -\d+ to \d+.*n_accum_bits=32"):
        to_c(wide_network(140_000, 1, None), input="codes")
    with pytest.raises(ValueError, match=r"can be checked: n_accum_bits=22"):
        to_c(wide_network(300, 3, np.arange(3)), input="codes")
    with pytest.raises(ValueError, match=r"can be checked: n_accum_bits=20"):
        to_c(wide_network(300, 12, np.arange(3), n_sums=4), input="codes")


def test_thresholds_beyond_float32(tiny_network):
    network = scaled(tiny_network(np.random.default_rng(3), n_features=9), 1e39)
    with pytest.raises(ValueError, match="input='double'"):
        to_c(network)
    assert "e+3" in to_c(network, input="double").text
