"""Tokens, models, metrics and the sandbox, each alone."""

import os
import platform
import re
import stat
import subprocess
import sys

import pytest

from qnnprune.service._metrics import Metrics
from qnnprune.service._models import model_folders
from qnnprune.service._tokens import Tokens


def test_a_token_is_stored_nowhere(tmp_path):
    tokens = Tokens(tmp_path / "tokens.json")
    token = tokens.add("clinic")
    assert len(token) > 40 and token not in (tmp_path / "tokens.json").read_text()
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600
    again = Tokens(tmp_path / "tokens.json")
    assert again.owner(f"Bearer {token}") == again.owner(f"bearer  {token}") == "clinic"
    for wrong in (None, "", token, f"Basic {token}", f"Bearer {token[:-1]}", "Bearer", "Bearer é"):
        assert again.owner(wrong) is None
    newer = again.add("clinic")
    assert again.owner(f"Bearer {token}") is None and again.owner(f"Bearer {newer}") == "clinic"
    for name in ("", "../other", "a/b", "x" * 65):
        with pytest.raises(ValueError, match="letters, digits"):
            again.add(name)


def test_one_model_or_many(tmp_path):
    with pytest.raises(ValueError, match="no model in .* NAME/VERSION"):
        model_folders(tmp_path)
    for name in ("iris/1", "iris/2", "digits/2026-03"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.json").touch()
    named = [each[:2] for each in model_folders(tmp_path)]
    assert named == [("digits", "2026-03"), ("iris", "1"), ("iris", "2")]
    assert model_folders(tmp_path / "iris" / "2") == [("2", "1", tmp_path / "iris" / "2")]


def test_metrics_are_those_of_prometheus():
    metrics = Metrics()
    for seconds, outcome in ((0.02, "ok"), (0.5, "ok"), (1000.0, "error")):
        metrics.row(seconds, outcome)
    text = metrics.text({"keys": 2, "queue_rows": 7})
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['qnnprune_rows_total{outcome="ok"}'] == "2"
    assert values["qnnprune_keys"] == "2" and values["qnnprune_queue_rows"] == "7"
    assert values["qnnprune_workers_lost_total"] == "0"
    buckets = [
        values[f'qnnprune_row_seconds_bucket{{le="{b}"}}'] for b in ("0.01", "0.03", "1", "+Inf")
    ]
    assert buckets == ["0", "1", "2", "3"]
    assert values["qnnprune_row_seconds_count"] == "3"
    assert "\nqnnprune_keys_bytes 35216106\n" in metrics.text({"keys_bytes": 35_216_106})
    assert float(values["qnnprune_row_seconds_sum"]) == pytest.approx(1000.52)
    assert metrics.mean_row_seconds == pytest.approx(1000.52 / 3)
    for name in {re.split("[{ ]", line)[0] for line in values}:
        family = re.sub("_(bucket|sum|count)$", "", name)
        assert f"# TYPE {family} " in text and f"# HELP {family} " in text


_SHUT_IN = """
import os, socket, subprocess, sys, threading
from qnnprune.service._sandbox import shut_in

begin, found = threading.Event(), []

def refused(call):
    try:
        call()
    except PermissionError:
        return True
    return False

def old_thread():
    begin.wait()
    found.append(refused(socket.socket))

thread = threading.Thread(target=old_thread)
thread.start()
socket.socket().close()
shut_in()
begin.set()
thread.join()
print(*found, refused(socket.socket), refused(lambda: socket.socket(socket.AF_UNIX)),
      refused(lambda: subprocess.run(["true"])), len(os.listdir("/")) > 0)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="seccomp"
)
def test_a_process_that_is_shut_in_has_no_network_and_starts_nothing():
    import qnnprune

    root = os.path.dirname(os.path.dirname(qnnprune.__file__))
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SHUT_IN],
        env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert printed.split() == ["True"] * 5
