"""Arguments of ``qnnprune serve``; tests/service runs it."""

import json
import sys

import pytest

from qnnprune.cli import main


def _problem(capsys, *argv):
    assert main(["serve", *argv]) == 2
    return capsys.readouterr().err


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models" / "iris" / "1").mkdir(parents=True)
    (tmp_path / "models" / "iris" / "1" / "model.json").touch()
    return str(tmp_path / "models")


def test_tokens_do_not_travel_unencrypted_to_other_machines(models, tmp_path, capsys):
    for host in ("0.0.0.0", "192.0.2.1", "example.org", "::"):
        text = _problem(capsys, models, "--host", host)
        assert f"--host {host}" in text and "--tls-cert" in text and "--behind-proxy" in text
    assert "belong together" in _problem(capsys, models, "--tls-cert", "cert.pem")


def test_limits_are_numbers_above_0(models, capsys):
    for option in ("--queue-rows", "--row-seconds", "--keys-bytes"):
        for value in ("0", "-1", "many", "nan", "1e999"):
            assert "is not a number above 0" in _problem(capsys, models, option, value)


def test_a_folder_without_models(tmp_path, capsys):
    pytest.importorskip("uvicorn")
    state = str(tmp_path / "state")
    text = _problem(capsys, str(tmp_path), "--state", state, "--no-tokens", "--port", "0")
    assert "There is no model in" in text


def test_missing_packages_name_the_extra(models, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    text = _problem(capsys, models, "--state", str(tmp_path / "state"))
    assert "pip install -c constraints-fhe.txt 'qnnprune[serve]'" in text


def test_a_new_token_is_printed_once(models, tmp_path, capsys):
    state = tmp_path / "state"
    assert main(["serve", models, "--state", str(state), "--new-token", "clinic"]) == 0
    token = capsys.readouterr().out.strip()
    digests = json.loads((state / "tokens.json").read_text())
    assert token.startswith("qnn_") and list(digests) == ["clinic"]
    assert token not in (state / "tokens.json").read_text()
    assert "letters, digits" in _problem(
        capsys, models, "--state", str(state), "--new-token", "a/b"
    )
    assert "not allowed with" in _problem(capsys, models, "--new-token", "a", "--no-tokens")
