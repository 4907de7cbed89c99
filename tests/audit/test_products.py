"""Ranges and witnesses of single layers against all inputs, in Python's own integers."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune import prove

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
helper, TensorProto = onnx.helper, onnx.TensorProto
model_of = pytest.importorskip("_audited").model_of

TYPES = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}
seeds = st.integers(0, 2**32 - 1)


def run(model, feed, *names):
    """Some tensors of a model, by ONNX Runtime without rewriting."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(list(names), feed)


def matmul_integer(x_type, weight, x_zero, w_zero, bias=None):
    constants = {"w": weight, "xz": np.array(x_zero, x_type), "wz": np.array(w_zero, weight.dtype)}
    nodes = [helper.make_node("MatMulInteger", ["x", "w", "xz", "wz"], ["acc"], name="fc")]
    result = "acc"
    if bias is not None:
        constants["b"], result = bias.astype(np.int32), "sum"
        nodes.append(helper.make_node("Add", ["acc", "b"], ["sum"]))
    shape = [1, len(weight)]
    outputs = {result: (TensorProto.INT32, [1, weight.shape[1]])}
    return model_of(nodes, {"x": (TYPES[np.dtype(x_type)], shape)}, outputs, constants)


def all_sums(weight, bias, low, high):
    """Ends of one neuron's finished and partial sums: every input, every order of terms."""
    finished, partial = [], [0]
    for codes in product(range(low, high + 1), repeat=len(weight)):
        terms = [int(w) * code for w, code in zip(weight, codes, strict=True)] + [int(bias)]
        finished.append(sum(terms))
        for order in permutations(terms):
            partial += [sum(order[:k]) for k in range(1, len(order) + 1)]
    return (min(finished), max(finished)), (min(partial), max(partial))


@settings(max_examples=25)
@given(
    seeds, st.sampled_from([np.uint8, np.int8]), st.sampled_from([np.uint8, np.int8]), st.booleans()
)
def test_matmul_integer_equals_every_try(seed, x_type, w_type, with_bias):
    rng = np.random.default_rng(seed)
    info = np.iinfo(w_type)
    weight = rng.integers(info.min, info.max + 1, (rng.integers(1, 4), 2)).astype(w_type)
    low = int(rng.integers(np.iinfo(x_type).min, np.iinfo(x_type).max - 2))
    high, x_zero = low + int(rng.integers(0, 3)), int(rng.integers(0, 128))
    w_zero = int(rng.integers(info.min, info.max + 1))
    bias = rng.integers(-500, 500, 2) if with_bias else None
    model = matmul_integer(x_type, weight, x_zero, w_zero, bias)
    proof = prove(model, 12, input_range=(low, high), n_tries=50)
    (layer,) = proof.accumulators
    for neuron, column in enumerate(weight.T.astype(int) - w_zero):
        start = 0 if bias is None else bias[neuron]
        finished, partial = all_sums(column, start, low - x_zero, high - x_zero)
        assert tuple(layer.sum_range[neuron]) == finished
        assert tuple(layer.partial_range[neuron]) == partial
        first, last = (0, 4095) if partial[0] >= 0 else (-2048, 2047)
        assert (neuron in layer.overflowing) == (partial[0] < first or partial[1] > last)
    assert proof.holds == (not len(layer.overflowing))
    witness = layer.witness
    found = run(model, {"x": witness.codes.astype(x_type)}, "acc" if bias is None else "sum")[0]
    assert found[0, witness.neuron] == witness.total
    assert witness.bound in layer.partial_range[witness.neuron]
    if not proof.holds:
        assert witness.inputs is not None  # a first layer: one pass of the search finds it


def conv_ends(low, high, weight, pads, strides, dilations, group):
    """Ends of each channel's sums over all positions, by loops over a convolution's definition."""
    channels, height, width = low.shape
    n_out, per_group, *kernel = weight.shape
    ends = []
    for out in range(n_out):
        first = out // (n_out // group) * per_group
        sums = []
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        for top in range(-pads[0], height + pads[2] - spans[0] + 1, strides[0]):
            for left in range(-pads[1], width + pads[3] - spans[1] + 1, strides[1]):
                smallest = largest = below = above = 0
                for c, i, j in product(range(per_group), range(kernel[0]), range(kernel[1])):
                    y, x = top + i * dilations[0], left + j * dilations[1]
                    if 0 <= y < height and 0 <= x < width:
                        w = int(weight[out, c, i, j])
                        products = w * int(low[first + c, y, x]), w * int(high[first + c, y, x])
                        smallest, largest = smallest + min(products), largest + max(products)
                        below, above = below + min(0, *products), above + max(0, *products)
                sums.append((smallest, largest, below, above))
        columns = list(zip(*sums, strict=True))
        ends.append((min(columns[0]), max(columns[1]), min(columns[2]), max(columns[3])))
    return np.array(ends)


@settings(max_examples=25)
@given(seeds, st.sampled_from(["ConvInteger", "QLinearConv", "Conv"]))
def test_convolutions_equal_their_definition(seed, op):
    rng = np.random.default_rng(seed)
    group, per_group = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    size, kernel = rng.integers(3, 6, 2).tolist(), rng.integers(1, 3, 2).tolist()
    weight = rng.integers(-7, 8, (2 * group, per_group, *kernel)).astype(np.int8)
    geometry = {
        "pads": rng.integers(0, 2, 4).tolist(),
        "strides": rng.integers(1, 3, 2).tolist(),
        "dilations": rng.integers(1, 3, 2).tolist(),
        "group": group,
    }
    shape, zero = (1, group * per_group, *size), int(rng.integers(0, 256))
    low = rng.integers(0, 200, shape)
    high = low + rng.integers(0, 50, shape)
    one, y_scale = np.float32(1), np.float32(100)
    constants = {"w": weight, "z": np.uint8(zero), "wz": np.int8(0), "s": one, "ys": y_scale}
    inputs = {"ConvInteger": ["x", "w", "z"], "Conv": ["d", "dw"]}
    names = inputs.get(op, ["x", "s", "z", "w", "s", "wz", "ys", "z"])
    before = []
    if op == "Conv":
        before = [
            helper.make_node("DequantizeLinear", ["x", "s", "z"], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["dw"]),
        ]
    node = helper.make_node(op, names, ["y"], name="conv", kernel_shape=kernel, **geometry)
    types = {"ConvInteger": TensorProto.INT32, "Conv": TensorProto.FLOAT}
    outputs = {"y": (types.get(op, TensorProto.UINT8), None)}
    model = model_of([*before, node], {"x": (TensorProto.UINT8, shape)}, outputs, constants)
    (layer,) = prove(model, input_range=(low, high)).accumulators
    wanted = conv_ends(low[0] - zero, high[0] - zero, weight, **geometry)
    assert (layer.sum_range == wanted[:, :2]).all()
    assert (layer.partial_range == wanted[:, 2:]).all()
    assert ((layer.witness.codes >= low) & (layer.witness.codes <= high)).all()
    if op != "QLinearConv":
        found = run(model, {"x": layer.witness.codes.astype(np.uint8)}, "y")[0][0]
        assert found[layer.witness.neuron].flat[layer.witness.position[1]] == layer.witness.total


@settings(max_examples=25)
@given(seeds)
def test_dynamic_zero_points_are_taken_together(seed):
    """All rows of DynamicQuantizeLinear's zero points: one for all inputs of a sum."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-9, 10, (3, 2)).astype(np.int8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["acc"], name="fc"),
    ]
    kinds = {"x": (1, [1, 3])}, {"acc": (TensorProto.INT32, [1, 2])}
    model = model_of(nodes, *kinds, {"w": weight})
    (layer,) = prove(model).accumulators
    for neuron, column in enumerate(weight.T.tolist()):
        ends = [
            [sum(f(w * -z, w * (255 - z)) for w in column) for f in (min, max)] for z in range(256)
        ]
        assert tuple(layer.sum_range[neuron]) == (min(e[0] for e in ends), max(e[1] for e in ends))
    proof = prove(model, 8)
    if proof.holds is False:
        found = run(model, proof.accumulators[0].witness.inputs, "acc")[0][0]
        assert found.max() > 127 or found.min() < -128


def test_a_batch_of_weights_and_weights_on_the_left():
    rng = np.random.default_rng(0)
    weight = rng.integers(-5, 6, (2, 3, 4)).astype(np.float32)
    left = rng.integers(-5, 6, (4, 3)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], name="batch"),
        helper.make_node("MatMul", ["l", "x3"], ["z"], name="left"),
    ]
    inputs = {"x": (1, [2, 5, 3]), "x3": (1, [3, 5])}
    outputs = {"y": (1, [2, 5, 4]), "z": (1, [4, 5])}
    model = model_of(nodes, inputs, outputs, {"w": weight, "l": left})
    batch, side = prove(model, input_range="INT3").accumulators
    for layer, rows in ((batch, weight.transpose(0, 2, 1).reshape(8, 3)), (side, left)):
        wanted = [[sum(f(-4 * w, 3 * w) for w in row) for f in (min, max)] for row in rows]
        assert layer.sum_range.tolist() == wanted


def test_integer_weights_on_the_left():
    rng = np.random.default_rng(0)
    left = rng.integers(-9, 10, (4, 3)).astype(np.int8)
    nodes = [helper.make_node("MatMulInteger", ["l", "x", "lz", "xz"], ["y"], name="left")]
    constants = {"l": left, "lz": np.int8(2), "xz": np.uint8(5)}
    kinds = {"x": (TensorProto.UINT8, [3, 2])}, {"y": (TensorProto.INT32, [4, 2])}
    model = model_of(nodes, *kinds, constants)
    (layer,) = prove(model, 8, n_tries=100).accumulators
    rows = left.astype(int) - 2
    wanted = [[sum(f(-5 * w, 250 * w) for w in row) for f in (min, max)] for row in rows.tolist()]
    assert layer.sum_range.tolist() == wanted
    found = run(model, {"x": layer.witness.inputs["x"]}, "y")[0][layer.witness.neuron]
    assert found.max() > 127 or found.min() < -128


def test_a_product_of_two_computed_tensors_does_not_mislead_the_search():
    weight = np.array([[9, -9], [9, 9]], np.int8)
    nodes = [
        helper.make_node("MatMulInteger", ["x", "x"], ["square"], name="square"),
        helper.make_node("Clip", ["square", "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["codes"], to=TensorProto.UINT8),
        helper.make_node("MatMulInteger", ["codes", "w"], ["y"], name="fc"),
    ]
    constants = {"w": weight, "low": np.int32(0), "high": np.int32(15)}
    kinds = {"x": (TensorProto.UINT8, [2, 2])}, {"y": (TensorProto.INT32, [2, 2])}
    model = model_of(nodes, *kinds, constants)
    proof = prove(model, 8, n_tries=100)
    assert [unknown.name for unknown in proof.unknown] == ["square"]
    (layer,) = proof.accumulators
    assert layer.sum_range.tolist() == [[0, 270], [-135, 135]]
    found = run(model, layer.witness.inputs, "y")[0][:, layer.witness.neuron]
    assert layer.witness.input_bound in found


def test_codes_that_were_cast_and_scaled_are_still_codes():
    weight = np.array([[100.0], [27.0]], np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["c", "s"], ["m"]),
        helper.make_node("MatMul", ["m", "w"], ["y"], name="fc"),
    ]
    constants = {"w": weight, "s": np.float32(0.3)}
    model = model_of(nodes, {"x": (TensorProto.UINT8, [1, 2])}, {"y": (1, [1, 1])}, constants)
    proof = prove(model, 12, n_tries=50)
    (layer,) = proof.accumulators
    assert layer.sum_range.tolist() == [[0, 127 * 255]]
    assert layer.witness.input_bound == layer.witness.inputs["x"][0].astype(int) @ [100, 27]
