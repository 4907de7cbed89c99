"""Several labels, logarithms and quantiles: every target predicts the same for every row."""

import ctypes
import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, make_multilabel_classification

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import register_skl2onnx, to_c, to_onnx, to_qonnx
from qnnprune.export.fhe._ends import Ends
from qnnprune.export.fhe._lookups import lookup_network

X_LABELS, LABELS = make_multilabel_classification(150, 6, n_classes=5, random_state=0)
X_VALUES, VALUES = load_diabetes(return_X_y=True)
RESULT = {"labels": "uint8_t", "log": "double", "quantiles": "double"}
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1"]
SMALL = {"hidden_layer_sizes": (12,), "max_epochs": 6, "n_input_segments": 3, "random_state": 0}

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.fixture(scope="module", params=["labels", "one sum", "log", "several logs", "quantiles"])
def case(request):
    """An estimator, and rows of which many lie on thresholds."""
    if request.param in ("labels", "one sum"):
        sums = 1 if request.param == "one sum" else 3
        model = PrunedNeuralNetClassifier(**SMALL, n_output_sums=sums).fit(X_LABELS, LABELS)
    elif request.param == "quantiles":
        # Untrained ones cross.
        levels = {"loss": "quantile", "quantile": (0.4, 0.45, 0.5, 0.55)}
        model = PrunedNeuralNetRegressor(**SMALL | {"max_epochs": 1}, **levels)
        model.fit(X_VALUES, VALUES)
    else:
        y = VALUES if request.param == "log" else np.c_[VALUES, 1e5 + VALUES]
        loss = "gamma" if request.param == "log" else "poisson"
        model = PrunedNeuralNetRegressor(**SMALL, loss=loss).fit(X_VALUES, y)
    return model, _hard_rows(model.integer_network_.encoding.thresholds)


def _hard_rows(thresholds, n_rows=400):
    rng = np.random.default_rng(0)
    columns = []
    for row in thresholds.astype(np.float32):
        finite = row[np.isfinite(row)]
        near = [finite, np.nextafter(finite, np.float32(-np.inf)), np.array([-1e9, 1e9, 0])]
        columns.append(rng.choice(np.concatenate(near), n_rows))
    return np.column_stack(columns).astype(np.float32)


def test_the_cases_can_fail(case):
    model, rows = case
    decision, wanted = model.integer_network_.decision(rows), model.predict(rows)
    assert len(np.unique(wanted, axis=0)) > 4
    if model.integer_network_.outcome == "quantiles":
        assert (np.diff(decision, axis=1) < 0).any() and (np.diff(wanted, axis=1) >= 0).all()


def test_the_network_by_hand(case, tmp_path):
    model, rows = case
    network = model.integer_network_
    decision = network.decision(rows)
    by_hand = {
        "labels": lambda: (decision > 0).astype(int),
        "log": lambda: np.exp(decision).squeeze(),
        "quantiles": lambda: np.sort(decision, axis=1),
    }[network.outcome]()
    network.save(tmp_path / "net.npz")
    loaded = IntegerNetwork.load(tmp_path / "net.npz")
    assert loaded.outcome == network.outcome and loaded.model_id == network.model_id
    for found in (model.predict(rows), network.predict(rows), loaded.predict(rows)):
        np.testing.assert_array_equal(found, by_hand)
    for mode in ("wrap", "saturate", "raise"):
        simulated = model.simulate(rows, mode=mode)
        np.testing.assert_array_equal(simulated.predictions, by_hand)
    wide = network.simulate(rows, n_accum_bits=3)
    assert wide.predictions.shape == by_hand.shape and wide.overflow_rate > 0


@needs_gcc
@pytest.mark.parametrize("form", ["net.h", "net.c"])
def test_c(case, form, tmp_path):
    model, rows = case
    network = model.integer_network_
    kind, n = RESULT[network.outcome], network.layers[-1].n_logits
    to_c(model, tmp_path / form, prefix="net")
    call = "out[0] = net_predict(x);" if n == 1 else "net_predict(x, out);"
    (tmp_path / "run.c").write_text(
        f'#include "net.h"\nvoid run(const float *x, int rows, {kind} *out);\n'
        f"void run(const float *x, int rows, {kind} *out)\n{{\n"
        f"    for (int i = 0; i < rows; i++, x += NET_N_FEATURES, out += {n}) {{ {call} }}\n}}\n"
    )
    sources = [tmp_path / "run.c", *([tmp_path / "net.c"] if form == "net.c" else [])]
    library = tmp_path / "net.so"
    command = ["gcc", *FLAGS, "-shared", "-fPIC", *sources, "-o", library, "-lm"]
    subprocess.run(command, check=True)
    found = np.full((len(rows), n), 99, np.uint8 if kind == "uint8_t" else np.float64)
    at = [ctypes.c_void_p(array.ctypes.data) for array in (rows, found)]
    ctypes.CDLL(str(library)).run(at[0], len(rows), at[1])
    wanted = model.predict(rows).reshape(found.shape)
    if network.outcome == "log":  # exp of one library is not that of another
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
    else:
        np.testing.assert_array_equal(found, wanted)


@needs_gcc
@pytest.mark.parametrize("integer_only", [True, False])
def test_self_tests_of_c(case, integer_only, tmp_path):
    model, rows = case
    to_c(model, tmp_path / "net.h", test_vectors=rows[:100])
    flags = [*FLAGS, "-DQNN_INTEGER_ONLY"] if integer_only else FLAGS
    program = tmp_path / "test"
    command = ["gcc", *flags, tmp_path / "net_test.c", "-o", program]
    subprocess.run([*command, *([] if integer_only else ["-lm"])], check=True)
    assert subprocess.run([program], check=False).returncode == 0


@needs_gcc
def test_c_compiles_as_cpp(case, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    to_c(case[0], tmp_path / "net.c", prefix="net")
    (tmp_path / "main.cpp").write_text(
        '#include "net.h"\nint main() { return NET_N_VALUES < 1; }\n'
    )
    for source in ("main.cpp", "net.c"):
        command = ["g++", "-std=c++11", "-Wall", "-Werror", "-c", tmp_path / source]
        subprocess.run([*command, "-o", tmp_path / "object.o"], check=True)


def test_fixed_point_is_for_values_and_quantiles(case):
    model, _ = case
    has_fixed = "qnn_predict_fixed" in to_c(model).text
    assert has_fixed == (model.integer_network_.outcome == "quantiles")


@needs_gcc
def test_quantiles_in_fixed_point_are_close_and_ascend(tmp_path):
    levels = (0.4, 0.45, 0.5, 0.55)
    model = PrunedNeuralNetRegressor(**SMALL | {"max_epochs": 1}, loss="quantile", quantile=levels)
    model.fit(X_VALUES, VALUES)
    rows = _hard_rows(model.integer_network_.encoding.thresholds)
    text = to_c(model, tmp_path / "net.h", prefix="net").text
    (tmp_path / "run.c").write_text(
        '#include "net.h"\nvoid run(const float *x, int rows, int32_t *out, int *bits);\n'
        "void run(const float *x, int rows, int32_t *out, int *bits)\n{\n"
        "    for (int k = 0; k < 4; k++) bits[k] = 0;\n"
        + "".join(f"    bits[{k}] = NET_FRACTION_BITS_{k};\n" for k in range(4))
        + "    for (int i = 0; i < rows; i++) "
        "net_predict_fixed(x + i * NET_N_FEATURES, out + 4 * i);\n}\n"
    )
    command = ["gcc", *FLAGS, "-DNET_INTEGER_ONLY", "-shared", "-fPIC", tmp_path / "run.c"]
    subprocess.run([*command, "-o", tmp_path / "net.so"], check=True)
    found, bits = np.zeros((len(rows), 4), np.int32), np.zeros(4, np.int32)
    at = [ctypes.c_void_p(array.ctypes.data) for array in (rows, found, bits)]
    ctypes.CDLL(str(tmp_path / "net.so")).run(at[0], len(rows), *at[1:])
    assert len(set(bits)) == 1 and (np.diff(found, axis=1) >= 0).all()
    stated = max(map(float, re.findall(r"at most (\S+) off", text)))
    error = np.abs(found / 2.0 ** bits[0] - model.predict(rows)).max()
    assert 0 < error <= stated < 1e-3


def test_onnx(case):
    ort = pytest.importorskip("onnxruntime")
    model, rows = case
    proto = to_onnx(model, decision=True)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"X": rows}), strict=True)
    )
    network, wanted = model.integer_network_, model.predict(rows)
    np.testing.assert_array_equal(found["decision"], network.decision(rows))
    if network.outcome == "labels":
        assert found["label"].dtype == np.int64
        np.testing.assert_array_equal(found["label"], wanted)
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), rtol=1e-6)
        return
    wanted = wanted.reshape(found["variable"].shape)
    if network.outcome == "log":
        np.testing.assert_allclose(found["variable"], wanted, rtol=1e-7)
    else:
        np.testing.assert_array_equal(found["variable"], wanted.astype(np.float32))


@pytest.mark.parametrize("raw_scores", [False, True])
def test_skl2onnx(case, raw_scores):
    skl2onnx, ort = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    register_skl2onnx()
    model, rows = case
    is_classifier = model.integer_network_.outcome == "labels"
    if raw_scores and not is_classifier:
        pytest.skip("an option of classifiers")
    options = {"zipmap": False, "raw_scores": raw_scores} if is_classifier else None
    options = {id(model): options} if options else None
    proto = skl2onnx.to_onnx(model, rows[:1], options=options, target_opset=17)
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: rows})
    np.testing.assert_allclose(
        found[0].reshape(model.predict(rows).shape), model.predict(rows), rtol=1e-6
    )
    if is_classifier:
        wanted = model.decision_function(rows) if raw_scores else model.predict_proba(rows)
        np.testing.assert_allclose(found[1], wanted, rtol=1e-5)
        assert [len(o.shape) for o in session.get_outputs()] == [2, 2]


def test_qonnx_puts_out_the_values_before_that(case):
    model, _ = case
    proto = to_qonnx(model)
    assert [node.op_type for node in proto.graph.node][-2:] == ["Mul", "Add"]
    assert proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value == (
        model.integer_network_.layers[-1].n_logits
    )


def test_clients_of_encrypted_prediction_decode(case, tmp_path):
    """What a server computes, in the clear, between the two ends of a client that is loaded."""
    model, rows = case
    network = model.integer_network_
    lookups = lookup_network(network)
    (tmp_path / "client").mkdir()
    Ends.of(network, lookups).save(tmp_path / "client")
    ends = Ends.load(tmp_path / "client")
    sums = lookups.run(ends.codes(rows))
    np.testing.assert_array_equal(ends.decision(sums), network.decision(rows))
    np.testing.assert_array_equal(ends.predictions(sums), model.predict(rows))


@needs_gcc
def test_self_tests_of_values_beyond_float64(tiny_network, tmp_path):
    """There is no fixed point to compare, and what is predicted used to be compared with 0."""
    rng = np.random.default_rng(0)
    tiny = tiny_network(rng)
    output = dataclasses.replace(tiny.layers[-1], scale=np.array([1e308]), bias=np.array([1.0]))
    network = IntegerNetwork(tiny.encoding, [*tiny.layers[:-1], output], n_w_bits=3, n_accum_bits=8)
    to_c(network, tmp_path / "net.h", test_vectors=rng.normal(size=(20, 3)).astype(np.float32))
    program = tmp_path / "test"
    subprocess.run(["gcc", *FLAGS, tmp_path / "net_test.c", "-o", program], check=True)
    assert subprocess.run([program], check=False).returncode == 0
