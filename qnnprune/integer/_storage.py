"""One network in one ``.npz`` file: numpy alone, no pickles, every array checked.

Keys of format version 1, little-endian, ranges inclusive; L counts the layers from 0:

===========================  ========  ====================  ===============================
key                          dtype     shape                 holds
===========================  ========  ====================  ===============================
format_version               int64     ()                    1
package_version              str       ()                    version that wrote the file
n_w_bits, n_accum_bits       int64     ()                    widths, in bits
encoding.thresholds          float64   (n_features, levels)  ascending, rows end in +inf
encoding.n_segments          int64     (n_features,)         segments of each feature
encoding.n_bits              int64     ()                    width of an input code, in bits
layers.L.weight              int8      (n_out, n_in)         codes
layers.L.input_range         int64     (n_in, 2)             codes of each input
layers.L.accumulator_range   int64     (n_out, 2)            the proof: exact ranges
layers.L.accumulator_bits    int64     (n_out,)              the proof: widths, in bits
layers.L.thresholds          int64     (n_out, 2**a - 1)     ascending; hidden layers only
layers.L.output_low          int64     ()                    lowest code; hidden layers only
layers.L.scale, .bias        float64   (n_out,)              finite; the last layer only
classes                      [1]_      (n_classes,)          labels; a classifier's only
feature_names                str       (n_features,)         where they are known
checksum                     str       ()                    SHA-256 of all others [2]_
===========================  ========  ====================  ===============================

.. [1] bool, integer or float of at most 8 bytes, or str.
.. [2] In the order of their keys: key, dtype, shape, and the bytes in C order.  It tells
   damage; it does not tell who wrote the file.
"""

from __future__ import annotations

import hashlib
import math
import os
import zipfile
from io import BytesIO

import numpy as np

from .._utils import write_whole
from .._version import __version__
from ..encoding import InputEncoding
from ..exceptions import InvalidNetworkFileError
from ._layer import IntegerLayer
from ._network import IntegerNetwork
from ._verification import check_network

__all__ = ["FORMAT_VERSION", "load_network", "save_network"]

FORMAT_VERSION = 1

_LARGEST = 2**30  # bytes of a file, and of what it unpacks to

# Key to dtype and number of dimensions.
_INT, _INTS, _PAIRS, _TEXT = ("<i8", 0), ("<i8", 1), ("<i8", 2), ("U", 0)
_FILE = {"format_version": _INT, "package_version": _TEXT, "checksum": _TEXT}
_NETWORK = {"n_w_bits": _INT, "n_accum_bits": _INT}
_ENCODING = {"thresholds": ("<f8", 2), "n_segments": _INTS, "n_bits": _INT}
_PROOF = {"accumulator_range": _PAIRS, "accumulator_bits": _INTS}
_LAYER = {"weight": ("|i1", 2), "input_range": _PAIRS, **_PROOF}
_HIDDEN = {**_LAYER, "thresholds": ("<i8", 2), "output_low": _INT}
_OUTPUT = {**_LAYER, "scale": ("<f8", 1), "bias": ("<f8", 1)}
_OPTIONAL = {"classes": (None, 1), "feature_names": ("U", 1)}


def save_network(network: IntegerNetwork, path) -> None:
    """Write `network` to `path`, which is replaced only once the new file is whole.

    The same network gives the same bytes.

    Parameters
    ----------
    network : IntegerNetwork
    path : str or path-like

    Raises
    ------
    ValueError
        If `load_network` would refuse the file: labels that are not bool, int, float or
        str, or a network that contradicts itself.
    """
    arrays = {
        "format_version": np.array(FORMAT_VERSION, dtype="<i8"),
        "package_version": np.array(__version__),
    }
    for key, (dtype, _) in _keys_of_network(len(network.layers)).items():
        arrays[key] = _exactly(key, _attribute(network, key), dtype)
    for key in _OPTIONAL:
        if getattr(network, key) is not None:
            arrays[key] = _labels(key, getattr(network, key))
    arrays["checksum"] = np.array(_checksum(arrays))
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    _parse(buffer.getvalue())
    write_whole(path, buffer.getvalue())


def load_network(path) -> IntegerNetwork:
    """Read a network that `save_network` wrote, and prove its accumulators anew.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    IntegerNetwork

    Raises
    ------
    OSError
        If the file cannot be opened; FileNotFoundError if there is none.
    InvalidNetworkFileError
        If it is damaged, of another version, or holds a network that contradicts itself.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(size, _LARGEST) + 1)
    try:
        return _parse(data)
    except Exception as error:  # zipfile, zlib and numpy raise all sorts at damaged bytes
        reason = str(error) or type(error).__name__
        raise InvalidNetworkFileError(f"{os.fspath(path)!r} holds no network: {reason}") from error


def _parse(data: bytes) -> IntegerNetwork:
    arrays = _read(data)
    version = arrays.get("format_version", "none")
    _require(
        np.array_equal(version, FORMAT_VERSION),
        f"its format version is {version}, and this package reads {FORMAT_VERSION}",
    )
    _check_keys(arrays)
    _require(arrays["checksum"] == _checksum(arrays), "its checksum does not match")
    return _to_network(arrays)


def _require(condition, otherwise: str) -> None:
    if not condition:
        raise InvalidNetworkFileError(otherwise)


def _keys_of_network(n_layers: int) -> dict:
    keys = _NETWORK | {f"encoding.{name}": kind for name, kind in _ENCODING.items()}
    for index in range(n_layers):
        fields = _HIDDEN if index < n_layers - 1 else _OUTPUT
        keys |= {f"layers.{index}.{name}": kind for name, kind in fields.items()}
    return keys


def _attribute(network: IntegerNetwork, key: str):
    value = network
    for part in key.split("."):
        value = value[int(part)] if part.isdigit() else getattr(value, part)
    return value


def _exactly(key: str, value, dtype: str) -> np.ndarray:
    value = np.asarray(value)
    _require(value.dtype.kind in "biuf", f"{key} is {value!r}, not an array of numbers")
    array = value.astype(dtype)
    _require(np.array_equal(array, value), f"{key} has values that {array.dtype} cannot hold")
    return array


def _labels(key: str, values) -> np.ndarray:
    values = np.asarray(values)
    array = np.array(values.tolist()) if values.dtype.kind in "OT" else values
    if not _is_plain(array.dtype) or array.tolist() != values.tolist():
        raise ValueError(
            f"{key} cannot be saved without a pickle, as not all are bool, int, float or str: "
            f"{values!r}. Turn them into str first."
        )
    return array.astype(array.dtype.newbyteorder("<"))


def _is_plain(dtype: np.dtype) -> bool:
    return dtype.kind == "U" or (dtype.kind in "biuf" and dtype.itemsize <= 8)


def _checksum(arrays: dict) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays.keys() - {"checksum"}):
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
    _require(_is_plain(dtype) and dtype.itemsize, f"{member.filename} has dtype {dtype}")
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


def _n_layers(arrays: dict) -> int:
    return sum(key.startswith("layers.") and key.endswith(".weight") for key in arrays)


def _check_keys(arrays: dict) -> None:
    """Refuse missing and unknown keys, other dtypes and other numbers of dimensions."""
    keys = _FILE | _keys_of_network(_n_layers(arrays))
    missing, unknown = keys.keys() - arrays, arrays.keys() - keys - _OPTIONAL.keys()
    _require(not missing, f"it lacks {', '.join(sorted(missing))}")
    _require(not unknown, f"it has unknown keys: {', '.join(sorted(unknown))}")
    keys |= _OPTIONAL
    for key, array in arrays.items():
        dtype, ndim = keys[key]
        right = dtype in (None, array.dtype.str, array.dtype.kind) and array.ndim == ndim
        _require(right, f"{key} has dtype {array.dtype} and {array.ndim} dimensions")


def _fields(arrays: dict, prefix: str, names) -> dict:
    found = {name: arrays[prefix + name] for name in names if prefix + name in arrays}
    return {name: array.item() if array.ndim == 0 else array for name, array in found.items()}


def _to_network(arrays: dict) -> IntegerNetwork:
    prefixes = [f"layers.{index}." for index in range(_n_layers(arrays))]
    names = (_HIDDEN | _OUTPUT).keys() - _PROOF
    layers = [IntegerLayer(**_fields(arrays, prefix, names)) for prefix in prefixes]
    network = IntegerNetwork(
        InputEncoding(**_fields(arrays, "encoding.", _ENCODING)),
        layers,
        **_fields(arrays, "", _NETWORK),
        **_fields(arrays, "", _OPTIONAL),
    )
    check_network(network)
    for prefix, layer in zip(prefixes, layers, strict=True):
        for name in _PROOF:
            right = np.array_equal(getattr(layer, name), arrays[prefix + name])
            _require(right, f"{prefix}{name} differs from what weight and input_range give")
    return network
