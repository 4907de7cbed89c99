"""Registers of kernels, against their instructions in Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnnprune import prove
from qnnprune.audit._registers import register_of

onnx = pytest.importorskip("onnx")
model_of = pytest.importorskip("_audited").model_of


def layer_of(weight, kind, zero, register, **options):
    nodes = [onnx.helper.make_node("MatMulInteger", ["x", "w", "z"], ["y"], name="fc")]
    inputs = {"x": (kind, [1, len(weight)])}
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    constants = {"w": weight, "z": np.array(zero, dtype)}
    outputs = {"y": (onnx.TensorProto.INT32, [1, weight.shape[1]])}
    model = model_of(nodes, inputs, outputs, constants)
    return prove(model, register, n_tries=200, **options).accumulators[0]


def pairs(weight, stored):
    """What `maddubs` adds up before it saturates: unsigned bytes times signed bytes, in pairs."""
    products = [int(w) * int(x) for w, x in zip(weight, stored, strict=True)]
    return [sum(products[k : k + 2]) for k in range(0, len(products), 2)]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_maddubs(seed, signed):
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (rng.integers(1, 6), 2)).astype(np.int8)
    kind = onnx.TensorProto.INT8 if signed else onnx.TensorProto.UINT8
    layer = layer_of(weight, kind, 3, "maddubs")
    overflowing = []
    for neuron, column in enumerate(weight.T.astype(int)):
        largest = max(pairs(np.maximum(column, 0), [255] * len(column)))
        smallest = min(pairs(np.minimum(column, 0), [255] * len(column)))
        assert layer.register_range[neuron].tolist() == [smallest, largest]
        if largest > 32767 or smallest < -32768:
            overflowing.append(neuron)
    assert layer.overflowing.tolist() == overflowing
    witness = layer.witness
    stored = witness.codes[0] + 128 * signed
    found = pairs(weight[:, witness.neuron].astype(int), stored)
    assert witness.bound in (min(found + [0]), max(found + [0]))
    if overflowing:
        stored = witness.inputs["x"][0].astype(int) + 128 * signed
        found = pairs(weight[:, witness.neuron].astype(int), stored)
        assert witness.input_bound in found
        assert not -32768 <= witness.input_bound <= 32767


def test_a_kernel_takes_bytes_only():
    weight = np.full((4, 1), 3, np.int8)
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")]
    constants = {"w": weight.astype(np.float32)}
    model = model_of(nodes, {"x": (1, [1, 4])}, {"y": (1, [1, 1])}, constants)
    proof = prove(model, "maddubs", input_range="INT9")
    assert proof.holds is None
    assert "maddubs cannot take the codes of fc" in str(proof)
    assert prove(model, "maddubs", input_range="INT8").holds


@pytest.mark.parametrize(
    ("register", "limits"),
    [(4, [[-8, 7], [0, 15]]), ("int8", [[-128, 127]] * 2), ("uint8", [[0, 255]] * 2)],
)
def test_limits(register, limits):
    ranges = np.array([[-1, 3], [0, 3]])
    assert register_of(register).limits(ranges).tolist() == limits


@pytest.mark.parametrize("register", [0, 63, True, 8.0, "int7", ""])
def test_no_such_register(register):
    with pytest.raises(ValueError, match="n_accum_bits="):
        register_of(register)
