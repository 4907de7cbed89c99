"""Self-tests of exported networks on simulated microcontrollers: an AVR and a Cortex-M3."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import to_c

EXAMPLE = Path(__file__).parents[2] / "examples" / "microcontroller"
TOOLS = {
    "avr": ["make", "avr-gcc", "simavr"],
    "cortex_m3": ["make", "arm-none-eabi-gcc", "qemu-system-arm"],
}


@pytest.fixture(params=TOOLS)
def board(request):
    missing = [tool for tool in TOOLS[request.param] if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not installed: {missing}")
    return request.param


def make(target, test, folder):
    command = ["make", "-f", EXAMPLE / "Makefile", target, f"TEST={test}", f"BUILD={folder}/build"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def assert_passes(board, test, folder):
    done = make(board, test, folder)
    assert done.returncode == 0 and "self-test passed" in done.stdout, done.stdout + done.stderr


def test_the_library_of_the_example(board, tmp_path):
    assert_passes(board, EXAMPLE / "flower" / "src" / "flower_test.c", tmp_path)


CASES = {
    "ternary": ("float", "speed", {"classes": np.arange(2), "n_w_bits": 2}),
    "packed": ("codes", "size", {"n_hidden": (40, 20), "n_w_bits": 2, "classes": np.arange(2)}),
    "wide": ("float", "size", {"n_w_bits": 8, "n_outputs": 3, "n_a_bits": 4}),
    "sums": ("codes", "size", {"n_outputs": 2, "n_output_sums": 3, "classes": np.arange(2)}),
    "one target": ("float", "size", {"n_features": 9}),
}


@pytest.mark.parametrize("name", CASES)
def test_networks_of_every_kind(tiny_network, board, name, tmp_path):
    kind, optimize, settings = CASES[name]
    rng = np.random.default_rng(len(name))
    network = tiny_network(rng, **settings)
    if kind == "codes":
        low, high = network.layers[0].input_range.T
        rows = rng.integers(low, high + 1, (30, len(low)))
    else:
        rows = rng.normal(size=(30, network.n_features_in)).astype(np.float32)
    to_c(network, tmp_path / "net.h", input=kind, optimize=optimize, test_vectors=rows)
    assert_passes(board, tmp_path / "net_test.c", tmp_path)


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.default_rng(0)
    df = pd.DataFrame(
        {"a": rng.normal(size=300), "b": rng.integers(0, 900, 300), "c": list("xyz") * 100}
    )
    df.loc[::7, "a"] = np.nan
    y = np.where(df["c"] == "x", "x", np.where(df["b"] > 400, "many", "few"))
    return PrunedNeuralNetClassifier((16,), max_epochs=2, random_state=0).fit(df, y), df


def test_structs_of_raw_values(mixed, board, tmp_path):
    net, df = mixed
    rows = df[:40].assign(c=["x", None, "never seen", "y"] * 10)
    header = to_c(net, tmp_path / "net.h", input={"b": "int16"}, test_vectors=rows)
    assert_passes(board, tmp_path / "net_test.c", tmp_path)
    # And a single different sum is told.
    wrong = re.sub(r"(sum\[40\].*\{\n    \{)", r"\g<1>1 + ", header.self_test)
    assert wrong != header.self_test
    (tmp_path / "net_test.c").write_text(wrong)
    assert make(board, tmp_path / "net_test.c", tmp_path).returncode != 0


@pytest.mark.skipif(shutil.which("avr-g++") is None, reason="avr-g++ is not installed")
def test_tables_stay_in_the_flash_of_an_avr(mixed, tmp_path):
    header = to_c(mixed[0], tmp_path / "net.h")
    text = '#include "net.h"\nint f(const qnn_row *row) { return qnn_predict(row); }\n'
    (tmp_path / "sketch.cpp").write_text(text)
    command = ["avr-g++", "-mmcu=atmega328p", "-std=gnu++11", "-Os", "-Wall", "-Wextra", "-Werror"]
    command += ["-c", tmp_path / "sketch.cpp", "-o", tmp_path / "sketch.o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    listed = subprocess.run(
        ["avr-size", "-A", tmp_path / "sketch.o"], capture_output=True, text=True, check=True
    ).stdout
    sizes = {name: int(size) for name, size in re.findall(r"^(\.\S+)\s+(\d+)", listed, re.M)}
    in_flash = sum(size for name, size in sizes.items() if name.startswith(".progmem"))
    assert header.flash_bytes <= in_flash <= header.flash_bytes + 8
    assert all(not size for name, size in sizes.items() if re.match(r"\.(data|bss|rodata)", name))
