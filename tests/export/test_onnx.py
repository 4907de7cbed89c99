import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.encoding._encoding import InputEncoding
from qnnprune.export import to_onnx
from qnnprune.export.onnx._skl2onnx import register_skl2onnx
from qnnprune.integer import OutputLayer

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

seeds = st.integers(0, 2**32 - 1)
shapes = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 4),
        "n_hidden": st.lists(st.integers(1, 5), max_size=3).map(tuple),
        "n_outputs": st.integers(1, 4),
        "n_output_sums": st.integers(1, 3),
        "n_in_bits": st.integers(1, 8),
        "n_a_bits": st.integers(1, 8),
        "n_w_bits": st.integers(2, 8),
    }
)
HUGE = np.finfo(np.float32).max


def run(proto, X, input_name="X"):
    """Outputs by name, from ONNX Runtime with its default optimizations."""
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = X if isinstance(X, dict) else {input_name: X}
    return dict(zip(names, session.run(None, inputs), strict=True))


def values(rng, network, n_samples, dtype=np.float32):
    """Rows of X, most of them on a threshold of the encoding or one step beside it."""
    X = rng.normal(size=(n_samples, network.n_features_in))
    ties = rng.choice(network.encoding.thresholds, n_samples, axis=1).T
    X = np.where((rng.random(X.shape) < 0.8) & np.isfinite(ties), ties, X).astype(dtype)
    step = rng.integers(-1, 2, X.shape)
    X = np.where(step < 0, np.nextafter(X, dtype(-np.inf)), X)
    X = np.where(step > 0, np.nextafter(X, dtype(np.inf)), X)
    return np.where(rng.random(X.shape) < 0.1, rng.choice([-HUGE, 0, HUGE], X.shape), X).astype(
        dtype
    )


@settings(max_examples=60)
@given(seed=seeds, shape=shapes, dtype=st.sampled_from(["float32", "float64"]))
def test_every_bit_is_equal(tiny_network, seed, shape, dtype):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    X = values(rng, network, 9, getattr(np, dtype))
    outputs = run(to_onnx(network, dtype=dtype, decision=True), X)
    assert outputs["decision"].tolist() == network.decision(X).tolist()
    assert outputs["variable"].dtype == np.float32
    assert np.array_equal(outputs["variable"], network.decision(X).astype(np.float32))


@pytest.mark.parametrize("n_bits", [1, 2, 5, 8])
@pytest.mark.parametrize("n_sums", [1, 3])
def test_the_reference_implementation_agrees(tiny_network, n_bits, n_sums):
    reference = pytest.importorskip("onnx.reference")
    rng = np.random.default_rng(n_bits)
    sizes = {"n_in_bits": n_bits, "n_a_bits": n_bits, "n_w_bits": max(2, n_bits)}
    sizes |= {"n_outputs": 3, "n_output_sums": n_sums}
    network = tiny_network(rng, classes=np.array(["a", "b", "c"]), **sizes)
    X = values(rng, network, 30)
    proto = to_onnx(network, decision=True)
    label, probabilities, decision = reference.ReferenceEvaluator(proto).run(None, {"X": X})
    assert np.array_equal(decision, network.decision(X))
    assert np.array_equal(label, network.predict(X))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def one_threshold(threshold):
    """One feature, one code: the decision is -1 below the threshold and 0 from there on."""
    encoding = InputEncoding(np.array([[threshold]]), np.ones(1, dtype=np.int64), 1)
    layer = OutputLayer(
        np.ones((1, 1), dtype=np.int8), encoding.input_range, scale=np.ones(1), bias=np.zeros(1)
    )
    return IntegerNetwork(encoding, [layer], n_w_bits=2, n_accum_bits=8)


@pytest.mark.parametrize("threshold", [0.1, -0.1, 1 / 3, 0.5, 0.0, 1e-46, -1e-46, 1e300, -1e300])
def test_a_float32_value_reaches_a_float64_threshold_as_in_predict(threshold):
    with np.errstate(over="ignore"):
        at = np.float32(threshold)
    at = np.clip(at, -HUGE, HUGE)
    near = [np.nextafter(at, np.float32(-HUGE)), at, np.nextafter(at, np.float32(HUGE))]
    X = np.array([[-HUGE], *([x] for x in near), [HUGE]], dtype=np.float32)
    expected = [[0.0 if float(x) >= threshold else -1.0] for (x,) in X]
    network = one_threshold(threshold)
    assert network.predict(X).tolist() == [d for (d,) in expected]
    assert run(to_onnx(network), X)["variable"].tolist() == expected


def test_features_cast_to_float32_may_change_sides_and_float64_ones_do_not():
    threshold = 0.1  # float32(0.1) is above it
    below = np.array([[np.nextafter(threshold, 0)]])
    network = one_threshold(threshold)
    assert network.predict(below).tolist() == [-1.0]
    assert run(to_onnx(network), below.astype(np.float32))["variable"].tolist() == [[0.0]]
    assert run(to_onnx(network, dtype="float64"), below)["variable"].tolist() == [[-1.0]]


@pytest.mark.parametrize("n_sums", [1, 2])
def test_any_number_of_rows(tiny_network, n_sums):
    network = tiny_network(np.random.default_rng(0), classes=np.arange(2), n_output_sums=n_sums)
    proto = to_onnx(network)
    for n_samples in (0, 1, 7):
        X = np.zeros((n_samples, 3), dtype=np.float32)
        outputs = run(proto, X)
        assert outputs["label"].tolist() == network.predict(X).tolist()
        assert outputs["probabilities"].shape == (n_samples, 2)


def test_constant_features_change_nothing():
    encoding = InputEncoding(np.full((4, 3), np.inf), np.zeros(4, dtype=np.int64), 2)
    weight, ones = np.ones((1, 4), dtype=np.int8), np.ones(1)
    layer = OutputLayer(weight, encoding.input_range, scale=ones, bias=ones)
    network = IntegerNetwork(encoding, [layer], n_w_bits=2, n_accum_bits=8)
    X = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    assert run(to_onnx(network), X)["variable"].tolist() == [[1.0]] * 5


@pytest.mark.parametrize("n_hidden", [(3,), (4, 3)])
def test_neurons_that_no_input_switches(tiny_network, n_hidden):
    rng = np.random.default_rng(3)
    network = tiny_network(rng, n_hidden=n_hidden, n_outputs=2)
    last = network.layers[-2]
    last.thresholds[1:] = last.accumulator_range[1:, :1]  # the highest code, always
    X = values(rng, network, 50)
    proto = to_onnx(network, decision=True)
    assert run(proto, X)["decision"].tolist() == network.decision(X).tolist()
    shapes = [list(tensor.dims) for tensor in proto.graph.initializer if len(tensor.dims) == 2]
    assert [1, 2] in shapes and [3, 2] not in shapes  # one neuron is left


@pytest.mark.parametrize("n_w_bits, n_a_bits", [(2, 2), (7, 8), (8, 7), (8, 8)])
def test_no_pair_of_products_leaves_int16(tiny_network, n_w_bits, n_a_bits):
    """Vector units add products of unsigned and signed bytes in pairs, and clip them."""
    sizes = {"n_w_bits": n_w_bits, "n_a_bits": n_a_bits, "n_in_bits": n_a_bits}
    network = tiny_network(np.random.default_rng(2), n_hidden=(40, 40), **sizes)
    proto = to_onnx(network)
    tensors = proto.graph.initializer
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}
    products = [node for node in proto.graph.node if node.op_type == "MatMulInteger"]
    assert len(products) == 3
    for node in products:
        weight = constants[node.input[1]]
        if weight.dtype == np.int8:
            assert 2 * (2**n_a_bits - 1) * np.abs(weight.astype(int)).max() <= 2**15 - 1
    signed = {constants[node.input[1]].dtype for node in products} == {np.dtype(np.int8)}
    assert signed == (n_w_bits + n_a_bits < 16)


def test_standard_operators_and_a_version_that_runtimes_read(tiny_network):
    proto = to_onnx(tiny_network(np.random.default_rng(3), n_a_bits=6, classes=np.arange(2)))
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.ir_version == 8
    assert {node.domain for node in proto.graph.node} == {""}
    onnx.checker.check_model(proto, full_check=True)


def test_wide_codes_take_few_nodes(tiny_network):
    rng = np.random.default_rng(4)
    network = tiny_network(rng, n_in_bits=8, n_a_bits=8, n_w_bits=8)
    assert len(to_onnx(network).graph.node) < 150  # 255 thresholds of each neuron


LABELS = {
    "two ints": np.array([-1, 1]),
    "ints": np.array([10, 20, 30], dtype=np.int16),
    "bools": np.array([False, True]),
    "whole floats": np.array([1.0, 2.0, 4.0]),
    "strings": np.array(["no", "yes", "über"]),
    "objects": np.array(["no", "yes"], dtype=object),
}


@pytest.mark.parametrize("classes", LABELS.values(), ids=LABELS)
def test_labels(tiny_network, classes):
    n_outputs = 1 if len(classes) == 2 else len(classes)
    rng = np.random.default_rng(5)
    network = tiny_network(rng, n_features=4, n_hidden=(9,), n_outputs=n_outputs, classes=classes)
    network.layers[-1].scale[:], network.layers[-1].bias[:] = 1, 0
    X = values(rng, network, 200)
    outputs = run(to_onnx(network), X)
    expected = network.predict(X)
    assert len(np.unique(expected)) == len(classes)
    assert outputs["label"].tolist() == expected.tolist()
    assert outputs["label"].dtype == (object if isinstance(classes[0], str) else np.int64)


@pytest.mark.parametrize(
    "classes", [[0.5, 1.5], [0, 2**63], [np.nan, 1.0], [b"a", b"b"]], ids=str
)  # fmt: skip
def test_labels_that_onnx_does_not_have(tiny_network, classes):
    network = tiny_network(np.random.default_rng(6), classes=np.array(classes))
    with pytest.raises(ValueError, match="labels .* neither whole numbers"):
        to_onnx(network)


def test_a_tie_of_logits_goes_to_the_first_class(tiny_network):
    network = tiny_network(np.random.default_rng(7), n_outputs=3, classes=np.arange(3))
    network.layers[-1].scale[:] = 0
    network.layers[-1].bias[:] = [-1, 2, 2]
    X = np.zeros((1, 3), dtype=np.float32)
    assert network.predict(X).tolist() == run(to_onnx(network), X)["label"].tolist() == [1]
    binary = tiny_network(np.random.default_rng(7), classes=np.arange(2))
    binary.layers[-1].scale[:] = binary.layers[-1].bias[:] = 0
    assert binary.predict(X).tolist() == run(to_onnx(binary), X)["label"].tolist() == [0]


SEVERAL = {"n_output_sums": 3, "n_a_bits": 1}
ESTIMATORS = {
    "binary": (PrunedNeuralNetClassifier, {}, lambda y: y == 1),
    "classes": (PrunedNeuralNetClassifier, {"activation": "sigmoid"}, lambda y: y),
    "strings": (PrunedNeuralNetClassifier, {"n_a_bits": 5}, lambda y: np.array([*"abc"])[y]),
    "regression": (PrunedNeuralNetRegressor, {"n_w_bits": 4}, lambda y: y * 1e3),
    "targets": (PrunedNeuralNetRegressor, {"n_a_bits": 3}, lambda y: np.c_[y, -y]),
    "sums": (PrunedNeuralNetClassifier, SEVERAL, lambda y: y),
    "sums of two classes": (PrunedNeuralNetClassifier, SEVERAL, lambda y: y == 1),
    "sums of targets": (PrunedNeuralNetRegressor, SEVERAL, lambda y: np.c_[y, -y]),
}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request):
    """An estimator of each kind, and float32 rows to predict."""
    make, options, target = ESTIMATORS[request.param]
    X, y = load_iris(return_X_y=True)
    net = make((12, 6), max_epochs=3, random_state=0, **options)
    net.fit(X, target(y))
    return net, values(np.random.default_rng(8), net.integer_network_, 300).clip(-1e9, 1e9)


def test_estimators(fitted, tmp_path):
    net, X = fitted
    outputs = run(to_onnx(net, tmp_path / "net.onnx"), X)
    check_outputs(net, X, outputs)
    again = run(onnx.load(tmp_path / "net.onnx"), X)
    assert all(np.array_equal(again[name], outputs[name]) for name in outputs)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def check_outputs(model, X, outputs):
    if hasattr(model, "predict_proba"):
        assert list(outputs) == ["label", "probabilities"]
        assert outputs["label"].tolist() == model.predict(X).tolist()
        expected = model.predict_proba(X)
        np.testing.assert_allclose(outputs["probabilities"], expected, rtol=1e-6, atol=1e-30)
    else:
        expected = model.predict(X)
        assert list(outputs) == ["variable"]
        target = expected.astype(outputs["variable"].dtype).reshape(len(X), -1)
        assert np.array_equal(outputs["variable"], target)


def test_pipeline(fitted):
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    register_skl2onnx()
    net, X = fitted
    for dtype in (np.float32, np.float64):
        rows = X.astype(dtype)
        scaler = StandardScaler().fit(rows)
        unscaled = scaler.inverse_transform(rows)
        pipeline = make_pipeline(scaler, net)
        options = {StandardScaler: {"div": "div"}}
        if hasattr(net, "predict_proba"):
            options[type(net)] = {"zipmap": False}
        proto = skl2onnx.to_onnx(pipeline, unscaled[:1], options=options)
        outputs = run(proto, unscaled)
        check_outputs(pipeline, unscaled, outputs)
        floats = [array for array in outputs.values() if array.dtype.kind == "f"]
        assert {array.dtype for array in floats} == {np.dtype(dtype)}


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def mixed_pipeline(request):
    """A DataFrame of numbers and words through a ColumnTransformer, and its ONNX inputs."""
    pd = pytest.importorskip("pandas")
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X.astype(request.param), columns=list("abcd"))
    frame["colour"] = np.array(["red", "green", "blue"])[np.arange(150) % 3]
    words = OneHotEncoder(dtype=request.param)
    columns = make_column_transformer((StandardScaler(), list("abcd")), (words, ["colour"]))
    net = PrunedNeuralNetClassifier((8,), n_output_sums=2, max_epochs=3, random_state=0)
    pipeline = make_pipeline(columns, StandardScaler(with_mean=False), net).fit(frame, y)
    return pipeline, frame, {name: frame[[name]].to_numpy() for name in frame}


def convert(pipeline, frame, **options):
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    options = {PrunedNeuralNetClassifier: options, StandardScaler: {"div": "div"}}
    return skl2onnx.to_onnx(pipeline, frame[:1], options=options)


def test_column_transformer(mixed_pipeline):
    pipeline, frame, inputs = mixed_pipeline
    outputs = run(convert(pipeline, frame, zipmap=False), inputs)
    assert outputs["label"].tolist() == pipeline.predict(frame).tolist()
    np.testing.assert_allclose(outputs["probabilities"], pipeline.predict_proba(frame), rtol=1e-5)


@pytest.mark.parametrize("mixed_pipeline", [np.float32], indirect=True)  # all that ZipMap takes
def test_options_are_those_of_classifiers(mixed_pipeline):
    pipeline, frame, inputs = mixed_pipeline
    proba = pipeline.predict_proba(frame)
    listed = run(convert(pipeline, frame), inputs)["output_probability"]
    np.testing.assert_allclose([[row[c] for c in range(3)] for row in listed], proba, rtol=1e-5)
    columns = run(convert(pipeline, frame, zipmap="columns"), inputs)
    np.testing.assert_allclose(columns["i2"], proba[:, 2], rtol=1e-5)
    scores = run(convert(pipeline, frame, zipmap=False, raw_scores=True), inputs)["probabilities"]
    np.testing.assert_allclose(scores, pipeline.decision_function(frame), rtol=1e-5)
    classes = run(convert(pipeline, frame, zipmap=False, output_class_labels=True), inputs)
    assert classes["class_labels"].tolist() == [0, 1, 2]
    with pytest.raises(NameError, match="depth"):
        convert(pipeline, frame, depth=3)


def test_raw_scores_and_numbers_of_strings():
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    X, y = load_iris(return_X_y=True)
    X, labels = X.astype(np.float32), np.where(y == 1, "yes", "no")
    net = PrunedNeuralNetClassifier((8,), max_epochs=2, random_state=0).fit(X, labels)
    options = {"zipmap": False, "raw_scores": True, "nocl": True}
    outputs = run(skl2onnx.to_onnx(net, X[:1], options=options), X)
    assert outputs["label"].tolist() == (net.predict(X) == "yes").astype(int).tolist()
    decision = net.decision_function(X).astype(np.float32)
    assert np.array_equal(outputs["probabilities"], np.c_[-decision, decision])


def test_integer_features_and_a_grid_search():
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    X, y = load_diabetes(return_X_y=True)
    X = (X * 1e8).astype(np.int64)  # float32 would not hold them
    X[:, 1] = 2**24 + (X[:, 1] > 0)
    net = PrunedNeuralNetRegressor((8,), max_epochs=2, random_state=0)
    search = GridSearchCV(net, {"n_a_bits": [2, 3]}, cv=2).fit(X, y)
    check_outputs(search, X, run(skl2onnx.to_onnx(search, X[:1]), X))


def test_opsets_that_are_too_old(mixed_pipeline):
    skl2onnx = pytest.importorskip("skl2onnx")
    register_skl2onnx()
    pipeline, frame, inputs = mixed_pipeline
    options = {PrunedNeuralNetClassifier: {"zipmap": False}}
    oldest = skl2onnx.to_onnx(pipeline, frame[:1], target_opset=13, options=options)
    assert run(oldest, inputs)["probabilities"].shape == (150, 3)
    with pytest.raises(ValueError, match="target_opset=12 is too old"):
        skl2onnx.to_onnx(pipeline, frame[:1], target_opset=12, options=options)


def test_bad_input(tiny_network, tmp_path):
    network = tiny_network(np.random.default_rng(9))
    with pytest.raises(NotFittedError):
        to_onnx(PrunedNeuralNetClassifier())
    with pytest.raises(NotFittedError):
        to_onnx(make_pipeline(StandardScaler(), PrunedNeuralNetClassifier()))
    with pytest.raises(TypeError, match="A StandardScaler is neither"):
        to_onnx(make_pipeline(StandardScaler()))
    with pytest.raises(ValueError, match="dtype='float16'"):
        to_onnx(network, dtype="float16")
    with pytest.raises(TypeError, match="opset"):
        to_onnx(network, opset=9)
    with pytest.raises(FileNotFoundError):
        to_onnx(network, tmp_path / "missing" / "net.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        to_onnx(network, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    headless = IntegerNetwork(network.encoding, network.layers[:-1], n_w_bits=3, n_accum_bits=8)
    with pytest.raises(ValueError, match="layer 1"):
        to_onnx(headless)


def test_totals_that_int32_does_not_hold():
    n_in, n_sums = 33_000, 5  # sums of up to 2**29, totals beyond 2**31
    encoding = InputEncoding(np.tile(np.arange(255.0), (n_in, 1)), np.ones(n_in, int), 8)
    weight, ones = np.full((n_sums, n_in), 127, dtype=np.int8), np.ones(1)
    layer = OutputLayer(weight, encoding.input_range, scale=ones, bias=ones)
    network = IntegerNetwork(encoding, [layer], n_w_bits=8, n_accum_bits=32)
    X = np.full((1, n_in), -1, np.float32)
    (decision,) = run(to_onnx(network, decision=True), X)["decision"].tolist()
    assert decision == [-128 * 127 * n_in * n_sums + 1] == network.decision(X)[0].tolist()
    assert decision[0] < -(2**31)


def test_sums_are_added_up_as_integers(tiny_network):
    network = tiny_network(np.random.default_rng(2), n_outputs=2, n_output_sums=3)
    nodes = to_onnx(network).graph.node
    at = [node.op_type for node in nodes].index("ReduceSum")
    assert [node.op_type for node in nodes[at - 2 : at + 2]] == [
        "MatMulInteger", "Reshape", "ReduceSum", "Cast",
    ]  # fmt: skip


def test_sums_that_int32_does_not_hold():
    n_in = 33_026  # times 255 * 255, as weights get 128 added, is just above 2**31
    thresholds = np.broadcast_to(np.arange(255.0), (n_in, 255))
    encoding = InputEncoding(thresholds, np.ones(n_in, dtype=np.int64), 8)
    weight, ones = np.full((1, n_in), 127, dtype=np.int8), np.ones(1)
    layer = OutputLayer(weight, encoding.input_range, scale=ones, bias=ones)
    network = IntegerNetwork(encoding, [layer], n_w_bits=8, n_accum_bits=32)
    with pytest.raises(ValueError, match="Layer 0 has 33026 inputs of 8 bits.*Fewer inputs"):
        to_onnx(network)


@pytest.mark.parametrize("module", ["onnx", "skl2onnx"])
def test_a_missing_extra_is_named(tiny_network, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module} is missing.*qnnprune\[onnx\]"):
        if module == "onnx":
            to_onnx(tiny_network(np.random.default_rng(0)))
        else:
            register_skl2onnx()


def test_importing_needs_no_extra():
    code = (
        "import sys; sys.modules['onnx'] = sys.modules['skl2onnx'] = None; import qnnprune.export"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
