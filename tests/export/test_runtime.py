"""The C runtime by itself: it compiles without a warning, for any types, and does as it says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qnnprune.export import c
from qnnprune.export.c._runtime import instances

RUNTIME = Path(c.__file__).parent
CHECKS = Path(__file__).with_name("runtime_checks.c")
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wsign-conversion"]
STRICT += ["-Wshadow", "-Wundef", "-Wcast-qual", "-Wstrict-overflow"]
C99, CXX11 = ["gcc", "-std=c99", "-x", "c"], ["g++", "-std=c++11", "-x", "c++"]
COMPILERS = [
    pytest.param(
        command,
        id=command[1],
        marks=pytest.mark.skipif(shutil.which(command[0]) is None, reason="not installed"),
    )
    for command in (C99, CXX11)
]


def compiled(command, *arguments):
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:5000]


@pytest.mark.parametrize("command", COMPILERS)
def test_it_compiles_by_itself(command, tmp_path):
    compiled(command, *STRICT, "-O2", "-c", RUNTIME / "runtime.h", "-o", tmp_path / "runtime.o")


TYPES = [
    ("float", "float", "int8_t", "uint8_t", "int16_t", "int8_t", "int16_t"),
    ("double", "double", "int16_t", "uint16_t", "int32_t", "int16_t", "int16_t"),
    ("uint8_t", "int16_t", "int32_t", "uint32_t", "int64_t", "int64_t", "int64_t"),
]


@pytest.mark.parametrize("command", COMPILERS)
@pytest.mark.parametrize("types", TYPES, ids="-".join)
@pytest.mark.parametrize("unroll", [0, 1])
def test_it_does_the_same_as_plain_loops(command, types, unroll, tmp_path):
    names = ["VALUE", "THRESHOLD", "ACC", "COUNT", "SCORE", "START", "TOTAL"]
    defined = [f"-D{name}={c_type}" for name, c_type in zip(names, types, strict=True)]
    sanitized = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all"]
    flags = [*STRICT, *sanitized, *defined, f"-DQNN_UNROLL={unroll}", f"-I{RUNTIME}"]
    compiled(command, *flags, CHECKS, "-o", tmp_path / "checks")
    done = subprocess.run([tmp_path / "checks"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_types_are_part_of_a_name():
    narrow = instances("walks", "net", "NET", acc="int8_t", count="uint8_t")
    wide = instances("walks", "net", "NET", acc="int16_t", count="uint8_t")
    assert list(narrow) == ["net_walk_i8_u8", "net_walks_i8_u8"]
    assert not narrow.keys() & wide.keys()
    assert list(instances("space", "net", "NET", acc="int8_t")) == ["net_space"]
    assert "qnn" not in "".join(wide.values()).lower()
    assert "net_walk_i16_u8(0, spaced, count, step)" in wide["net_walks_i16_u8"]


def test_every_function_has_a_short_name():
    text = (RUNTIME / "runtime.h").read_text()
    names = re.findall(r"static inline [^;{]*?qnn_(\w+)\(", text)
    types = dict.fromkeys(("value", "threshold", "acc", "count", "start"), "uint32_t")
    assert len(names) > 10
    for name in names:
        # With the longest prefix: C99 promises to tell 63 characters apart.
        assert len(list(instances(name, "p" * 40, "P", **types))[-1]) <= 63


def test_an_installed_package_has_it():
    pytest.importorskip("setuptools")
    code = (
        "from setuptools import Distribution; d = Distribution(); d.parse_config_files(); "
        "b = d.get_command_obj('build_py'); b.ensure_finalized(); "
        "print([name for *_, names in b.data_files for name in names])"
    )
    root = RUNTIME.parents[2]
    if not (root / "setup.cfg").exists():
        pytest.skip("not a checkout")
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "runtime.h" in found.stdout, found.stderr
