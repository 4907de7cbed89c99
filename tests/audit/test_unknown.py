"""What is not understood is named, and nothing is proven then."""

import json

import numpy as np
import pytest

from qnnprune import prove
from qnnprune.cli import main

onnx = pytest.importorskip("onnx")
audited = pytest.importorskip("_audited")
model_of = audited.model_of
make = onnx.helper.make_node
TensorProto = onnx.TensorProto

FLOATS = {"x": (1, [1, 3, 4])}
QUANTIZED = [
    make("QuantizeLinear", ["x", "s", "z"], ["q"]),
    make("DequantizeLinear", ["q", "s", "z"], ["d"]),
]
CONSTANTS = {
    "s": np.float32(0.1),
    "z": np.int8(0),
    "w": np.float32([[0.3, 1], [1, 2], [3, 4], [5, 6]]),
}
CASES = {
    "float weights": [*QUANTIZED, make("MatMul", ["d", "w"], ["y"], name="it")],
    "float inputs": [make("MatMul", ["x", "w"], ["y"], name="it")],
    "two computed operands": [
        *QUANTIZED,
        make("Transpose", ["d"], ["t"], perm=[0, 2, 1]),
        make("MatMul", ["d", "t"], ["y"], name="it"),
    ],
    "another domain": [
        *QUANTIZED,
        make("MatMul", ["d", "w"], ["y"], name="it", domain="com.example"),
    ],
    "a sum by another operator": [
        *QUANTIZED,
        make("Einsum", ["d", "w"], ["y"], name="it", equation="abc,cd->abd"),
    ],
    "hidden sums": [
        *QUANTIZED,
        make("QAttention", ["q", "w"], ["y"], name="it", domain="com.microsoft"),
    ],
    "scales within one sum": [
        make("QuantizeLinear", ["x", "sv", "zv"], ["q"], axis=2),
        make("DequantizeLinear", ["q", "sv", "zv"], ["d"], axis=2),
        make("MatMul", ["d", "i"], ["y"], name="it"),
    ],
}


def model(nodes):
    extra = {
        "sv": np.float32([1, 2, 3, 4]),
        "zv": np.zeros(4, np.int8),
        "i": np.ones((4, 2), np.float32),
    }
    domains = ["com.example", "com.microsoft"]
    return model_of(nodes, FLOATS, {"y": (1, None)}, {**CONSTANTS, **extra}, domains)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_passed_over(name):
    proof = prove(model(CASES[name]), 32)
    assert [unknown.name for unknown in proof.unknown] == ["it"]
    assert proof.holds is None
    assert "it (" in str(proof)
    assert proof.rows[-1]["verdict"] == "unknown"


def test_one_unknown_node_leaves_the_others_proven():
    nodes = [
        *QUANTIZED,
        make("MatMul", ["d", "i"], ["a"], name="known"),
        make("MatMul", ["a", "w2"], ["y"], name="it"),
    ]
    proof = prove(
        model_of(
            nodes,
            FLOATS,
            {"y": (1, None)},
            {**CONSTANTS, "i": np.ones((4, 2), np.float32), "w2": np.float32([[0.5], [0.25]])},
        ),
        8,
    )
    assert [layer.name for layer in proof.accumulators] == ["known"]
    assert [unknown.name for unknown in proof.unknown] == ["it"]
    assert proof.holds is False  # four codes of 8 bits do not fit 8 bits


def test_an_overflow_beside_something_unknown_is_an_overflow():
    proof = prove(audited.ternary(), 8, n_tries=0)
    assert proof.holds is False and not proof.unknown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_range": {"z": (0, 1)}}, r"names \['z'\]"),
        ({"input_range": (1, 0)}, "smaller end first"),
        ({"input_range": "INTX"}, "names no integer type"),
        ({"input_range": 3}, "must be a pair"),
        ({"input_shape": (1, 5)}, "does not fit 'x'"),
        ({"n_accum_bits": 0}, "n_accum_bits=0"),
        ({"n_tries": -1}, "n_tries=-1"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        prove(audited.ternary(n_in=4), **options)


def test_open_shapes():
    nodes = [make("MatMulInteger", ["x", "w"], ["y"], name="fc")]
    kinds = {"x": (TensorProto.UINT8, ["n", "t", 4])}, {"y": (TensorProto.INT32, None)}
    opened = model_of(nodes, *kinds, {"w": np.ones((4, 1), np.int8)})
    with pytest.raises(ValueError, match="open shape .* input_shape"):
        prove(opened)
    assert prove(opened, input_shape=(1, 2, 4)).bits == 10


def test_files(tmp_path):
    with pytest.raises(ValueError, match="sums no products"):
        prove(model_of([make("Relu", ["x"], ["y"])], FLOATS, {"y": (1, None)}, {}))
    for content, message in ((b"1234TFL3", "TFLite"), (b"nonsense" * 9, "no ONNX model")):
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            prove(path)
    with pytest.raises(FileNotFoundError):
        prove(tmp_path / "missing.onnx")


def command(capsys, *words):
    code = main(["prove", *map(str, words)])
    return code, capsys.readouterr()


def test_command_line(tmp_path, capsys):
    path = tmp_path / "model.onnx"
    onnx.save(audited.ternary(n_in=64), path)
    code, streams = command(capsys, path, "--accum-bits", 16)
    assert code == 0 and "Proven for every input" in streams.out
    code, streams = command(capsys, path, "--accum-bits", "8", "--tries", 50)
    assert code == 1 and "An overflow of 8 bits is possible in ternary" in streams.out
    code, streams = command(capsys, path, "--accum-bits", "int8", "--json", "--input-range", -2, 1)
    content = json.loads(streams.out)
    assert code == 0 and content["holds"] is True and content["register"] == "int8"
    assert content["accumulators"][0]["partial_range"][0] == [-128, 64]
    assert command(capsys, path)[0] == 0
    onnx.save(model(CASES["float inputs"]), path)
    assert command(capsys, path)[0] == command(capsys, path, "--accum-bits", 32)[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ["missing.onnx"],
        [],
        ["MODEL", "--accum-bits", "99"],
        ["MODEL", "--input-range", "1", "x"],
        ["MODEL", "--what"],
    ],
)
def test_bad_use_of_the_command_line(tmp_path, capsys, words):
    path = tmp_path / "model.onnx"
    onnx.save(audited.ternary(n_in=4), path)
    code, streams = command(capsys, *(path if word == "MODEL" else word for word in words))
    assert code == 2 and streams.err.startswith("qnnprune: error: ") and not streams.out
