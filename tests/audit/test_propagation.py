"""Ranges behind the first layer, against every input of small random models in ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune import prove

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
model_of = pytest.importorskip("_audited").model_of
make, TensorProto = onnx.helper.make_node, onnx.TensorProto

LAST = 15  # codes 0 .. 15 of two inputs: 256 rows are all there are


def every_input():
    return (
        np.stack(np.meshgrid(*[np.arange(LAST + 1)] * 2), axis=-1).reshape(-1, 2).astype(np.uint8)
    )


def run(model, feed, names):
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(names, feed)


def activation(rng, kind, source):
    """Nodes from scaled floats to codes ``q``, through a function, and what they need."""
    function = {
        "relu": [make("Relu", [source], ["f"])],
        "leaky": [make("LeakyRelu", [source], ["f"], alpha=0.3)],
        "falling": [make("Mul", [source, "minus"], ["n"]), make("Tanh", ["n"], ["f"])],
        "clip": [make("Clip", [source, "minus", "half"], ["f"])],
        "gate": [make("Sigmoid", [source], ["n"]), make("Mul", [source, "n"], ["f"])],
        "residual": [make("Neg", [source], ["n"]), make("Max", [source, "n"], ["f"])],
        "softmax": [make("Softmax", [source], ["f"])],
    }[kind]
    constants = {
        "minus": np.float32(-0.7),
        "half": np.float32(rng.uniform(0.1, 3)),
        "qs": np.float32(rng.uniform(0.01, 0.5)),
        "qz": np.array(rng.integers(-20, 20), np.int8),
    }
    return [*function, make("QuantizeLinear", ["f", "qs", "qz"], ["q"])], constants


KINDS = ["relu", "leaky", "falling", "clip", "gate", "residual", "softmax"]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.booleans())
def test_every_sum_of_a_second_layer_is_within(seed, kind, dynamic):
    rng = np.random.default_rng(seed)
    before, held = activation(rng, kind, "scaled")
    first, second = (rng.integers(-9, 10, shape).astype(np.int8) for shape in ((2, 3), (3, 2)))
    codes, zero = ("dq", "dz") if dynamic else ("q", "qz")
    nodes = [
        make("MatMulInteger", ["x", "w0", "xz"], ["s0"], name="fc0"),
        make("Cast", ["s0"], ["c0"], to=TensorProto.FLOAT),
        make("Mul", ["c0", "scale"], ["m0"]),
        make("Add", ["m0", "b"], ["scaled"]),
        *(
            before[:-1] + [make("DynamicQuantizeLinear", ["f"], ["dq", "ds", "dz"])]
            if dynamic
            else before
        ),
        make("MatMulInteger", [codes, "w1", zero], ["s1"], name="fc1"),
    ]
    constants = {
        "w0": first, "w1": second, "xz": np.uint8(rng.integers(0, 16)),
        "scale": rng.uniform(0.01, 0.3, 3).astype(np.float32), "b": rng.normal(size=3).astype(np.float32),
    }  # fmt: skip
    kinds = {"x": (TensorProto.UINT8, ["n", 2])}, {"s1": (TensorProto.INT32, ["n", 2])}
    model = model_of(nodes, *kinds, {**constants, **held})
    proof = prove(model, 10, input_range=(0, LAST), n_tries=300)
    assert not proof.unknown
    rows = every_input()
    batches = np.split(rows, len(rows)) if dynamic else [rows]  # a zero point for each row
    found = [run(model, {"x": batch}, ["s0", "s1"]) for batch in batches]
    for layer, sums in zip(
        proof.accumulators, map(np.concatenate, zip(*found, strict=True)), strict=True
    ):
        assert (layer.sum_range[:, 0] <= sums.min(axis=0)).all()
        assert (sums.max(axis=0) <= layer.sum_range[:, 1]).all()
    first_sums = np.concatenate([sums[0] for sums in found])
    ends = np.stack([first_sums.min(axis=0), first_sums.max(axis=0)], axis=1)
    assert (proof.accumulators[0].sum_range == ends).all()
    if kind in ("relu", "leaky", "clip") and not dynamic:  # monotone: each code's range is exact
        codes = run(model, {"x": rows}, ["q"])[0].astype(int) - int(held["qz"])
        low, high = codes.min(axis=0), codes.max(axis=0)
        wanted = [
            [
                sum(f(w * a, w * b) for w, a, b in zip(column, low, high, strict=True))
                for f in (min, max)
            ]
            for column in second.T.astype(int)
        ]
        assert proof.accumulators[1].sum_range.tolist() == wanted


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_two_layers_of_qlinear_operators(seed):
    rng = np.random.default_rng(seed)
    w0, w1 = (rng.integers(-99, 100, shape).astype(np.int8) for shape in ((2, 3), (3, 2)))
    constants = {
        "w0": w0, "w1": w1, "s": np.float32(0.1), "z": np.uint8(3), "wz": np.int8(0),
        "ys": np.float32(rng.uniform(0.2, 20)), "yz": np.uint8(rng.integers(0, 200)),
        "ws": rng.uniform(0.1, 2, 3).astype(np.float32), "wz3": np.zeros(3, np.int8),
    }  # fmt: skip
    nodes = [
        make("QLinearMatMul", ["x", "s", "z", "w0", "ws", "wz3", "ys", "yz"], ["h"], name="fc0"),
        make(
            "QLinearAdd",
            ["h", "ys", "yz", "h", "ys", "yz", "ys", "yz"],
            ["a"],
            domain="com.microsoft",
        ),
        make("QLinearMatMul", ["a", "ys", "yz", "w1", "s", "wz", "ys", "yz"], ["y"], name="fc1"),
    ]
    kinds = {"x": (TensorProto.UINT8, ["n", 2])}, {"y": (TensorProto.UINT8, ["n", 2])}
    model = model_of(nodes, *kinds, constants, ["com.microsoft"])
    proof = prove(model, 12, input_range=(0, LAST), n_tries=300)
    codes = run(model, {"x": every_input()}, ["a"])[0].astype(int) - int(constants["yz"])
    sums = codes @ w1.astype(int)
    second = proof.accumulators[1]
    assert (second.sum_range[:, 0] <= sums.min(axis=0)).all()
    assert (sums.max(axis=0) <= second.sum_range[:, 1]).all()
    if second.witness.inputs is not None:
        codes = run(model, second.witness.inputs, ["a"])[0].astype(int) - int(constants["yz"])
        terms = codes[0] * w1[:, second.witness.neuron].astype(int)
        assert second.witness.input_bound in (terms[terms > 0].sum(), terms[terms < 0].sum())
