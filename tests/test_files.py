"""What stands at a path stays what it is: links, modes, owners, pipes and devices."""

import os
import stat
import threading

import numpy as np
import pytest

from qnnprune._files import errors_of, write_whole
from qnnprune.export import to_c, to_onnx, to_qonnx

as_root = hasattr(os, "geteuid") and os.geteuid() == 0
only_root = pytest.mark.skipif(not as_root, reason="only root may do that")
posix = pytest.mark.skipif(os.name != "posix", reason="no such files elsewhere")


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_file_and_a_newer_one(tmp_path):
    path = tmp_path / "new"
    for data in (b"first", b"", b"third" * 10_000):
        write_whole(path, data)
        assert path.read_bytes() == data
    write_whole(str(path), b"str")
    assert path.read_bytes() == b"str"
    assert os.listdir(tmp_path) == ["new"]


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_links_are_followed(tmp_path, monkeypatch, exists):
    monkeypatch.chdir(tmp_path)
    os.mkdir("store")
    if exists:
        (tmp_path / "store" / "net").write_bytes(b"old")
    os.symlink("store/net", "current")
    os.symlink("current", "link")
    write_whole("link", b"new")
    assert os.readlink("link") == "current" and os.readlink("current") == "store/net"
    assert (tmp_path / "store" / "net").read_bytes() == b"new"
    assert sorted(os.listdir()) == ["current", "link", "store"]
    assert os.listdir("store") == ["net"]


@posix
def test_links_that_lead_nowhere_or_in_circles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink("missing/net", "nowhere")
    os.symlink("circle", "circle")
    for name in ("nowhere", "circle"):
        with pytest.raises(OSError, match=f"'{name}'$"):
            write_whole(name, b"data")
        assert os.path.islink(name)
    assert sorted(os.listdir()) == ["circle", "nowhere"]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_modes_are_kept(tmp_path, mode):
    path = tmp_path / "net"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)


@posix
def test_modes_of_new_files_are_those_of_the_process(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "usual", b"")
        write_whole(tmp_path / "secret", b"", mode=0o600)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "usual") == 0o640
    assert mode_of(tmp_path / "secret") == 0o600


@posix
@pytest.mark.parametrize("kept", [0o600, None])
def test_no_other_user_reads_a_private_file_while_it_is_written(tmp_path, monkeypatch, kept):
    path, seen = tmp_path / "secret", []
    if kept:
        path.write_bytes(b"old")
        path.chmod(kept)
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (seen.extend(map(mode_of, tmp_path.iterdir())), real(file))
    )
    write_whole(path, b"new", mode=0o600)
    assert set(seen) == {0o600}


@only_root
def test_owners_are_kept(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(b"old")
    os.chown(path, 65534, 65533)
    path.chmod(0o640)
    write_whole(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, mode_of(path)) == (65534, 65533, 0o640)
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(as_root, reason="root may write to any file")
def test_a_file_that_is_not_to_be_written_to(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


@posix
def test_a_pipe_is_written_to(tmp_path):
    path, found = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    reader.start()
    data = b"data" * 50_000  # more than a pipe holds
    write_whole(path, data)
    reader.join(timeout=60)
    assert found == [data]
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@only_root
def test_a_device_is_written_to(tmp_path):
    path = tmp_path / "null"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        path.write_bytes(b"")
    except OSError:
        pytest.skip("no devices can be made here")
    write_whole(path, b"data")
    assert stat.S_ISCHR(os.stat(path).st_mode)


@posix
def test_a_hard_link_parts_from_its_other_names(tmp_path):
    path, other = tmp_path / "net", tmp_path / "other"
    path.write_bytes(b"old")
    os.link(path, other)
    write_whole(path, b"new")
    assert (path.read_bytes(), other.read_bytes()) == (b"new", b"old")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(OSError) as error:
        write_whole(tmp_path, b"")
    assert error.value.filename == str(tmp_path)


def test_errors_that_name_no_file_stay_as_they_are():
    with pytest.raises(OSError, match="^no space left$"), errors_of("path"):
        raise OSError("no space left")
    with pytest.raises(ValueError), errors_of("path"):
        raise ValueError


@pytest.mark.parametrize("name", ["missing/net.h", "missing/net.c", "file/net.h"])
@pytest.mark.parametrize("target", ["to_c", "to_onnx", "to_qonnx", "save"])
def test_a_missing_folder_is_named_as_it_was_written(
    tiny_network, tmp_path, monkeypatch, target, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    network = tiny_network(np.random.default_rng(0))
    if target in ("to_onnx", "to_qonnx"):
        pytest.importorskip("onnx")
    write = {"to_c": to_c, "to_onnx": to_onnx, "to_qonnx": to_qonnx}.get(target)
    with pytest.raises((FileNotFoundError, NotADirectoryError)) as error:
        write(network, name) if write else network.save(name)
    assert error.value.filename == name
    assert str(error.value).endswith(f"irectory: {name!r}")
    assert os.listdir() == ["file"]
