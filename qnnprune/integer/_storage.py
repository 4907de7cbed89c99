"""Named arrays in one ``.npz`` file: numpy alone, no pickles, every byte checked.

Besides the arrays that it is given, a file holds:

==================  =====  =====  ======================================
key                 dtype  shape  holds
==================  =====  =====  ======================================
format_version      int64  ()     2; 1 had no tables, categories and gaps
package_version     str    ()     version that wrote the file
checksum            str    ()     SHA-256 of all other arrays [1]_
==================  =====  =====  ======================================

.. [1] In the order of their keys: key, dtype, shape, and the bytes in C order.  It tells
   damage; it does not tell who wrote the file.
"""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

import numpy as np

from .._utils import is_plain
from .._version import __version__
from ..exceptions import InvalidNetworkFileError

__all__ = ["FORMAT_VERSION", "check_arrays", "digest_of", "load_parsed", "pack", "unpack"]

Parsed = TypeVar("Parsed")

FORMAT_VERSION = 2

_LARGEST = 2**30  # bytes of a file, and of what it unpacks to
_OWN = {"format_version": ("<i8", 0), "package_version": ("U", 0), "checksum": ("U", 0)}


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Bytes of a file that holds `arrays`; the same arrays give the same bytes.

    Parameters
    ----------
    arrays : dict of str to array
        Of bool, integer, float or str, little-endian.
    """
    version = np.array(FORMAT_VERSION, dtype="<i8")
    whole: dict[str, Any] = {"format_version": version, "package_version": np.array(__version__)}
    whole |= arrays
    buffer = BytesIO()
    np.savez_compressed(buffer, **whole, checksum=np.array(digest_of(whole)))
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """The arrays that `pack` was given.

    Raises
    ------
    InvalidNetworkFileError
        If the file is of another version, holds anything but plain arrays, would take too
        much memory, or does not match its checksum.
    Exception
        Of any kind, from zipfile, zlib or numpy, where bytes are damaged.
    """
    arrays = _read(data)
    version = arrays.get("format_version", "none")
    _require(
        any(np.array_equal(version, known) for known in range(1, FORMAT_VERSION + 1)),
        f"its format version is {version}, and this package reads 1 to {FORMAT_VERSION}",
    )
    own = {key: arrays.pop(key) for key in _OWN if key in arrays}
    check_arrays(own, _OWN)
    found = digest_of(arrays | {k: v for k, v in own.items() if k != "checksum"})
    _require(own["checksum"] == found, "its checksum does not match")
    return arrays


def check_arrays(arrays: dict, kinds: dict, optional: dict | None = None) -> None:
    """Refuse missing and unknown keys, other dtypes and other numbers of dimensions.

    Parameters
    ----------
    arrays : dict of str to array
    kinds, optional : dict of str to tuple
        Keys to dtype, or kind of dtype, or None for any; and number of dimensions.

    Raises
    ------
    InvalidNetworkFileError
    """
    known = kinds | (optional or {})
    missing, unknown = kinds.keys() - arrays, arrays.keys() - known
    _require(not missing, f"it lacks {', '.join(sorted(missing))}")
    _require(not unknown, f"it has unknown keys: {', '.join(sorted(unknown))}")
    for key, array in arrays.items():
        dtype, ndim = known[key]
        right = dtype in (None, array.dtype.str, array.dtype.kind) and array.ndim == ndim
        _require(right, f"{key} has dtype {array.dtype} and {array.ndim} dimensions")


def _read_bounded(path) -> bytes:
    """Bytes of a file, no more than `unpack` takes by far.

    Raises
    ------
    OSError
        If the file cannot be opened; FileNotFoundError if there is none.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        return file.read(min(size, _LARGEST) + 1)


def load_parsed(path, parse: Callable[[bytes], Parsed], kind: str) -> Parsed:
    """What `parse` makes of the bytes of a file.

    Parameters
    ----------
    path : str or path-like
    parse : callable
    kind : str
        What the file should hold, for the message.

    Raises
    ------
    OSError
        If the file cannot be opened; FileNotFoundError if there is none.
    InvalidNetworkFileError
        If the bytes cannot be parsed.
    """
    data = _read_bounded(path)
    try:
        return parse(data)
    except Exception as error:  # zipfile, zlib and numpy raise all sorts at damaged bytes
        reason = str(error) or type(error).__name__
        raise InvalidNetworkFileError(f"{os.fspath(path)!r} holds no {kind}: {reason}") from error


def _require(condition, otherwise: str) -> None:
    if not condition:
        raise InvalidNetworkFileError(otherwise)


def digest_of(arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of arrays, as 64 hexadecimal digits; see the top of this module."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}\n".encode())
        digest.update(arrays[key].tobytes())
    return digest.hexdigest()


def _read(data: bytes) -> dict:
    _require(len(data) <= _LARGEST, f"it is larger than {_LARGEST} bytes")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        _require(total <= _LARGEST, f"it would unpack to {total} bytes")
        arrays = {m.filename.removesuffix(".npy"): _read_member(archive, m) for m in members}
    _require(len(arrays) == len(members), "a key is there twice")
    return arrays


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """One array, read once its header is known to declare no more than is there."""
    with archive.open(member) as stream:
        raw = BytesIO(stream.read(member.file_size))  # read() alone may unpack far more
    version = np.lib.format.read_magic(raw)
    _require(version == (1, 0), f"{member.filename} is of npy version {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(raw)
    _require(is_plain(dtype) and dtype.itemsize, f"{member.filename} has dtype {dtype}")
    n_bytes = len(raw.getbuffer()) - raw.tell()
    _require(
        math.prod(shape) * dtype.itemsize == n_bytes,
        f"{member.filename} has {n_bytes} bytes for shape {shape} of {dtype}",
    )
    raw.seek(0)
    array = np.lib.format.read_array(raw, allow_pickle=False)
    if dtype.kind == "U":
        array.tolist()  # fails here, not at first use, where bytes are no characters
    return array
