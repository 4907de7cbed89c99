"""The pages: their code runs as printed, their links lead somewhere, and no public name is missing.

Blocks of a page run in order, in one namespace and one temporary folder. What a block prints is
the ``text`` block after it; ``text varies`` is output of a training, whose digits depend on the
machine: words must be equal, and numbers within a fifth. C is compiled and run, and of shell
commands the files, extras and options must exist. Directives, in braces, are checked by Sphinx.
"""

import configparser
import contextlib
import functools
import importlib
import io
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from qnnprune.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NEEDS = {
    "dask.md": ["dask.dataframe", "distributed", "optuna", "pandas"],
    "encoding.md": ["pandas"],
    "encrypted.md": ["concrete.fhe"],
    "audit.md": ["onnx"],
    "fpga.md": ["onnx", "qonnx"],
    "export.md": ["onnx", "onnxruntime", "qonnx", "skl2onnx"],
    "microcontrollers.md": ["pandas"],
    "getting_started.md": ["pandas"],
    "pictures.md": ["matplotlib", "pandas"],
    "pipelines.md": ["pandas"],
    "pytorch.md": ["onnx"],
    "service.md": ["concrete.fhe", "starlette", "uvicorn", "httpx", "cryptography"],
    "tradeoff.md": ["matplotlib", "optuna", "pandas"],
}
PUBLIC = [
    "", ".accumulators", ".audit", ".encoding", ".estimators", ".exceptions", ".export",
    ".inspection", ".integer", ".nn", ".pruning", ".search", ".service",
]  # fmt: skip
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@dataclass
class Block:
    language: str
    text: str
    line: int


def _blocks(page):
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(r"^```(.+)\n((?:.*\n)*?)```$", text, flags=re.MULTILINE)
    blocks = [Block(f[1], f[2], text.count("\n", 0, f.start()) + 1) for f in fences]
    assert 2 * len(blocks) == len(re.findall("^```", text, re.M)), (
        f"{page}: a block has no language"
    )
    return blocks


def _marked(page):
    # The README shows a fit with the defaults, which takes its time.
    marks = [pytest.mark.slow] if page.name == "README.md" else []
    return pytest.param(page, id=page.name, marks=marks)


@pytest.mark.parametrize("page", [_marked(page) for page in PAGES])
def test_blocks_run_as_printed(page, tmp_path, monkeypatch):
    for module in NEEDS.get(page.name, []):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    namespace, printed = {"__name__": "page"}, ""
    for block in _blocks(page):
        if block.language.startswith("{"):
            continue
        where = f"{page.name}, line {block.line}"
        if block.language.startswith("text"):
            _assert_alike(printed, block, where)
            printed = ""
            continue
        assert not printed, f"{where}: the output of the block above is missing"
        if block.language == "python":
            printed = _run_python(block, page, namespace)
        elif block.language == "c":
            printed = _run_c(block)
        else:
            assert block.language == "sh", f"{where}: nothing checks {block.language!r}"
            _check_commands(block.text)
    assert not printed, f"{page.name}: the output of the last block is missing"


def _run_python(block, page, namespace):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)
    return output.getvalue()


def _run_c(block):
    if shutil.which("gcc") is None:
        pytest.skip("the rest of the page needs gcc")
    Path("main.c").write_text(block.text, encoding="utf-8")
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "main.c", "-o", "main"]
    subprocess.run(command, check=True)
    return subprocess.run(["./main"], check=True, capture_output=True, text=True).stdout


def _assert_alike(printed, block, where):
    found, wanted = (
        [s.split() for s in text.strip().splitlines()] for text in (printed, block.text)
    )
    if block.language == "text varies":
        near = [[float(n) for n in NUMBER.findall(text)] for text in (printed, block.text)]
        assert near[0] == pytest.approx(near[1], rel=0.2), f"{where}: printed\n{printed}"
        found, wanted = ([NUMBER.sub("#", " ".join(s)) for s in lines] for lines in (found, wanted))
    assert found == wanted, f"{where}: printed\n{printed}"


def _check_commands(text):
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            _check_command(words[:end])
            words = words[end + 1 :]


def _check_command(words):
    if words[:2] == ["pip", "install"]:
        _check_installation(words[2:])
    elif words[:3] == ["python", "-m", "qnnprune"] or words[0] in _console_scripts():
        options = {word for word in words if word.startswith("--")}
        jobs = [word for word in words if word in ("prove", "serve")]
        assert options <= _documented_options(*jobs), words
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), words
    elif words[0] == "cd":
        assert (ROOT / words[1]).is_dir(), words
    else:
        tools = {"make", "pytest", "ruff", "mypy", "lint-imports", "sphinx-build"}
        assert words[0] in tools, f"nothing checks {words}"
        paths = [word for word in words[1:] if "/" in word and not word.startswith("build/")]
        assert all((ROOT / path).exists() for path in paths), words


def _check_installation(words):
    extras = set(_setup()["options.extras_require"])
    for word in words:
        if word.startswith("constraints"):
            assert (ROOT / word).is_file()
        named = re.fullmatch(r"\.(?:\[(.+)\])?", word)
        assert named or word in {"-c", "-e", "--no-deps"} or word.startswith("constraints"), words
        if named and named[1]:
            assert set(named[1].split(",")) <= extras, words


def _setup():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup


def _console_scripts():
    lines = _setup()["options.entry_points"]["console_scripts"].split("\n")
    return dict(re.split(r"\s*=\s*", line) for line in lines if line)


@functools.cache
def _documented_options(*job):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), pytest.raises(SystemExit):
        main([*job, "--help"])
    return set(re.findall(r"--[\w-]+", output.getvalue()))


def test_the_console_script_is_the_main_job():
    module, name = _console_scripts()["qnnprune"].split(":")
    assert getattr(importlib.import_module(module), name) is main


@pages
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:", target):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            assert not anchor or anchor in _anchors(linked), target


def _anchors(page):
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_front_door_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_page_is_in_the_contents():
    docs, found, left = ROOT / "docs", set(), [ROOT / "docs" / "index.md"]
    while left:
        page = left.pop()
        found.add(page)
        toctrees = [block.text for block in _blocks(page) if block.language == "{toctree}"]
        names = re.findall(r"^(?:.*<)?(\w+)>?$", "".join(toctrees), flags=re.MULTILINE)
        left += [listed for name in names if (listed := docs / f"{name}.md") not in found]
    assert found == set(docs.glob("*.md"))


@pytest.mark.parametrize("package", PUBLIC)
def test_the_api_page_lists_the_public_names(package):
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    section = re.search(rf"^## `qnnprune{re.escape(package)}`\n(.*?)(?=^## |\Z)", api, re.M | re.S)
    listed = re.findall(r"^\| `(\w+)`", section[1], flags=re.MULTILINE)
    module = importlib.import_module(f"qnnprune{package}")
    assert sorted(name for name in listed if hasattr(module, name)) == sorted(module.__all__)


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, re.M)[1] == _setup()["metadata"]["version"]


def test_the_workflow_runs_what_the_local_script_runs():
    local = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    commands = re.findall(
        r"^ *((?:apt-get|pip|python|ruff|pytest|mypy|lint-imports|make|sphinx-build)\b.*)$",
        local,
        re.M,
    )
    assert commands
    assert [command for command in commands if command not in workflow] == []
