"""Integer graphs in ONNX and in C: every value equal to that of numpy."""

import shutil
import subprocess

import numpy as np
import onnxruntime
import pytest
import torch
from brevitas.nn import QuantIdentity, QuantLinear
from torch import nn
from torch_modules import KINDS, LeNet, Mlp, inputs, trained

from qnnprune.export import to_c, to_onnx
from qnnprune.export._common import integer_network_of
from qnnprune.nn import to_integer_network

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
SANITIZED = ["-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

MAIN = """
#include <stdio.h>
#include "net.h"

int main(void)
{{
    net_input_t x[NET_N_INPUTS];
    double value[NET_N_VALUES + 1];
    while (fread(x, sizeof x, 1, stdin) == 1) {{
        {predict};
        fwrite(value, sizeof value, 1, stdout);
    }}
    return 0;
}}
"""


def network_and_rows(kind, classes=None):
    module = trained(kind())
    rows = inputs(module, 40)
    return to_integer_network(module, rows, classes=classes), rows.numpy()


def in_c(network, rows, folder, kind=np.float32):
    """Values of all rows, and the index of the class where there are classes."""
    to_c(network, folder / "net.h", prefix="net")
    predict = "net_predict(x, value)"
    if network.classes is not None:
        predict = (
            "net_sum_t sum[NET_N_VALUES]; net_raw(x, sum); net_decision(sum, value); "
            "value[NET_N_VALUES] = net_predict(x)"
        )
    (folder / "main.c").write_text(MAIN.format(predict=predict))
    command = ["gcc", *STRICT, *SANITIZED, "main.c", "-o", "main", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    ran = subprocess.run([folder / "main"], input=rows.astype(kind).tobytes(), capture_output=True)
    assert ran.returncode == 0, ran.stderr[:3000]
    return np.frombuffer(ran.stdout).reshape(len(rows), -1)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_is_equal_to_the_last_bit(kind):
    network, rows = network_and_rows(kind)
    proto = to_onnx(network, decision=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    variable, decision = session.run(["variable", "decision"], {"X": rows})
    assert np.array_equal(decision, network.decision(rows))
    assert variable.dtype == np.float32


def test_onnx_labels():
    network, rows = network_and_rows(LeNet, classes=["a", "b", "c", "d"])
    session = onnxruntime.InferenceSession(to_onnx(network).SerializeToString())
    label, probabilities = session.run(None, {"X": rows})
    assert np.array_equal(label, network.predict(rows))
    assert np.allclose(probabilities.sum(axis=1), 1)


@needs_gcc
@pytest.mark.parametrize("kind", KINDS)
def test_c_is_equal_to_the_last_bit(kind, tmp_path):
    network, rows = network_and_rows(kind)
    assert np.array_equal(in_c(network, rows, tmp_path)[:, :-1], network.decision(rows))


@needs_gcc
def test_c_classes_and_integer_inputs(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(QuantLinear(6, 3, bias=True), QuantIdentity(bit_width=4))
    rows = torch.randint(-3, 4, (40, 6)).float()
    module(rows)
    classes = np.array([10, 20, 30])
    network = to_integer_network(module.eval(), rows, input_range=(-3, 3), classes=classes)
    result = in_c(network, rows.numpy(), tmp_path, kind=np.int8)
    assert np.array_equal(result[:, :3], network.decision(rows.numpy()))
    assert np.array_equal(classes[result[:, 3].astype(int)], network.predict(rows.numpy()))


def test_c_takes_only_what_the_module_takes():
    network, _ = network_and_rows(Mlp)
    with pytest.raises(ValueError, match="takes the inputs of its module"):
        to_c(network, input="int8")
    with pytest.raises(ValueError, match="no row= and no test_vectors="):
        to_c(network, test_vectors=3)
    with pytest.raises(ValueError, match="becomes one header"):
        to_c(network, "net.c")


def test_what_takes_no_graph_names_its_layers():
    network, _ = network_and_rows(LeNet)
    with pytest.raises(TypeError, match="from 'conv1' on, go to to_onnx, .* alone"):
        integer_network_of(network)


def test_onnx_refuses_sums_that_float32_does_not_hold():
    torch.manual_seed(0)
    module = nn.Sequential(QuantLinear(600, 2, bias=False))
    rows = torch.randint(0, 1000, (2, 600)).float()
    network = to_integer_network(module.eval(), rows, input_range=(0, 1000))
    with pytest.raises(ValueError, match="sums of layer '0' could reach"):
        to_onnx(network)
