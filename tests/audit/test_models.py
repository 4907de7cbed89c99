"""The audit on models as other tools make them, against ONNX Runtime, qonnx and Brevitas."""

import numpy as np
import oracles
import pytest

from qnnprune import IntegerNetwork, PrunedNeuralNetClassifier, prove

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("qonnx")
audited = pytest.importorskip("_audited")
numpy_helper = onnx.numpy_helper

DYNAMIC = [name for name in audited.MODELS if "dynamic" in name]
QDQ = [name for name in audited.MODELS if "QDQ" in name]
OPERATORS = [name for name in audited.MODELS if "QOperator" in name]


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def run(model, feed, names):
    """Some tensors, by ONNX Runtime as the graph says, one operator after the other."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return dict(zip(names, session.run(names, feed), strict=True))


def products_of(model):
    """Nodes that sum products, by name."""
    ops = {
        "MatMul",
        "Gemm",
        "Conv",
        "MatMulInteger",
        "ConvInteger",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    }
    return {node.name: node for node in model.graph.node if node.op_type in ops}


def source_of(model, name):
    return next(node for node in model.graph.node if name in node.output)


def patches(codes, pads, kernel):
    """Rows of a stride-1 convolution of one image, in the order of its weights."""
    channels, height, width = codes.shape
    padded = np.zeros((channels, height + 2 * pads, width + 2 * pads), np.int64)
    padded[:, pads : pads + height, pads : pads + width] = codes
    return [
        padded[:, i : i + kernel, j : j + kernel].ravel()
        for i in range(height + 2 * pads - kernel + 1)
        for j in range(width + 2 * pads - kernel + 1)
    ]


def on_the_way(weights, rows, bias):
    """Smallest and largest partial sum of some rows, in any order."""
    ends = [0, 0]
    for row in rows:
        terms = [int(w) * int(x) for w, x in zip(weights, row, strict=True)] + [int(bias)]
        ends[0] = min(ends[0], sum(min(t, 0) for t in terms))
        ends[1] = max(ends[1], sum(max(t, 0) for t in terms))
    return ends


@pytest.mark.parametrize("name", [*DYNAMIC, *QDQ, *OPERATORS])
def test_no_model_of_onnxruntime_is_passed_over(name):
    model = audited.MODELS[name]()
    proof = prove(model, n_tries=0)
    assert [layer.name for layer in proof.accumulators] == list(products_of(model))
    assert not proof.unknown and proof.holds is None
    assert prove(model, proof.bits, n_tries=0).holds
    assert not prove(model, proof.bits - 1, n_tries=0).holds


@pytest.mark.parametrize("name", DYNAMIC)
def test_inputs_that_overflow_do_so_in_onnxruntime(name):
    model = audited.MODELS[name]()
    proof = prove(model, 14, n_tries=400)
    for layer in proof.accumulators:
        witness = layer.witness
        assert witness.inputs is not None
        output = products_of(model)[layer.name].output[0]
        acc = run(model, witness.inputs, [output])[output]
        n_terms, bound = layer.n_terms, witness.input_bound
        assert n_terms and (bound > 2**13 - 1 or bound < -(2**13))
        # The finished sum is on the way, so it lies within.
        low, high = layer.partial_range[:, 0].min(), layer.partial_range[:, 1].max()
        assert low <= acc.min() and acc.max() <= high


@pytest.mark.parametrize("name", [*QDQ, *OPERATORS])
def test_inputs_that_overflow_do_so_by_the_codes_of_onnxruntime(name):
    """The codes that ONNX Runtime computes, multiplied and added by Python."""
    model = audited.MODELS[name]()
    held, nodes = constants(model), products_of(model)
    for layer in prove(model, 14, n_tries=400).accumulators:
        witness, node = layer.witness, nodes[layer.name]
        assert witness.inputs is not None
        weight, zero, bias, code_name = parameters(model, node, held)
        codes = run(model, witness.inputs, [code_name])[code_name][0].astype(int) - zero
        rows = [codes.ravel()]
        if "Conv" in node.op_type:
            rows = patches(codes, 1, 3)
        ends = on_the_way(weight[witness.neuron].ravel(), rows, bias[witness.neuron])
        assert witness.input_bound in ends
        assert not -(2**13) <= witness.input_bound < 2**13


def parameters(model, node, held):
    """Weight of shape (n_out, ...), input's zero point, bias, and the name of the codes."""
    if node.op_type in ("QGemm", "QLinearConv", "QLinearMatMul"):
        x, _, x_zero, w = node.input[:4]
        place = 6 if node.op_type == "QGemm" else 8
        b = node.input[place] if len(node.input) > place else None
        weight = held[w]
    else:
        dequantize = source_of(model, node.input[0])
        if dequantize.op_type != "DequantizeLinear":  # Flatten keeps the order
            dequantize = source_of(model, dequantize.input[0])
        x, _, x_zero = dequantize.input
        weight = held[source_of(model, node.input[1]).input[0]]
        b = source_of(model, node.input[2]).input[0] if len(node.input) > 2 else None
    if "Conv" not in node.op_type and not any(a.name == "transB" and a.i for a in node.attribute):
        weight = weight.T
    bias = np.zeros(len(weight)) if b is None else held[b]
    return weight.astype(int), int(held[x_zero]), bias.astype(int), x


@pytest.mark.filterwarnings("ignore")
def test_qonnx_agrees_where_its_range_analysis_reads_the_model():
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.util.range_analysis import range_analysis

    model = audited.qonnx_mlp()
    proof = prove(model)
    assert [layer.name for layer in proof.accumulators] == ["fc0", "fc1"]
    wrapper = ModelWrapper(model).transform(InferShapes())
    ranges = range_analysis(wrapper, irange=(-100.0, 100.0), report_mode="range")
    assert "y" not in ranges  # it has no rule for MultiThreshold
    low, high = (np.ravel(end) / 0.5 for end in ranges["s0"])
    first = proof.accumulators[0].sum_range
    assert (first[:, 0] == low).all() and (first[:, 1] == high).all()


def test_witnesses_of_qonnx_models_reach_their_bounds_in_qonnx():
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = audited.qonnx_mlp()
    layer = prove(model, 5, n_tries=400).accumulators[0]
    assert layer.holds is False
    wrapper = ModelWrapper(model).transform(InferShapes())
    sums = execute_onnx(wrapper, layer.witness.inputs, True)["s0"] / 0.5
    assert sums[0, layer.witness.neuron] == layer.witness.input_bound == layer.witness.bound


@pytest.mark.parametrize("thresholds_as", ["MultiThreshold", "Quant"])
def test_own_exports_keep_their_proof(tiny_network, thresholds_as):
    from qnnprune.export import to_onnx, to_qonnx

    network = tiny_network(np.random.default_rng(1), n_features=4, n_hidden=(5,), n_outputs=3)
    wanted = max(oracles.widest(network), 1)
    assert prove(network).bits == wanted
    for model in (to_onnx(network), to_qonnx(network, thresholds_as=thresholds_as)):
        proof = prove(model, wanted)
        assert proof.holds and not proof.unknown


def test_networks_their_files_and_estimators(tiny_network, tmp_path):
    network = tiny_network(np.random.default_rng(3), n_hidden=(4, 3))
    network.save(tmp_path / "network.npz")
    for model in (network, tmp_path / "network.npz"):
        proof = prove(model, 3)
        for layer, found in zip(network.layers, proof.accumulators, strict=True):
            assert found.sum_range.tolist() == [list(p) for p in oracles.accumulator_ranges(layer)]
        first = proof.accumulators[0].witness
        assert first.inputs is not None
        acc = network.layers[0].weight.astype(int) @ first.inputs["codes"][0]
        assert acc[first.neuron] == first.input_bound
    assert isinstance(IntegerNetwork.load(tmp_path / "network.npz"), IntegerNetwork)
    with pytest.raises(TypeError, match="neither an IntegerNetwork"):
        prove(object())
    assert PrunedNeuralNetClassifier  # fitted ones: the docstring of `prove`


def test_the_ternary_layer_overflows_as_reported():
    """microsoft/BitNet issue 629: 128 results of 508 in a lane that ends at 32,767."""
    proof = prove(audited.ternary(), "bitnet_i2", input_range=(-127, 127), n_tries=50)
    (layer,) = proof.accumulators
    assert proof.holds is False
    assert layer.witness.bound == 128 * 508 == layer.witness.input_bound
    assert set(layer.overflowing) == {0, 1, 2, 3}  # stored codes are 0, 1 and 2
    assert prove(audited.ternary(), "int32").holds
    assert prove(audited.ternary(n_in=1024), "bitnet_i2", input_range=(-127, 127)).holds
