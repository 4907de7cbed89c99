"""Integer graphs in QONNX: every integer equal in qonnx's executor."""

import warnings

import numpy as np
import oracles
import pytest
from branching_graph import BIAS, SCALE, branching_graph, every_row, sums_by_hand
from torch_modules import KINDS, LeNet, inputs, trained, worst_cases

from qnnprune import IntegerGraph
from qnnprune.export import to_qonnx
from qnnprune.integer._inputs import CodedInput
from qnnprune.integer._operations import Add, Concat, Flatten, MaxPool, Sums, Thresholds
from qnnprune.nn import to_integer_network

onnx = pytest.importorskip("onnx")
pytest.importorskip("qonnx")
DataType = pytest.importorskip("qonnx.core.datatype").DataType
ModelWrapper = pytest.importorskip("qonnx.core.modelwrapper").ModelWrapper
execute_onnx = pytest.importorskip("qonnx.core.onnx_exec").execute_onnx
range_analysis = pytest.importorskip("qonnx.util.range_analysis")

FORMS = ["MultiThreshold", "Quant"]
PREFIXES = {Sums: "accumulator", Add: "accumulator", Thresholds: "codes", MaxPool: "maxima"}
PREFIXES |= {Concat: "joined", Flatten: "flat"}


def execute(proto, codes):
    """All tensors of a run of qonnx's executor, which warns where a value leaves its type."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return execute_onnx(ModelWrapper(proto), {"codes": codes.astype(np.float32)}, True)


def names(network):
    """Names that the results of the operations have; one that is taken gets a number."""
    found = []
    for operation in network.operations:
        name = f"{PREFIXES[type(operation)]}_{operation.name.replace('.', '_')}"
        before = sum(known == name for known, _ in found)
        found.append((name, f"{name}_{before + 1}" if before else name))
    return [name for _, name in found]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_integer_is_equal(kind, form):
    module = trained(kind())
    rows = inputs(module, 30)
    network = to_integer_network(module, rows)
    codes = network.quantize_input(rows.numpy())
    proto = to_qonnx(network, thresholds_as=form, batch_size=len(codes))
    tensors = execute(proto, codes)
    for name, values in zip(names(network), network.values(codes)[1:], strict=True):
        assert np.array_equal(tensors[name], values), name
    axes = [1] * (len(network.shapes[-1]) - 1)
    scale, bias = (v.astype(np.float32).reshape(-1, *axes) for v in (network.scale, network.bias))
    last = tensors[names(network)[-1]]
    assert np.array_equal(tensors["decision"], last * scale + bias)
    np.testing.assert_allclose(tensors["decision"], network.run(codes), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_every_input_of_a_graph_with_every_operation(form):
    network, rows = branching_graph(), every_row()
    expected = np.array([sums_by_hand(row) for row in rows.tolist()])
    assert np.array_equal(network.run(rows), expected * SCALE + BIAS)
    tensors = execute(to_qonnx(network, thresholds_as=form, batch_size=len(rows)), rows)
    assert np.array_equal(tensors["accumulator_out"], expected)
    assert np.array_equal(tensors["decision"], expected * np.float32(SCALE) + np.float32(BIAS))


def test_operators_for_each_compiler():
    network = branching_graph()
    operators = {node.op_type for node in to_qonnx(network).graph.node}
    usual = {"Conv", "Pad", "MaxPool", "Mul", "Add", "Concat", "Flatten", "MatMul"}
    assert operators == usual | {"MultiThreshold"}
    steps = to_qonnx(network, thresholds_as="Quant")
    assert {node.op_type for node in steps.graph.node} == usual | {"Quant"}
    one = execute(to_qonnx(network), every_row()[:1])["decision"]
    assert one.tolist() == network.run(every_row()[:1]).tolist()


def test_types_are_the_proven_ones():
    module = trained(LeNet(), negative=False)
    network = to_integer_network(module, inputs(module, 1))
    model = ModelWrapper(to_qonnx(network))
    for name, ranges in worst_cases(module).items():
        kind = model.get_tensor_datatype(f"accumulator_{name}")
        bits = oracles.width(np.min(ranges), np.max(ranges))
        assert kind.signed() and kind.bitwidth() <= bits  # less where some codes cannot occur
        assert kind.bitwidth() == bits or name != "conv1"
    for tensor in model.graph.initializer:
        kind = model.get_tensor_datatype(tensor.name)
        assert not kind.is_integer() or kind.allowed(model.get_initializer(tensor.name)).all()


def test_range_analysis_of_qonnx_finds_the_same(monkeypatch):
    calculations = range_analysis.optype_to_range_calc  # it knows no MultiThreshold
    monkeypatch.setitem(calculations, "MultiThreshold", range_analysis.calc_range_outdtype)
    module = trained(LeNet(), negative=False)
    network = to_integer_network(module, inputs(module, 1))
    found = range_analysis.range_analysis(ModelWrapper(to_qonnx(network)), report_mode="range")
    low, high = (
        np.asarray(end).reshape(len(network.ranges[1]), -1) for end in found["accumulator_conv1"]
    )
    assert np.array_equal(low.min(axis=1), network.ranges[1][:, 0])
    assert np.array_equal(high.max(axis=1), network.ranges[1][:, 1])


def test_sums_that_float32_does_not_hold_are_refused_by_name():
    weight = np.full((1, 600), 100)
    for high, fits in ((279, True), (280, False)):  # 600 * 100 * 279 is just below 2**24
        source = CodedInput((600,), np.tile([[0, high]], (600, 1)))
        network = IntegerGraph(source, [Sums("wide", (0,), weight)], scale=[1.0], bias=[0.0])
        if fits:
            sums = execute(to_qonnx(network), np.full((1, 600), high))["accumulator_wide"]
            assert sums.tolist() == [[600 * 100 * 279]]
            continue
        with pytest.raises(ValueError, match="sums of layer 'wide' could reach 16800000"):
            to_qonnx(network)
