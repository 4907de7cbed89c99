"""What encrypted prediction needs of bytes and files; no Concrete."""

import hashlib
import json
import os
import stat

import pytest

from qnnprune.exceptions import InvalidNetworkFileError
from qnnprune.export.fhe import _messages
from qnnprune.export.fhe._files import checked_folder, whole_folder, write_secret
from qnnprune.export.fhe._messages import (
    EVALUATION_KEYS,
    KINDS,
    REQUEST,
    RESPONSE,
    SECRET_KEYS,
    refusals,
    seal,
    unseal,
)
from qnnprune.export.fhe._passphrase import is_locked, lock, unlock

_MODEL, _OTHER, _KEYS = "ab" * 32, "cd" * 32, "12" * 32


@pytest.fixture(scope="module")
def request_bytes():
    return seal(REQUEST, _MODEL, _KEYS, b"ciphertext")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sealed_comes_out(kind):
    message = seal(kind, _MODEL, _KEYS, b"body")
    for data in (message, bytearray(message), memoryview(message)):
        assert unseal(data, kind, _MODEL) == (_KEYS, b"body")
    assert unseal(seal(kind, _MODEL, _KEYS, b""), kind, _MODEL) == (_KEYS, b"")


def test_the_layout_is_the_documented_one(request_bytes):
    label = b"qnnprune" + bytes([2, KINDS.index(REQUEST)]) + b"\xab" * 32 + b"\x12" * 32
    checksum = hashlib.sha256(label + b"ciphertext").digest()
    assert request_bytes == label + checksum + b"ciphertext"


def test_every_damaged_byte_and_every_cut_is_found(request_bytes):
    for index in range(len(request_bytes)):
        damaged = bytearray(request_bytes)
        damaged[index] ^= 1
        for data in (damaged, request_bytes[:index]):
            with pytest.raises(ValueError, match="The bytes"):
                unseal(data, REQUEST, _MODEL)
    with pytest.raises(ValueError, match="damaged or cut off"):
        unseal(request_bytes + b"\0", REQUEST, _MODEL)


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_is_named(kind, request_bytes):
    if kind != REQUEST:
        with pytest.raises(ValueError, match=f"are a request, but what belongs here is {kind}"):
            unseal(request_bytes, kind, _MODEL)


def test_another_model_is_named(request_bytes):
    with pytest.raises(ValueError, match="for model abababababab, but this is model cdcdcdcdcdcd"):
        unseal(request_bytes, REQUEST, _OTHER)


@pytest.mark.parametrize("kind", [EVALUATION_KEYS, SECRET_KEYS])
def test_other_parameters_are_named(kind):
    keys = seal(kind, _MODEL, _KEYS, b"keys")
    with pytest.raises(ValueError, match=f"are {kind} for parameters abab.* has cdcd.*: make new"):
        unseal(keys, kind, _OTHER)


def test_another_version_is_named(request_bytes, monkeypatch):
    monkeypatch.setattr(_messages, "_VERSION", 3)
    newer = seal(REQUEST, _MODEL, _KEYS, b"body")
    assert unseal(newer, REQUEST, _MODEL) == (_KEYS, b"body")
    with pytest.raises(ValueError, match="format version 2, and this package reads 3"):
        unseal(request_bytes, REQUEST, _MODEL)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="format version 3, and this package reads 2"):
        unseal(newer, REQUEST, _MODEL)


def test_a_kind_of_a_later_version_is_refused(request_bytes, monkeypatch):
    monkeypatch.setattr(_messages, "KINDS", (*KINDS, "a wish"))
    later = seal("a wish", _MODEL, _KEYS, b"")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="kind 4, which this package does not know"):
        unseal(later, REQUEST, _MODEL)


@pytest.mark.parametrize("data", [b"", b"x", b"qnn", b"PK\3\4" * 100, bytes(200)])
def test_bytes_of_something_else(data):
    with pytest.raises(ValueError, match="no message of FheClient or FheServer"):
        unseal(data, RESPONSE, _MODEL)


@pytest.mark.parametrize("data", ["text", None, 5, [b"qnnprune"], {}])
def test_what_is_not_bytes_is_a_type_error(data):
    with pytest.raises(TypeError, match=f"bytes, but got {type(data).__name__}"):
        unseal(data, RESPONSE, _MODEL)


def test_a_refusal_of_concrete_becomes_a_value_error():
    text = "whole: not mine Client.* same version of concrete"
    with pytest.raises(ValueError, match=text), refusals():
        raise RuntimeError("not mine\nstack")


def _folder(path, text, model_id=_MODEL):
    with whole_folder(path, model_id) as folder:
        (folder / "network.npz").write_text(text)
        (folder / "client.zip").write_text(text)
    return path


def test_a_folder_is_checked_as_a_whole(tmp_path):
    old, new = _folder(tmp_path / "old", "1"), _folder(tmp_path / "new", "2", _OTHER)
    assert (checked_folder(old), checked_folder(new)) == (_MODEL, _OTHER)
    (old / "secret").write_text("not of the folder's own")
    assert checked_folder(old) == _MODEL
    for file in ("network.npz", "client.zip"):
        kept = (old / file).read_bytes()
        (old / file).write_bytes((new / file).read_bytes())
        with pytest.raises(InvalidNetworkFileError, match=f"{file}.*copy the whole folder"):
            checked_folder(old)
        (old / file).unlink()
        with pytest.raises(FileNotFoundError, match=file):
            checked_folder(old)
        (old / file).write_bytes(kept)
    (old / "model.json").unlink()
    with pytest.raises(FileNotFoundError):
        checked_folder(old)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({"model_id": _MODEL}).encode(),
        json.dumps({"model_id": _MODEL[:10], "files": {}}).encode(),
        json.dumps({"model_id": "no digits", "files": {}}).encode(),
        json.dumps({"model_id": 5, "files": {}}).encode(),
        json.dumps({"model_id": _MODEL, "files": 5}).encode(),
    ],
)
def test_a_damaged_list_of_files(tmp_path, content):
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(InvalidNetworkFileError, match=r"model\.json.* is damaged"):
        checked_folder(tmp_path)


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def _modes(folder):
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_secret_is_its_owners_alone_from_the_first_moment(tmp_path, no_umask, monkeypatch):
    seen = []

    def watched(call):
        def run(*arguments):
            result = call(*arguments)
            seen.append(_modes(tmp_path))
            return result

        return run

    for name in ("open", "fsync", "replace"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    write_secret(tmp_path / "secret", b"keys")
    assert seen == [{0o600}] * 3
    assert (tmp_path / "secret").read_bytes() == b"keys"
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_secret_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", None)
    with pytest.raises(TypeError):
        write_secret(tmp_path / "secret", b"keys")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        write_secret(tmp_path / "none" / "secret", b"keys")


def test_no_secret_is_written_over(tmp_path):
    write_secret(tmp_path / "secret", b"first")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("secret", "link", "."):
        with pytest.raises(FileExistsError, match="is there already"):
            write_secret(tmp_path / taken, b"second")
    assert (tmp_path / "secret").read_bytes() == b"first"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "secret"]


def test_a_lock_opens_with_its_passphrase_alone():
    pytest.importorskip("cryptography")
    locked = lock(b"secret", "correct horse")
    assert is_locked(locked) and b"secret" not in locked and not is_locked(b"secret")
    assert lock(b"secret", "correct horse") != locked  # another salt
    assert unlock(locked, "correct horse") == b"secret"
    changed = [bytearray(locked) for _ in range(3)]
    for index, data in zip((10, 30, len(locked) - 1), changed, strict=True):
        data[index] ^= 1
    for data in (*map(bytes, changed), locked[:-1], locked[:30], locked[:8]):
        with pytest.raises(ValueError, match="passphrase is wrong, or the file is damaged"):
            unlock(data, "correct horse")
    with pytest.raises(ValueError, match="passphrase is wrong"):
        unlock(locked, "correct horses")
    with pytest.raises(ValueError, match="passphrase is empty"):
        lock(b"secret", "")
