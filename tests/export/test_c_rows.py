"""C from raw rows: structs of typed fields, categories, gaps; read from the header as users do."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.encoding import InputEncoding
from qnnprune.export import to_c
from qnnprune.export.c._names import Names
from qnnprune.export.c._source import c_string

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow"]
STRICT += ["-Wundef", "-Wfloat-equal"]
SANITIZED = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
CATEGORICAL = ["color", "size"]
COLORS = ["red", "blue/ish", 'q"*/', "other", "Red", "grün"]


def frame(n_rows=500, seed=0):
    """Columns of every kind, with and without gaps, and a label."""
    rng = np.random.default_rng(seed)
    df = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n_rows).astype(float),
            "income (€)": rng.lognormal(10, 1, n_rows),
            "color": rng.choice(COLORS, n_rows),
            "int": rng.integers(-5, 6, n_rows),
            "size": pd.Categorical(rng.choice([3, 5, 8], n_rows)),
            "flag": rng.random(n_rows) > 0.5,
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 999, n_rows), "D"),
        }
    )
    y = np.where((df["age"] > 50) ^ (df["color"] == "red") ^ (df["int"] > 2), "a", "b")
    for name in ("age", "income (€)", "color"):
        df.loc[rng.random(n_rows) < 0.1, name] = np.nan
    return df, y


TYPES = [
    {},
    {"age": "uint8", "int": "int8", "when": "double", "income (€)": "double"},
    {"age": "int16", "int": "int32", "when": "int32"},
]


@pytest.fixture(scope="module", params=[1, 2])
def fitted(request):
    df, y = frame()
    net = PrunedNeuralNetClassifier(
        (12,), n_in_bits=request.param, max_epochs=2, categorical_features=CATEGORICAL,
        random_state=0,
    )  # fmt: skip
    return net.fit(df, y), df


def hard_rows(network, df, types):
    """Rows on thresholds and beside them, of unknown categories, and with gaps in every column."""
    rng = np.random.default_rng(1)
    rows = df.sample(400, replace=True, random_state=0).reset_index(drop=True).astype(object)
    for place, name in enumerate(df.columns):
        thresholds = network.encoding.thresholds[place]
        thresholds = thresholds[np.isfinite(thresholds)]
        if name in CATEGORICAL:
            rows.loc[rng.random(400) < 0.1, name] = "never seen" if name == "color" else 99
        elif name == "when":
            days = np.floor(rng.choice(thresholds, 400)) + rng.integers(0, 2, 400)
            rows[name] = pd.Timestamp("1970-01-01") + pd.to_timedelta(days, "D")
        elif types.get(name, "float") in ("float", "double"):
            kind = {"float": np.float32, "double": np.float64}[types.get(name, "float")]
            on = rng.choice(thresholds, 400).astype(kind)
            up = rng.choice([-np.inf, np.inf], 400).astype(kind)
            beside = np.where(rng.random(400) < 0.5, on, np.nextafter(on, up))
            rows[name] = beside.astype(float).astype(object)
        else:
            rows[name] = (np.floor(rng.choice(thresholds, 400)) + rng.integers(0, 2, 400)).tolist()
        rows.loc[rng.random(400) < 0.1, name] = None
    return rows.astype({"when": "datetime64[ns]"})


def constants(text, folder):
    """All constants that a header defines for users, as gcc reads them."""
    names = re.findall(r"^#define (NET_\w+_MISSING)\b", text, re.M)
    names += re.findall(r"^    (NET_\w+) = \d+,", text, re.M)
    prints = "".join(f'printf("{name} %d\\n", (int){name});' for name in names)
    main = f'#include <stdio.h>\n#include "net.h"\nint main(void) {{ {prints} return 0; }}'
    (folder / "constants.c").write_text(main)
    program = folder / "constants"
    subprocess.run(["gcc", folder / "constants.c", "-o", program], check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in map(str.split, printed.splitlines())}


C_TYPES = {"float": "f4", "double": "f8", "int8_t": "i1", "uint8_t": "u1", "int16_t": "i2"}
C_TYPES |= {"uint16_t": "u2", "int32_t": "i4"}


def as_structs(rows, text, known):
    """Rows as C has them: fields in the order of the columns, constants by their comments."""
    fields = re.findall(r"^    (\w+) (\w+); /\* .*?; a gap is (\w+) \*/$", text, re.M)
    assert len(fields) == rows.shape[1]
    kinds = [(field, C_TYPES[kind]) for kind, field, _ in fields]
    packed = np.zeros(len(rows), np.dtype(kinds, align=True))
    for (_, field, gap), name in zip(fields, rows.columns, strict=True):
        column = rows[name]
        if name == "when":
            column = (column - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
        if name in CATEGORICAL:
            column = constants_of(column, text, name, known)
        stand_in = np.nan if gap == "NAN" else known[gap]
        packed[field] = [stand_in if pd.isna(value) else value for value in column]
    return packed


def constants_of(column, text, name, known):
    """Values of a categorical column as constants of its enum, found by their comments."""
    listed = re.findall(rf"(NET_{name.upper()}_\w+) = \d+, /\* (.*) \*/", text)
    by_comment = {comment: known[constant] for constant, comment in listed}
    other = by_comment["rare, or not seen in training"]
    return [None if pd.isna(v) else by_comment.get(c_string(str(v)), other) for v in column]


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


def library(folder):
    """The header's ``predict`` and ``raw`` of many rows, as a library."""
    (folder / "lib.c").write_text(
        '#include "net.h"\n'
        "void run(const net_row *row, int n, int *out);\n"
        "void run(const net_row *row, int n, int *out)\n"
        "{ for (int i = 0; i < n; i++) out[i] = net_predict(row + i); }\n"
    )
    target = folder / "lib.so"
    command = ["gcc", *STRICT, "-shared", "-fPIC", folder / "lib.c", "-o", target]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    return ctypes.CDLL(str(target))


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_structs_of_raw_values_predict_the_same(fitted, types, optimize, tmp_path):
    net, df = fitted
    rows = hard_rows(net.integer_network_, df, types)
    text = to_c(net, tmp_path / "net.h", prefix="net", input=types, optimize=optimize).text
    packed = as_structs(rows, text, constants(text, tmp_path))
    found = np.full(len(rows), -1, np.int32)
    library(tmp_path).run(address(packed), len(rows), address(found))
    np.testing.assert_array_equal(net.classes_[found], net.predict(rows))
    assert len(set(found)) == 2


@pytest.mark.parametrize("types", TYPES)
def test_the_self_test_returns_0_and_1_where_something_differs(fitted, types, tmp_path):
    net, df = fitted
    rows = hard_rows(net.integer_network_, df, types)
    header = to_c(
        net, tmp_path / "net.h", prefix="net", input=types, test_vectors=rows, optimize="size"
    )
    source = tmp_path / "net_test.c"
    assert source.read_text() == header.self_test
    assert returned(source) == 0
    wrong = re.sub(
        r"(predicted.*\{\n    \{)(\d)", lambda m: f"{m[1]}{1 - int(m[2])}", header.self_test
    )
    assert wrong != header.self_test
    source.write_text(wrong)
    assert returned(source) == 1


def returned(*sources, more=SANITIZED):
    program = sources[0].with_suffix("")
    done = subprocess.run(
        ["gcc", *STRICT, *more, *sources, "-o", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:3000]
    return subprocess.run([program]).returncode


def table_network(tiny_network, **settings):
    """A network whose columns have tables that are neither ramps nor one-hot, and no names."""
    rng = np.random.default_rng(5)
    tables = (None, rng.integers(-2, 2, (5, 3)).astype(np.int8), None)
    thresholds = np.sort(rng.normal(size=(3, 6)).round(2), axis=1)
    thresholds[1:, 3:] = np.inf
    encoding = InputEncoding(
        thresholds, np.array([2, 1, 1]), 2, tables, (None,) * 3, np.array([3, 4, -1])
    )
    base = tiny_network(rng, n_features=1, n_hidden=(5,), **settings)
    layers = tiny_network(rng, n_features=1, n_hidden=(5,), **settings).layers
    first = layers[0].weight
    weight = rng.integers(-3, 4, (len(first), encoding.n_codes.sum())).astype(np.int8)
    layers = (
        type(layers[0])(weight, encoding.input_range, layers[0].thresholds, output_low=-2),
        *layers[1:],
    )
    return type(base)(encoding, layers, n_w_bits=3, n_accum_bits=8, classes=base.classes)


@pytest.mark.parametrize("outputs", [1, 2])
def test_tables_of_any_kind_in_arrays(tiny_network, outputs, tmp_path):
    network = table_network(tiny_network, n_outputs=outputs)
    rng = np.random.default_rng(0)
    X = network.encoding.thresholds[np.arange(3), rng.integers(0, 3, (300, 3))]
    X = (X + rng.choice([-1e-9, 0, 1e-9], X.shape)) * 1.0
    X[rng.random((300, 3)) < [0.2, 0.2, 0]] = np.nan
    to_c(network, tmp_path / "net.c", input="double", test_vectors=X)
    assert returned(tmp_path / "net_test.c", tmp_path / "net.c") == 0


def test_gaps_that_training_had_not_are_the_median(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (200, 3)).astype(float)
    net = PrunedNeuralNetRegressor((8,), max_epochs=2, random_state=0).fit(X, X.sum(axis=1))
    gaps = np.where(rng.random(X.shape) < 0.3, np.nan, X)
    for kind in ("float", "uint8", "int16"):
        header = to_c(net, tmp_path / "net.h", input=kind, test_vectors=gaps)
        assert returned(tmp_path / "net_test.c") == 0
        assert kind == "float" or len(re.findall(r"; (\d+) stands for a gap", header.text)) == 3


# Fixed point


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e12, 1e300])
@pytest.mark.parametrize("n_targets", [1, 3])
def test_fixed_point_is_as_near_as_the_header_says(tiny_network, tmp_path, scale, n_targets):
    rng = np.random.default_rng(n_targets)
    network = tiny_network(rng, n_outputs=n_targets)
    network.layers[-1].scale[:] *= scale
    network.layers[-1].bias[:] *= scale * 10
    header = to_c(network, tmp_path / "net.h", prefix="net", input="codes")
    pattern = r"units of 2\^-(-?\d+) \((NET_FRACTION_BITS\w*)\), at most (\S+) off"
    said = re.findall(pattern, header.text)
    assert len(said) == n_targets
    codes = code_rows(rng, network)
    fixed = fixed_values(tmp_path, codes, n_targets)
    exact = network.run(codes)
    for k, (bits, macro, error) in enumerate(said):
        assert f"#define {macro} {bits}\n" in header.text
        off = np.abs(np.ldexp(fixed[:, k].astype(float), -int(bits)) - exact[:, k])
        assert off.max() <= float(error) * 1.01
        assert float(error) < 1e-5 * np.abs(exact[:, k]).max()


def code_rows(rng, network):
    low, high = network.layers[0].input_range.T
    return rng.integers(low, high + 1, (200, len(low))).astype(np.int8)


def fixed_values(folder, codes, n_targets):
    call = (
        "out[i] = net_predict_fixed(x);" if n_targets == 1 else "net_predict_fixed(x, out + 3 * i);"
    )
    (folder / "lib.c").write_text(
        '#define NET_INTEGER_ONLY\n#include "net.h"\n'
        "void run(const int8_t *x, int n, int32_t *out);\n"
        "void run(const int8_t *x, int n, int32_t *out)\n"
        f"{{ for (int i = 0; i < n; i++, x += NET_N_CODES) {{ {call} }} }}\n"
    )
    target = folder / "lib.so"
    subprocess.run(["gcc", *STRICT, "-shared", "-fPIC", folder / "lib.c", "-o", target], check=True)
    out = np.zeros((len(codes), n_targets), np.int32)
    ctypes.CDLL(str(target)).run(address(codes), len(codes), address(out))
    return out


def test_a_value_beyond_float64_has_no_fixed_point(tiny_network):
    network = tiny_network(np.random.default_rng(0))
    network.layers[-1].scale[:] = 1e308
    assert "_predict_fixed" not in to_c(network).text


# Text and errors


def test_versions_and_model_ids(tiny_network):
    one, two = (tiny_network(np.random.default_rng(seed)) for seed in (0, 1))
    ids = [
        re.search(r'#define QNN_MODEL_ID "(\w{16})"', to_c(net).text)[1] for net in (one, one, two)
    ]
    assert ids[0] == ids[1] != ids[2]
    assert re.search(r'#define QNN_VERSION "\d+\.\d+', to_c(one).text)


def test_names_differ_and_are_names():
    names = Names(["QNN_A_B"])
    texts = ["a", "A", "a", "int", "class", "", "--", "3", "-3", "é/ü", "a b", "a_b"]
    found = [names.of(text) for text in texts] + [names.of("B", "QNN_A_")]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) for name in found)
    assert found[3:5] == ["int_", "class_"]


def test_forms_of_rows(tiny_network):
    rng = np.random.default_rng(0)
    plain, named = tiny_network(rng), tiny_network(rng, feature_names=np.array(["a", "b", "c"]))
    array, struct = "(const qnn_input_t *x)", "(const qnn_row *row)"
    assert array in to_c(plain).text and struct in to_c(named).text
    assert array in to_c(named, row="array").text and struct in to_c(plain, row="struct").text
    assert struct in to_c(plain, input={1: "double"}).text
    assert "    float x0;" in to_c(plain, row="struct").text


def test_bad_arguments_name_the_way_out(tiny_network, fitted):
    plain = tiny_network(np.random.default_rng(0))
    with pytest.raises(ValueError, match="row='list' must be one of"):
        to_c(plain, row="list")
    with pytest.raises(ValueError, match=r"keys \['z'\], but the numeric columns are \[0, 1, 2\]"):
        to_c(plain, input={"z": "float"})
    with pytest.raises(ValueError, match="input='codes' must be one of"):
        to_c(plain, input={0: "codes"})
    with pytest.raises(ValueError, match="row='array' has no place for columns of different types"):
        to_c(plain, input={0: "double"}, row="array")
    net, df = fitted
    with pytest.raises(ValueError, match="no place for categories: use 'struct'"):
        to_c(net, row="array")
    with pytest.raises(ValueError, match=r"keys \['color'\]"):
        to_c(net, input={"color": "int8"})
    with pytest.raises(ValueError, match=r"x\[6\] \('when'\) has .*int8 goes from -128"):
        to_c(net, input={"age": "int8", "when": "int8"})
    with pytest.raises(ValueError, match="Column 'int' has 0.5 in test_vectors, which is no int8"):
        to_c(net, input={"int": "int8"}, test_vectors=df.assign(int=0.5))
    with pytest.raises(ValueError, match="test_vectors has no rows"):
        to_c(net, test_vectors=df[:0])


@pytest.mark.parametrize("high, kinds", [(255, ["uint8"]), (90, []), (1, [])])
def test_a_type_without_a_value_for_gaps_is_refused(high, kinds):
    X = np.linspace(0, high, 300).round()[:, None].repeat(2, axis=1)
    X[3, 0] = np.nan
    net = PrunedNeuralNetClassifier((8,), max_epochs=1, random_state=0).fit(X, X[:, 1] > high / 2)
    for kind in ("uint8", "int16", "uint16"):
        if kind in kinds:
            with pytest.raises(ValueError, match=r"x\[0\] has gaps, and no uint8 .*wider type"):
                to_c(net, input=kind)
        else:
            assert "stands for a gap" in to_c(net, input=kind).text
