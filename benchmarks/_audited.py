"""Integer models as other tools make them: what the audit is tried on."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


def model_of(nodes, inputs, outputs, constants, opsets=()) -> onnx.ModelProto:
    """An ONNX model from nodes.

    Parameters
    ----------
    nodes : list of onnx.NodeProto
    inputs, outputs : dict of str to (type, shape)
    constants : dict of str to array
    opsets : sequence of str
        Domains beside the standard one, at version 1.
    """
    infos = [
        [helper.make_tensor_value_info(name, *kind) for name, kind in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "model", *infos, held)
    imports = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(d, 1) for d in opsets)]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def float_mlp(random_state) -> onnx.ModelProto:
    """16 inputs, two hidden layers of rectifiers, 5 outputs."""
    sizes, nodes, constants, source = (16, 24, 12, 5), [], {}, "x"
    for k, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        constants[f"w{k}"] = random_state.normal(size=(n_in, n_out)).astype(np.float32) / n_in**0.5
        constants[f"b{k}"] = random_state.normal(size=n_out).astype(np.float32) / 4
        last = k == len(sizes) - 2
        name = "y" if last else f"h{k}"
        nodes.append(helper.make_node("Gemm", [source, f"w{k}", f"b{k}"], [name], name=f"fc{k}"))
        source = name
        if not last:
            source = f"r{k}"
            nodes.append(helper.make_node("Relu", [name], [source], name=f"relu{k}"))
    return model_of(nodes, {"x": (1, ["n", 16])}, {"y": (1, ["n", 5])}, constants)


def float_cnn(random_state) -> onnx.ModelProto:
    """8 x 8 pixels, two convolutions, pooling, one linear layer."""
    normal = random_state.normal
    constants = {
        "w0": normal(size=(6, 1, 3, 3)).astype(np.float32) / 3,
        "b0": normal(size=6).astype(np.float32) / 4,
        "w1": normal(size=(6, 6, 3, 3)).astype(np.float32) / 7,
        "w2": normal(size=(96, 5)).astype(np.float32) / 10,
        "b2": normal(size=5).astype(np.float32) / 4,
    }
    pads = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], name="conv0", **pads),
        helper.make_node("Relu", ["c0"], ["r0"], name="relu0"),
        helper.make_node(
            "MaxPool", ["r0"], ["p0"], name="pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Conv", ["p0", "w1"], ["c1"], name="conv1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Flatten", ["r1"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], name="fc"),
    ]
    return model_of(nodes, {"x": (1, ["n", 1, 8, 8])}, {"y": (1, ["n", 5])}, constants)


def dynamically_quantized(make, seed: int = 0) -> onnx.ModelProto:
    """By onnxruntime's ``quantize_dynamic``."""
    from onnxruntime.quantization import quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
        onnx.save(make(np.random.RandomState(seed)), source)
        quantize_dynamic(source, target)
        return onnx.load(target)


def statically_quantized(make, format: str, kind: str = "QUInt8", per_channel=False, seed: int = 0):
    """By onnxruntime's ``quantize_static``, calibrated on normal rows."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    random_state = np.random.RandomState(seed)
    model = make(random_state)
    shape = [d.dim_value or 16 for d in model.graph.input[0].type.tensor_type.shape.dim]

    class Rows(CalibrationDataReader):
        def __init__(self):
            rows = [random_state.normal(size=shape).astype(np.float32) for _ in range(4)]
            self.rows = iter([{"x": row} for row in rows])

        def get_next(self):
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "quantized.onnx")
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            Rows(),
            quant_format=QuantFormat[format],
            activation_type=QuantType[kind],
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
        )
        return onnx.load(target)


def ternary(random_state=None, n_in: int = 4096, n_out: int = 4) -> onnx.ModelProto:
    """One layer in the style of BitNet: weights -1, 0 and 1, activations of 8 bits per row."""
    random_state = random_state or np.random.RandomState(0)
    weight = random_state.randint(-1, 2, (n_in, n_out)).astype(np.int8)
    weight[:, 0] = 1
    nodes = [helper.make_node("MatMulInteger", ["x", "w"], ["y"], name="ternary")]
    return model_of(
        nodes,
        {"x": (TensorProto.INT8, [1, n_in])},
        {"y": (TensorProto.INT32, [1, n_out])},
        {"w": weight},
    )


def qonnx_mlp(random_state=None, n_bits: int = 3) -> onnx.ModelProto:
    """Two layers of ``Quant``, ``BipolarQuant`` and ``MultiThreshold``, as FINN and hls4ml take them."""
    random_state = random_state or np.random.RandomState(0)
    domain = "qonnx.custom_op.general"
    constants = {
        "one": np.float32(1), "half": np.float32(0.5), "zero": np.float32(0), "bits": np.float32(n_bits),
        "w0": random_state.normal(size=(10, 8)).astype(np.float32) * 2,
        "w1": random_state.normal(size=(8, 3)).astype(np.float32),
        "t0": np.sort(random_state.randint(-40, 40, (8, 7)), axis=1).astype(np.float32),
    }  # fmt: skip
    quant = {"domain": domain, "signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
    nodes = [
        helper.make_node("Quant", ["x", "half", "zero", "bits"], ["q"], name="q", **quant),
        helper.make_node("Quant", ["w0", "one", "zero", "bits"], ["q0"], name="q0", **quant),
        helper.make_node("MatMul", ["q", "q0"], ["s0"], name="fc0"),
        helper.make_node("Div", ["s0", "half"], ["d0"], name="integers"),
        helper.make_node(
            "MultiThreshold", ["d0", "t0"], ["a0"], name="t", domain=domain, out_dtype="UINT3"
        ),
        helper.make_node("BipolarQuant", ["w1", "one"], ["q1"], name="q1", domain=domain),
        helper.make_node("MatMul", ["a0", "q1"], ["y"], name="fc1"),
    ]
    return model_of(nodes, {"x": (1, [1, 10])}, {"y": (1, [1, 3])}, constants, [domain])


def brevitas_module(name: str):
    """One of Brevitas's example networks for MNIST, untrained."""
    import torch
    from brevitas_examples.bnn_pynq.models import model_with_cfg

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_with_cfg(name, pretrained=False)[0].eval()


def qonnx_data(*parts: str) -> onnx.ModelProto:
    """A model that qonnx brings along for its own tests."""
    import qonnx

    return onnx.load(Path(qonnx.__file__).parent.joinpath("data", "onnx", *parts))


def _quantized() -> dict:
    models = {}
    for name, make in (("MLP", float_mlp), ("CNN", float_cnn)):
        models[f"onnxruntime, {name}, dynamic"] = partial(dynamically_quantized, make)
        for format, kind, per_channel in (
            ("QDQ", "QUInt8", False),
            ("QDQ", "QInt8", True),
            ("QOperator", "QUInt8", True),
            ("QOperator", "QInt8", False),
        ):
            label = (
                f"onnxruntime, {name}, {format}, {kind[1:].lower()}{' per channel' * per_channel}"
            )
            models[label] = partial(statically_quantized, make, format, kind, per_channel)
    return models


MODELS = {
    **_quantized(),
    "ternary, as BitNet": ternary,
    "qonnx, Quant and MultiThreshold": qonnx_mlp,
    "qonnx, eltwise_chanlast_testcase": partial(qonnx_data, "eltwise_chanlast_testcase.onnx"),
    "Brevitas, TFC_1W1A": partial(brevitas_module, "TFC_1W1A"),
    "Brevitas, TFC_2W2A": partial(brevitas_module, "TFC_2W2A"),
}
INPUT_SHAPES = {"Brevitas, TFC_1W1A": (1, 1, 28, 28), "Brevitas, TFC_2W2A": (1, 1, 28, 28)}
