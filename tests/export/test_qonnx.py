import shutil
import sys
import warnings

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.encoding._encoding import InputEncoding
from qnnprune.export import to_qonnx
from qnnprune.integer import OutputLayer
from qnnprune.integer._simplify import simplify

onnx = pytest.importorskip("onnx")
pytest.importorskip("qonnx")
DataType = pytest.importorskip("qonnx.core.datatype").DataType
ModelWrapper = pytest.importorskip("qonnx.core.modelwrapper").ModelWrapper
execute_onnx = pytest.importorskip("qonnx.core.onnx_exec").execute_onnx
basic = pytest.importorskip("qonnx.util.basic")
range_analysis = pytest.importorskip("qonnx.util.range_analysis")

seeds = st.integers(0, 2**32 - 1)
shapes = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 4),
        "n_hidden": st.lists(st.integers(1, 5), max_size=2).map(tuple),
        "n_outputs": st.integers(1, 3),
        "n_output_sums": st.integers(1, 3),
        "n_in_bits": st.integers(1, 8),
        "n_a_bits": st.integers(1, 8),
        "n_w_bits": st.integers(2, 8),
    }
)


def execute(proto, codes):
    """All tensors of a run of qonnx's executor, which warns where a value leaves its type."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return execute_onnx(ModelWrapper(proto), {"codes": codes.astype(np.float32)}, True)


def random_codes(rng, network, n_samples):
    low, high = network.layers[0].input_range.T
    return rng.integers(low, high + 1, (n_samples, len(low)))


def left_of(network):
    """The layers without constant and unread neurons, and what the last sums lack then."""
    simplified = simplify(network.layers)
    return simplified.layers_of_bias(), simplified.constant


def assert_equal_everywhere(network, codes, **options):
    """Every sum and every code exactly; the affine map in float32."""
    tensors = execute(to_qonnx(network, batch_size=len(codes), **options), codes)
    layers, constant = left_of(network)
    for index, steps in enumerate(zip(*(oracles.walk(layers, row) for row in codes), strict=True)):
        sums, outputs = map(np.array, zip(*steps, strict=True))
        assert np.array_equal(tensors[f"accumulator_{index}"], sums)
        if index < len(layers) - 1:
            assert np.array_equal(tensors[f"codes_{index}"], outputs)
    *_, before = zip(*(oracles.walk(network.layers, row) for row in codes), strict=True)
    assert np.array_equal(sums + constant, [totals for totals, _ in before])
    layer, expected = layers[-1], [values for _, values in before]
    totals = np.array([oracles.added_up(row, len(layer.scale)) for row in sums.tolist()])
    if len(sums[0]) > len(totals[0]):
        assert np.array_equal(tensors["total"], totals)
    scale, bias = layer.scale.astype(np.float32), layer.bias.astype(np.float32)
    assert np.array_equal(tensors["decision"], totals.astype(np.float32) * scale + bias)
    magnitude = np.abs(totals * layer.scale) + np.abs(layer.bias)
    assert (np.abs(tensors["decision"] - expected) <= magnitude * 2.0**-22).all()


@settings(max_examples=30)
@given(seed=seeds, shape=shapes)
def test_integers_are_equal(tiny_network, seed, shape):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    assert_equal_everywhere(network, random_codes(rng, network, 11))


@settings(max_examples=20)
@given(seed=seeds, shape=shapes, n_a_bits=st.integers(1, 4))
def test_steps_count_the_same(tiny_network, seed, shape, n_a_bits):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape | {"n_a_bits": n_a_bits})
    assert_equal_everywhere(network, random_codes(rng, network, 11), thresholds_as="Quant")


def test_steps_are_operators_that_hls4ml_knows(tiny_network):
    proto = to_qonnx(tiny_network(np.random.default_rng(2)), thresholds_as="Quant")
    assert {node.op_type for node in proto.graph.node} == {"MatMul", "Add", "Mul", "Quant"}


def test_the_types_of_totals_and_of_codes_of_one_bit(tiny_network):
    shape = {"n_hidden": (6,), "n_outputs": 2, "n_output_sums": 3, "n_a_bits": 1}
    network = tiny_network(np.random.default_rng(1), **shape)
    model, output = ModelWrapper(to_qonnx(network)), left_of(network)[0][-1]
    assert model.get_tensor_datatype("codes_0") == DataType["INT1"]  # -1 and 0
    ones = model.get_initializer("ones")
    assert ones.tolist() == [[1, 0], [0, 1]] * 3
    assert model.get_tensor_datatype("ones").allowed(ones).all()
    parts = np.array(oracles.accumulator_ranges(output)).reshape(3, 2, 2).sum(axis=0)
    bits = oracles.width(parts[:, 0].min(), parts[:, 1].max())
    assert model.get_tensor_datatype("total") == DataType[f"INT{bits}"]
    sums = model.get_tensor_datatype("accumulator_1")
    assert sums.bitwidth() == output.accumulator_bits.max() < bits


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="hls4ml's emulation is compiled by g++")
@pytest.mark.filterwarnings("ignore:Failed to propagate quantization bias")
@pytest.mark.parametrize("more", [{}, {"n_a_bits": 1, "n_output_sums": 3}])
def test_hls4ml_computes_the_same_in_accumulators_of_the_proven_width(tiny_network, tmp_path, more):
    hls4ml = pytest.importorskip("hls4ml")
    cleanup_model = pytest.importorskip("qonnx.util.cleanup").cleanup_model
    shape = {"n_hidden": (5,), "n_outputs": 3, "n_w_bits": 2} | more
    network = tiny_network(np.random.default_rng(1), **shape)
    first, last = network.layers
    low, high = first.input_range.T
    extremes = [np.where(first.weight * sign > 0, high, low) for sign in (1, -1)]
    codes = np.vstack([*extremes, random_codes(np.random.default_rng(2), network, 200)])
    acc = codes @ first.weight.T
    assert np.array_equal(np.c_[acc.min(axis=0), acc.max(axis=0)], first.accumulator_range)

    proto = cleanup_model(ModelWrapper(to_qonnx(network, thresholds_as="Quant"))).model
    config = hls4ml.utils.config_from_onnx_model(
        proto, granularity="name", backend="Vitis", default_precision="fixed<32,16>"
    )
    for index, layer in enumerate([first, last]):
        bits = layer.accumulator_bits.max()
        widths = {"accum": f"fixed<{bits},{bits}>", "result": f"fixed<{bits},{bits}>"}
        config["LayerName"][f"MatMul_{index}"]["Precision"] = widths
    model = hls4ml.converters.convert_from_onnx_model(
        proto, hls_config=config, output_dir=str(tmp_path), backend="Vitis"
    )
    model.compile()
    decision = model.predict(codes.astype(np.float32))
    np.testing.assert_allclose(decision, network.run(codes), atol=1e-3)


@pytest.mark.parametrize(
    "make, options, target",
    [
        (PrunedNeuralNetClassifier, {"n_accum_bits": 6}, lambda y: y == 1),
        (PrunedNeuralNetClassifier, {"n_a_bits": 4}, lambda y: np.array([*"abc"])[y]),
        (PrunedNeuralNetClassifier, {"skip_connection": True}, lambda y: y),
        (PrunedNeuralNetRegressor, {"n_w_bits": 3, "n_in_bits": 1}, lambda y: np.c_[y, -y]),
    ],
)
def test_estimators(make, options, target, tmp_path):
    X, y = load_iris(return_X_y=True)
    net = make((12, 6), max_epochs=3, random_state=0, **options).fit(X, target(y))
    network = net.integer_network_
    codes = network.quantize_input(X)
    assert_equal_everywhere(network, codes)
    proto = to_qonnx(net, tmp_path / "net.onnx", batch_size=len(X))
    assert onnx.load(tmp_path / "net.onnx") == proto
    decision = execute(proto, codes)["decision"]
    if network.classes is not None:
        best = decision.argmax(axis=1) if len(decision[0]) > 1 else (decision[:, 0] > 0) * 1
        assert np.array_equal(network.classes[best], net.predict(X))
    one = to_qonnx(net)
    assert [execute(one, row[None])["decision"].tolist() for row in codes[:3]] == [
        [row] for row in decision[:3].tolist()
    ]


def finn_accumulator_type(low, high):
    """How FINN's MinimizeAccumulatorWidth names the accumulator of a layer."""
    if low >= 0:
        return DataType[f"UINT{max(1, int(np.ceil(np.log2(high + 1))))}"]
    return DataType[f"INT{int(np.ceil(np.log2(max(-low, high + 1)) + 1))}"]


@settings(max_examples=30)
@given(seed=seeds, shape=shapes)
def test_qonnx_finds_the_same_accumulators(tiny_network, seed, shape):
    network = tiny_network(np.random.default_rng(seed), **shape)
    model = ModelWrapper(to_qonnx(network))
    for index, layer in enumerate(left_of(network)[0]):
        codes = model.graph.node[[n.name for n in model.graph.node].index(f"accumulator_{index}")]
        inputs = model.get_tensor_datatype(codes.input[0])
        weight = model.get_initializer(f"weight_{index}")
        assert DataType[f"INT{network.n_w_bits}"] == model.get_tensor_datatype(f"weight_{index}")
        low, high = basic.calculate_matvec_accumulator_range(weight, inputs)
        found = finn_accumulator_type(low, high)
        assert model.get_tensor_datatype(f"accumulator_{index}") == found
        assert (low, high) == (
            layer.accumulator_range[:, 0].min(),
            layer.accumulator_range[:, 1].max(),
        )
        if (layer.accumulator_range[:, 0] < 0).all():
            assert found.bitwidth() == layer.accumulator_bits.max()


def test_range_analysis_agrees_neuron_by_neuron(tiny_network, monkeypatch):
    calculations = range_analysis.optype_to_range_calc  # it knows no MultiThreshold
    monkeypatch.setitem(calculations, "MultiThreshold", range_analysis.calc_range_outdtype)
    network = tiny_network(np.random.default_rng(0), n_features=5, n_hidden=(6, 5), n_outputs=3)
    found = range_analysis.range_analysis(ModelWrapper(to_qonnx(network)), report_mode="range")
    for index, layer in enumerate(network.layers):
        low_high = np.stack(found[f"accumulator_{index}"], axis=1)
        assert np.array_equal(low_high, layer.accumulator_range)


def test_every_constant_fits_its_type(tiny_network):
    model = ModelWrapper(to_qonnx(tiny_network(np.random.default_rng(1), n_a_bits=4)))
    constants = [tensor.name for tensor in model.graph.initializer if "_" in tensor.name]
    typed = [n for n in constants if model.get_tensor_datatype(n).is_integer()]
    assert len(typed) == 5  # three weights, two rows of thresholds
    for name in typed:
        assert model.get_tensor_datatype(name).allowed(model.get_initializer(name)).all()


def test_constant_features_have_no_weight(tiny_network):
    network = tiny_network(np.random.default_rng(3), n_features=6)
    constant = (network.layers[0].input_range == 0).all(axis=1)
    assert constant.any() and not constant.all()
    weight = ModelWrapper(to_qonnx(network)).get_initializer("weight_0").T
    assert (weight[:, constant] == 0).all()
    assert np.array_equal(weight[:, ~constant], network.layers[0].weight[:, ~constant])


def test_bad_input(tiny_network, tmp_path, monkeypatch):
    network = tiny_network(np.random.default_rng(4))
    with pytest.raises(NotFittedError):
        to_qonnx(PrunedNeuralNetClassifier())
    for batch_size in (0, -1, True, 1.0, "1", None):
        with pytest.raises(ValueError, match=f"batch_size={batch_size!r}"):
            to_qonnx(network, batch_size=batch_size)
    with pytest.raises(ValueError, match="thresholds_as='finn'"):
        to_qonnx(network, thresholds_as="finn")
    with pytest.raises(TypeError, match="opset"):
        to_qonnx(network, opset=9)
    with pytest.raises(FileNotFoundError):
        to_qonnx(network, tmp_path / "missing" / "net.onnx")
    assert not any(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"onnx is missing.*qnnprune\[qonnx\]"):
        to_qonnx(network)


def test_sums_that_float32_does_not_hold():
    n_in = 1050
    encoding = InputEncoding(
        np.tile(np.arange(255.0), (n_in, 1)), np.ones(n_in, dtype=np.int64), 8
    )  # fmt: skip
    ones = np.ones(1)
    for n_nonzero in (1032, 1033):  # 1032 * 127 * 128 is just below 2**24
        weight = np.zeros((1, n_in), dtype=np.int8)
        weight[0, :n_nonzero] = 127
        layer = OutputLayer(weight, encoding.input_range, scale=ones, bias=ones)
        network = IntegerNetwork(encoding, [layer], n_w_bits=8, n_accum_bits=32)
        if n_nonzero == 1032:
            codes = np.full((1, n_in), -128)
            sums = execute(to_qonnx(network), codes)["accumulator_0"]
            assert sums.tolist() == [[-1032 * 127 * 128]]
            continue
        with pytest.raises(ValueError, match="Layer 0 has sums from .* n_accum_bits=25"):
            to_qonnx(network)


def test_totals_that_float32_does_not_hold():
    n_in, n_sums = 700, 3
    thresholds = np.tile(np.arange(255.0), (n_in, 1))
    encoding = InputEncoding(thresholds, np.ones(n_in, dtype=np.int64), 8)
    for n_nonzero in (344, 345):  # 3 * 344 * 127 * 128 is just below 2**24
        weight = np.zeros((n_sums, n_in), dtype=np.int8)
        weight[:, :n_nonzero] = 127
        output = OutputLayer(weight, encoding.input_range, scale=np.ones(1), bias=np.zeros(1))
        network = IntegerNetwork(encoding, [output], n_w_bits=8, n_accum_bits=32)
        if n_nonzero == 344:
            total = execute(to_qonnx(network), np.full((1, n_in), -128))["total"]
            assert total.tolist() == [[-3 * 344 * 127 * 128]]
            continue
        with pytest.raises(ValueError, match="totals from .* n_accum_bits=23 or less"):
            to_qonnx(network)
