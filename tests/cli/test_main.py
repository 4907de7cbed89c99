"""The main job, run as a user runs it, on small tables and few epochs."""

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from qnnprune import IntegerNetwork, PrunedNeuralNetRegressor
from qnnprune.cli._arguments import parse
from qnnprune.cli._main import main

pd = pytest.importorskip("pandas")

QUICK = ["--epochs", "2", "--accum-bits", "8"]


def _frame(n_rows=80):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "width": rng.normal(size=n_rows),
            "height": rng.normal(size=n_rows),
            "colour": rng.choice(["red", "green", None], n_rows),
        }
    )
    frame.loc[::7, "width"] = np.nan
    frame["kind"] = np.where(frame["height"] > 0, "tall", "low")
    frame["price"] = 3 * frame["height"] + rng.normal(size=n_rows)
    return frame


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    _frame().to_csv(path, index=False)
    return str(path)


def _row(text, name):
    """Cells of the table's row `name`."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.split(name)[1].split()


def test_digits(capsys):
    assert main(["--epochs", "2", "--accum-bits", "8", "16"]) == 0
    text = capsys.readouterr().out
    assert "1797 rows, 64 numeric columns, 10 classes" in text
    assert "1347 rows to train on, 450 held back" in text
    _, twin_codes, twin_nonzeros, _, twin_left, _ = _row(text, "float twin")
    *_, in_bits, a_bits, nonzeros, proven, left, _ = _row(text, "8-bit accumulator")
    assert (twin_codes, in_bits, a_bits) == ("-", "2,", "2")
    *_, wide_nonzeros, _, wide_left, _ = _row(text, "16-bit accumulator")
    assert float(nonzeros) < float(wide_nonzeros) < float(twin_nonzeros)
    assert int(proven) <= 8
    assert twin_left == "100.0%"
    assert float(left.strip("%")) <= float(wide_left.strip("%")) <= 100
    assert "Proven for every input" in text
    assert len(re.findall(r"1797 rows +0 overflows +0 predictions differ", text)) == 3
    assert "\npassed\n" in text


def test_every_column_is_explained(capsys):
    assert main(["--epochs", "1", "--accum-bits", "6"]) == 0
    text = capsys.readouterr().out
    for word in ("accuracy", "float twin", "codes", "nonzeros a neuron", "proven bits", "bytes"):
        assert f"\n{word}: " in text
    for word in ("Ω", "budget", "nonzeros", "dead", "proven", "observed"):
        assert f"\n{word}: " in text


def _next_commands(text):
    lines = text[text.index("\nGo on with\n") :].splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  python -m qnnprune ")]


def test_it_ends_with_three_commands_that_work(csv, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["__main__.py"])
    assert main([csv, "--target", "kind", *QUICK]) == 0
    first = _next_commands(capsys.readouterr().out)
    assert [command[3] for command in first] == [csv, "inspect", "predict"]
    assert main(first[0][3:]) == 0  # the same, saved
    second = _next_commands(capsys.readouterr().out)
    assert [command[3] for command in second] == ["inspect", "predict", "prove"]
    for command in [*first[1:], *second]:
        words = [csv if word == "ROWS.csv" else word for word in command[3:]]
        assert main(words) == 0, words


def test_the_commands_begin_with_a_table_of_ones_own(capsys):
    assert main(["--epochs", "1", "--accum-bits", "6"]) == 0
    commands = _next_commands(capsys.readouterr().out)
    assert commands[0][3:] == ["TABLE.csv", "--target", "COLUMN", "--save", "net.npz"]
    assert len(commands) == 3


def test_classification_of_a_file(csv, tmp_path, capsys):
    path = tmp_path / "net.npz"
    options = ["--w-bits", "3", "--a-bits", "3", "--in-bits", "2", "--save", str(path)]
    assert main([csv, "--target", "kind", *QUICK, *options]) == 0
    text = capsys.readouterr().out
    assert "3 numeric columns and 1 column of categories" in text
    assert "classification of 'kind': 2 labels" in text
    for words in ("3-bit weights", "3-bit activations", "2-bit inputs"):
        assert words in text
    assert f"Saved the 8-bit net as {path}" in text
    assert f"predict {path} FILE" in text
    net = IntegerNetwork.load(path)
    assert list(net.classes) == ["low", "tall"]
    assert (net.n_w_bits, net.n_accum_bits) == (3, 8)
    assert net.feature_names.tolist() == ["width", "height", "colour", "price"]
    table = _frame()[list(net.feature_names)]
    assert set(net.predict(table)) <= {"low", "tall"}
    assert not net.simulate(table, n_accum_bits=8, mode="raise").overflow_rate


def test_regression_twice_is_the_same_text(csv, capsys):
    arguments = [csv, "--target", "price", "--accum-bits", "6", "--epochs", "2", "--seed", "3"]
    texts = []
    for _ in range(2):
        assert main(arguments) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert "regression of 'price'" in texts[0]
    assert "R²" in texts[0]
    assert "The 6-bit net, layer by layer" in texts[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "--target", "kind"], "no file none.csv"),
        (["CSV"], "--target COLUMN"),
        (["--target", "kind"], "belong to a FILE"),
        (["CSV", "--target", "kinds"], "did you mean 'kind'"),
        (["CSV", "--target", "kind", "--task", "regression"], "not numeric"),
        (["--accum-bits", "0"], "'0' is not an integer from 1 to 62"),
        (["--accum-bits", "2", "--a-bits", "4"], "cannot hold one input of 4 bits"),
        (["--w-bits", "9"], "'9' is not an integer from 2 to 8"),
        (["--epochs", "many"], "'many' is not an integer"),
        (["--no-such-option"], "unrecognized arguments"),
        (["--accum-bits", "6", "none.csv"], "'none.csv' is not an integer from 1 to 62"),
        (["--accum-bits", "CSV", "--target", "kind"], "no width before the FILE"),
        (["--drop", "kind", "none.csv", "--target", "price"], "belong to a FILE: name it first"),
        (["--decimal", ","], "--decimal belong to a FILE"),
        (["CSV", "--target", "kind", "--sep", "ab"], "'ab' is not a character, tab or space"),
        (["CSV", "--target", "kind", "--drop", "colours"], "did you mean 'colour'"),
        (["--save", "no/such/folder/net.npz"], "cannot be written"),
        (["--save", ""], "'' cannot be written"),
        (["--save", "/"], "'/' cannot be written"),
        (["CSV", "--target", "kind", "--save", "CSV"], "would replace the table"),
    ],
)
def test_a_mistake_is_one_line(csv, capsys, arguments, message):
    assert main([csv if a == "CSV" else a for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("qnnprune: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert out == ""


def test_a_refusal_of_the_estimator_is_one_line(csv, capsys, monkeypatch):
    def fit(self, X, y):
        raise ValueError("what is wrong\nand more")

    monkeypatch.setattr(PrunedNeuralNetRegressor, "fit", fit)
    assert main([csv, "--target", "price"]) == 2
    assert capsys.readouterr().err.endswith("qnnprune: error: what is wrong\n")


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ConvergenceWarning("interrupted")])
def test_an_interrupt_ends_the_job(csv, capsys, monkeypatch, raised):
    def fit(self, X, y):
        raise raised

    monkeypatch.setattr(PrunedNeuralNetRegressor, "fit", fit)
    assert main([csv, "--target", "price"]) == 130
    assert capsys.readouterr().err.endswith("qnnprune: interrupted\n")


def test_an_overflow_fails_the_job(csv, capsys, monkeypatch):
    simulate = PrunedNeuralNetRegressor.simulate

    def narrower(self, X, *, n_accum_bits=None, mode="wrap"):
        return simulate(self, X, n_accum_bits=n_accum_bits and 3, mode=mode)

    monkeypatch.setattr(PrunedNeuralNetRegressor, "simulate", narrower)
    assert main([csv, "--target", "price", *QUICK]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["CSV", "--target", "kind", "--accum-bits", "6", "8"],
        ["--target", "kind", "CSV", "--accum-bits", "6", "8"],
        ["--target", "kind", "--accum-bits", "6", "8", "CSV"],
        ["--accum-bits", "6", "8", "--target", "kind", "--drop", "price", "CSV"],
        ["--accum-bits", "6", "8", "CSV", "--target", "kind"],
        ["--accum-bits", "6", "8", "--target", "kind", "CSV"],
    ],
)
def test_the_file_may_stand_anywhere(csv, arguments):
    args = parse([csv if a == "CSV" else a for a in arguments])
    assert (args.file, args.target, args.accum_bits) == (csv, "kind", [6, 8])


def test_options_of_a_file(tmp_path, capsys):
    path = tmp_path / "table.txt"
    lines = [
        f"k{i};{i % 2},5;0{i % 3}/02/2026;{'groß' if i % 2 else 'klein'}" for i in range(1, 61)
    ]
    path.write_bytes("\n".join(["nr;größe;tag;art", *lines]).encode("latin-1"))
    options = ["--sep", ";", "--encoding", "latin-1", "--decimal", ",", "--date-order", "dmy"]
    options += ["--missing", "00/02/2026", "--drop", "nr"]
    assert main([str(path), "--target", "art", *QUICK, *options]) == 0
    text = capsys.readouterr().out
    assert "60 rows, 2 numeric columns and 0 columns of categories" in text
    assert "read as numbers: 'größe' ('1,5' is 1.5)" in text
    assert "'tag' ('01/02/2026' is 2026-02-01)" in text
    assert "left out by --drop: 'nr'" in text


def _job(arguments, prepare="pass", **options):
    """The main job in a process of its own, whose streams `prepare` may change."""
    code = f"import sys; from qnnprune.cli import main; {prepare}; sys.exit(main(sys.argv[1:]))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, text=True, **options)


@pytest.mark.slow
def test_a_reader_that_leaves_ends_the_job_quietly(csv):
    arguments = [csv, "--target", "kind", "--epochs", "1", "--accum-bits", "8"]
    job = _job(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert job.stdout.readline().startswith("qnnprune")
    job.stdout.close()
    assert "Error" not in job.stderr.read()
    assert job.wait() == 141


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nobody_reads_a_short_answer(stream):
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write}
    job = _job(["--help"] if stream == "stdout" else ["--epochs", "many"], **streams)
    os.close(write)
    assert job.communicate() in [(None, ""), ("", None)]
    assert job.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        job = _job(["--help"], stdout=full, stderr=subprocess.PIPE)
        _, errors = job.communicate()
        assert errors.startswith("qnnprune: error: ")
        assert errors.count("\n") == 1
        assert job.returncode == 2
        assert _job(["--help"], stdout=full, stderr=full).wait() == 2


@pytest.mark.slow
def test_closed_streams(csv):
    arguments = [csv, "--target", "kind", "--epochs", "1", "--accum-bits", "8"]
    job = _job(arguments, "sys.stdout = sys.stderr = None")  # what Python makes of them
    assert job.wait() == 0
    job = _job(["--epochs", "many"], "sys.stderr = None", stdout=subprocess.PIPE)
    assert job.communicate()[0] == ""
    assert job.returncode == 2


@pytest.mark.slow
def test_a_terminal_without_the_letters(csv):
    arguments = [csv, "--target", "price", "--epochs", "1", "--accum-bits", "8"]
    prepare = "sys.stdout.reconfigure(encoding='ascii', errors='strict')"
    job = _job(arguments, prepare, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    text, _ = job.communicate()
    assert job.returncode == 0
    assert "R?: on the rows held back" in text


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/local/bin/qnnprune", "qnnprune"),
        (r"qnnprune.exe", "qnnprune"),
        ("/site-packages/qnnprune/__main__.py", "python -m qnnprune"),
    ],
)
def test_help_names_the_command(command, name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [command])
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: {name} [FILE")
    assert f"\n  {name} table.csv --target price\n" in text


def test_help_needs_numpy_alone():
    code = (
        "import sys; from qnnprune.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'sklearn', 'pandas', 'brevitas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--accum-bits" in done.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"qnnprune {metadata.version('qnnprune')}\n"


def test_module_is_runnable():
    command = [sys.executable, "-m", "qnnprune", "--task", "regression"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("qnnprune: error: ")
