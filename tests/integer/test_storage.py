import dataclasses
import datetime
import decimal
import hashlib
import io
import os
import pickle
import re
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnnprune import IntegerNetwork
from qnnprune.exceptions import InvalidNetworkFileError
from qnnprune.integer import _storage as storage


@pytest.fixture(scope="module")
def network(tiny_network):
    names = np.array(["a", "ß", "a long name"], dtype=object)
    rng = np.random.default_rng(6)
    return tiny_network(rng, n_outputs=3, classes=np.array(["x", "y", "z"]), feature_names=names)


@pytest.fixture(scope="module")
def data(network, tmp_path_factory):
    """Bytes of a valid file."""
    path = tmp_path_factory.mktemp("saved") / "network.npz"
    network.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def arrays(data):
    """Arrays of a valid file, to be tampered with in a copy."""
    with np.load(io.BytesIO(data)) as npz:
        return dict(npz)


@pytest.fixture
def load(tmp_path):
    """Loads bytes, or arrays with a checksum that fits them."""

    def load_any(content):
        path = tmp_path / "tampered.npz"
        if isinstance(content, dict):
            content = _packed(content | {"checksum": np.array(_checksum(content))})
        path.write_bytes(content)
        return IntegerNetwork.load(path)

    return load_any


def _packed(arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _checksum(arrays) -> str:
    """As documented, in a few lines of its own."""
    digest = hashlib.sha256()
    for key in sorted(set(arrays) - {"checksum"}):
        array = arrays[key]
        digest.update(f"{key} {array.dtype.str} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


def _contents(network) -> list:
    """Everything that a network holds, in comparable form."""
    parts = [(network, ["n_w_bits", "n_accum_bits", "classes", "feature_names"])]
    parts += [(network.encoding, ["thresholds", "n_segments", "n_bits", "input_range"])]
    fields = ["weight", "input_range", "thresholds", "output_low", "scale", "bias"]
    parts += [(r, [*fields, "accumulator_range", "accumulator_bits"]) for r in network.layers]
    values = [(name, getattr(part, name)) for part, names in parts for name in names]
    arrays = [(name, np.asarray(value)) for name, value in values]
    return [(name, a.tolist(), "" if a.dtype.kind in "OU" else a.dtype.str) for name, a in arrays]


LABELS = {
    "bool": np.array([False, True]),
    "int8": np.array([-3, 7], dtype=np.int8),
    "int64": np.array([-(2**63), 2**63 - 1]),
    "uint64": np.array([0, 2**64 - 1], dtype=np.uint64),
    "big-endian": np.array([1, 256], dtype=">i4"),
    "float": np.array([0.1, 1e300]),
    "str": np.array(["no", "ja, ß 漢字 🙂"]),
    "object str": np.array(["", "a much longer one"], dtype=object),
    "object int": np.array([-1, 2], dtype=object),
    "object bool": np.array([False, True], dtype=object),
    "object mixed numbers": np.array([1, 2.5], dtype=object),
    "list": ["b", "c"],
}


@pytest.mark.parametrize("classes", LABELS.values(), ids=LABELS)
def test_round_trip_of_labels(tiny_network, tmp_path, classes):
    network = tiny_network(np.random.default_rng(7), classes=classes)
    network.save(tmp_path / "n.npz")
    loaded = IntegerNetwork.load(tmp_path / "n.npz").classes
    assert loaded.tolist() == list(classes)
    assert loaded.dtype.kind in "biufU"


@pytest.mark.parametrize(
    "classes",
    [
        np.array([b"a", b"b"]),
        np.array([1j, 2j]),
        np.array([1, 2], dtype="M8[ns]"),
        np.array([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)], dtype=object),
        np.array([decimal.Decimal(1), decimal.Decimal(2)], dtype=object),
        np.array(["a", 1], dtype=object),
        np.array(["a", None], dtype=object),
        np.array(["a", "a\0"], dtype=object),
        np.array([2**53 + 1, 0.5], dtype=object),
        np.array([0, 2**64], dtype=object),
    ],
)
def test_other_labels_are_refused_and_nothing_is_written(tiny_network, tmp_path, classes):
    network = tiny_network(np.random.default_rng(7), classes=classes)
    path = tmp_path / "n.npz"
    path.write_bytes(b"the file from before")
    with pytest.raises((TypeError, ValueError), match="classes"):
        network.save(path)
    assert os.listdir(tmp_path) == ["n.npz"]
    assert path.read_bytes() == b"the file from before"


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.fixed_dictionaries(
        {
            "n_features": st.integers(1, 4),
            "n_hidden": st.lists(st.integers(1, 4), max_size=3).map(tuple),
            "n_in_bits": st.integers(1, 8),
            "n_a_bits": st.integers(1, 8),
            "n_w_bits": st.integers(2, 8),
            "n_accum_bits": st.integers(1, 62),
            "n_outputs": st.integers(1, 3),
            "n_output_sums": st.integers(1, 3),
        }
    ),
)
def test_round_trip_of_any_network(tiny_network, tmp_path_factory, seed, shape):
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, **shape)
    path = tmp_path_factory.getbasetemp() / "any.npz"
    network.save(str(path))
    loaded = IntegerNetwork.load(str(path))
    X = rng.normal(size=(6, shape["n_features"]))
    assert _contents(loaded) == _contents(network)
    assert np.array_equal(loaded.predict(X), network.predict(X))


def test_a_whole_classifier_comes_back(network, load, data):
    loaded = load(data)
    assert _contents(loaded) == _contents(network)
    X = np.random.default_rng(0).normal(size=(50, 3))
    assert loaded.predict(X).tolist() == network.predict(X).tolist()


def test_the_proof_can_be_read_without_the_package(arrays, network):
    assert arrays["layers.1.weight"].tolist() == network.layers[1].weight.tolist()
    assert arrays["layers.1.accumulator_bits"].tolist() == (
        network.layers[1].accumulator_bits.tolist()
    )
    assert arrays["format_version"] == storage.FORMAT_VERSION


def test_the_same_network_gives_the_same_bytes(load, data, tmp_path):
    load(data).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == ["again", "tampered.npz"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(network, tmp_path, monkeypatch, step):
    path = tmp_path / "n.npz"
    path.write_bytes(b"old")

    def full_disk(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(OSError, match="no space left"):
        network.save(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["n.npz"]


DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_files_of_version_0_1_0_load_and_decide_as_then(kind):
    network = IntegerNetwork.load(DATA / f"{kind}-0.1.0.npz")
    with np.load(DATA / f"{kind}-expected.npz") as expected:
        assert network.decision(expected["X"]).tolist() == expected["decision"].tolist()


def test_a_missing_file_is_no_invalid_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        IntegerNetwork.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file" * 100, pickle.dumps([1])])
def test_other_files(load, content):
    with pytest.raises(InvalidNetworkFileError, match="tampered.npz.* not a zip file"):
        load(content)


def test_truncation(load, data):
    for size in range(0, len(data), 50):
        with pytest.raises(InvalidNetworkFileError):
            load(data[:size])


def test_flipped_bits_are_refused_or_change_nothing(load, data, network):
    rng = np.random.default_rng(8)
    expected, n_refused = _contents(network), 0
    for _ in range(300):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[position] ^= 1 << rng.integers(8)
        try:
            loaded = load(bytes(damaged))
        except InvalidNetworkFileError:
            n_refused += 1
        else:  # some bits of a zip file, as its time stamps, mean nothing here
            assert _contents(loaded) == expected
    assert n_refused > 150


def test_every_bit_of_every_array_counts(load, arrays):
    # The archive is written anew, so that its own CRCs fit the changed arrays.
    for key in arrays.keys() - {"checksum"}:
        damaged = bytearray(arrays[key].tobytes())
        damaged[0] ^= 1
        array = np.frombuffer(bytes(damaged), arrays[key].dtype).reshape(arrays[key].shape)
        with pytest.raises(InvalidNetworkFileError, match="checksum|format version"):
            load(_packed(arrays | {key: array}))


def test_a_checksum_that_does_not_match(load, arrays):
    with pytest.raises(InvalidNetworkFileError, match="checksum does not match"):
        load(_packed(arrays | {"checksum": np.array("0" * 64)}))


def test_the_checksum_is_as_documented(arrays):
    assert arrays["checksum"] == _checksum(arrays)


@pytest.mark.parametrize("version", [0, 3, -1])
def test_other_versions_are_both_named(load, arrays, version):
    changed = arrays | {"format_version": np.array(version), "something.new": np.zeros(1)}
    text = f"version is {version}, and this package reads 1 to {storage.FORMAT_VERSION}"
    with pytest.raises(InvalidNetworkFileError, match=text):
        load(changed)


def test_missing_and_unknown_keys_are_named(load, arrays):
    optional = {"classes", "feature_names", "model_id"}
    for key in arrays.keys() - optional - {"checksum", "format_version"}:
        with pytest.raises(InvalidNetworkFileError, match="lacks|unknown keys|model_id"):
            load({k: v for k, v in arrays.items() if k != key})
    with pytest.raises(InvalidNetworkFileError, match=r"lacks layers\.0\.output_low"):
        load({k: v for k, v in arrays.items() if k != "layers.0.output_low"})
    with pytest.raises(InvalidNetworkFileError, match="unknown keys: evil"):
        load(arrays | {"evil": np.zeros(1)})
    without = load({k: v for k, v in arrays.items() if k not in optional})
    assert without.classes is None
    assert without.feature_names is None
    with pytest.raises(InvalidNetworkFileError, match="no layers"):
        load({k: v for k, v in arrays.items() if not k.startswith("layers")})


def test_other_dtypes_and_dimensions(load, arrays):
    changes = {
        "layers.0.weight": arrays["layers.0.weight"].astype(np.int64),
        "layers.0.thresholds": arrays["layers.0.thresholds"].astype(float),
        "layers.2.scale": arrays["layers.2.scale"].astype("f4"),
        "layers.2.bias": arrays["layers.2.bias"].astype(">f8"),
        "layers.1.output_low": arrays["layers.1.output_low"][None],
        "n_w_bits": np.array("3"),
        "package_version": np.array(1),
        "classes": np.array([["x", "y", "z"]]),
        "feature_names": np.arange(3),
    }
    for key, array in changes.items():
        with pytest.raises(InvalidNetworkFileError, match=f"{key} has dtype"):
            load(arrays | {key: array})


def _changed(arrays, key, change):
    array = arrays[key].copy()
    return arrays | {key: change(array)}


def _put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


CONTRADICTIONS = [
    ("n_w_bits", _put((), 2), "beyond n_w_bits=2"),
    ("n_w_bits", _put((), 1), "n_w_bits is 1"),
    ("n_w_bits", _put((), 9), "n_w_bits is 9"),
    ("n_accum_bits", _put((), 0), "n_accum_bits is 0"),
    ("n_accum_bits", _put((), 63), "n_accum_bits is 63"),
    ("encoding.n_bits", _put((), 0), "encoding.n_bits is 0"),
    ("encoding.n_bits", _put((), 2**62), "encoding.n_bits is"),
    ("encoding.n_bits", _put((), 1), "n_segments does not match"),
    ("encoding.n_segments", _put(0, -1), "n_segments does not match"),
    ("encoding.n_segments", _put(0, 2**40), "n_segments does not match"),
    ("encoding.n_segments", lambda n: n[:-1], "shapes"),
    ("encoding.thresholds", lambda t: t[:-1], "shapes"),
    ("encoding.thresholds", lambda t: t[:, :0], "shapes"),
    ("encoding.thresholds", lambda t: t[:, ::-1], "thresholds is not ascending"),
    ("encoding.thresholds", lambda t: np.full_like(t, np.nan), "thresholds is not ascending"),
    ("encoding.thresholds", _put((slice(None), 0), -np.inf), "thresholds is not ascending"),
    ("encoding.thresholds", lambda t: np.full_like(t, np.inf), "n_segments does not match"),
    ("layers.0.weight", _put((0, 0), -128), "beyond n_w_bits=3"),
    ("layers.1.weight", _put((0, 0), 4), "beyond n_w_bits=3"),
    ("layers.1.weight", lambda w: w[:, :-1], "layer 1: weight has shape"),
    ("layers.1.weight", lambda w: w[:0], "layer 1: weight has shape"),
    ("layers.1.weight", lambda w: w // 2, "layers.1.accumulator_range differs"),
    ("layers.0.input_range", lambda r: r[:-1], "layer 0: input_range"),
    ("layers.0.input_range", lambda r: r + 1, "layer 0: input_range"),
    ("layers.1.input_range", lambda r: r * 2, "layer 1: input_range"),
    ("layers.1.thresholds", lambda t: t[:, ::-1], "layer 1: thresholds is not ascending"),
    ("layers.1.thresholds", lambda t: t[:, :2], "layer 1: thresholds has shape"),
    ("layers.1.thresholds", lambda t: t[:, :0], "layer 1: thresholds has shape"),
    ("layers.1.thresholds", lambda t: t[:-1], "layer 1: thresholds has shape"),
    ("layers.1.thresholds", lambda t: t[:, :1], "layer 1: output_low is -2"),
    ("layers.1.output_low", _put((), 0), "layer 1: output_low is 0"),
    ("layers.0.accumulator_range", _put((1, 1), 99), "layers.0.accumulator_range differs"),
    ("layers.2.accumulator_range", lambda r: r[:-1], "layers.2.accumulator_range differs"),
    ("layers.2.accumulator_bits", lambda b: b - 1, "layers.2.accumulator_bits differs"),
    ("layers.2.scale", _put(1, np.nan), "layer 2: scale is not 3 finite"),
    ("layers.2.scale", lambda s: s[:-1], "layer 2: 3 sums cannot be shared out among 2 logits"),
    ("layers.2.scale", lambda s: s[:0], "layer 2: 3 sums cannot be shared out among 0 logits"),
    ("layers.2.scale", lambda s: s[:1], "layer 2: bias is not 1 finite"),
    ("layers.2.scale", lambda s: np.tile(s, 2), "layer 2: 3 sums cannot be shared out among 6"),
    ("layers.2.bias", _put(0, -np.inf), "layer 2: bias is not 3 finite"),
    ("classes", lambda c: c[:2], "classes .* do not fit 3 logits"),
    ("classes", _put(1, "x"), "classes .* do not fit 3 logits"),
    ("feature_names", lambda n: n[:2], "2 feature_names for 3 features"),
]


@pytest.mark.parametrize("key, change, message", CONTRADICTIONS)
def test_contradictions_with_a_checksum_that_fits(load, arrays, key, change, message):
    with pytest.raises(InvalidNetworkFileError, match=message):
        load(_changed(arrays, key, change))


def test_counts_whose_product_wraps_around(load, arrays):
    thresholds, n_segments = (
        arrays["encoding.thresholds"].copy(),
        arrays["encoding.n_segments"].copy(),
    )
    thresholds[0] = [0.0, 1.0, np.inf]
    n_segments[0] = (2**64 + 2) // 3  # times 3 steps is 2 in 64 bits, as many as are finite
    with pytest.raises(InvalidNetworkFileError, match="n_segments does not match"):
        load(arrays | {"encoding.thresholds": thresholds, "encoding.n_segments": n_segments})


def test_a_network_that_contradicts_itself_is_not_saved(network, tmp_path):
    output = network.layers[-1]
    wrong = dataclasses.replace(output, bias=np.full(3, np.nan))
    for layers in ([*network.layers[:-1], wrong], network.layers[:-1], network.layers[1:], []):
        other = IntegerNetwork(network.encoding, layers, n_w_bits=3, n_accum_bits=8)
        with pytest.raises(ValueError):
            other.save(tmp_path / "n.npz")
    assert os.listdir(tmp_path) == []


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("key", ["classes", "feature_names", "layers.0.weight", "checksum"])
def test_pickles_are_never_executed(load, arrays, tmp_path, key):
    bomb = np.array([Bomb(tmp_path / "executed")] * 3, dtype=object)
    with pytest.raises(InvalidNetworkFileError, match="dtype object"):
        load(_packed(arrays | {key: bomb}))
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(f"{key}.npy", pickle.dumps(bomb))
    with pytest.raises(InvalidNetworkFileError):
        load(raw.getvalue())
    assert not (tmp_path / "executed").exists()
    with pytest.raises(FileExistsError):  # the bomb does work
        pickle.loads(pickle.dumps([bomb[0], bomb[0], Bomb(tmp_path)]))


def _npy(shape, dtype="|i1", content=b""):
    header = io.BytesIO()
    declared = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, declared)
    return header.getvalue() + content


def _zipped(members, **options):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", **options) as archive:
        for name, content in members:
            archive.writestr(f"{name}.npy", content)
    return raw.getvalue()


@pytest.mark.parametrize(
    "npy, message",
    [
        (_npy((2**50,)), "0 bytes for shape"),
        (_npy((2**31, 2**31)), "0 bytes for shape"),
        (_npy((3,), content=bytes(4)), "4 bytes for shape"),
        (_npy((-2, -4), content=bytes(8)), "dimension"),
        (_npy((2**40,), dtype="<U0"), "dtype <U0"),
        (_npy((3,), dtype="V1", content=bytes(3)), "dtype |V1"),
        (_npy((1,), dtype="<f16", content=bytes(16)), "dtype"),
        (b"\x93NUMPY\x02\x00" + _npy((3,), content=bytes(3))[8:], "npy version"),
        (b"\x93NUMPY", "EOF"),
    ],
    ids=range(9),  # the message must not match a name in the path
)
def test_headers_that_lie(load, npy, message):
    with pytest.raises(InvalidNetworkFileError, match=re.escape(message)):
        load(_zipped([("layers.0.weight", npy)]))


@pytest.mark.parametrize("key", ["classes", "feature_names"])
def test_bytes_that_are_no_characters(load, arrays, key):
    bad = np.arange(2**31 - 3, 2**31, dtype="<i4").view("<U1")
    with pytest.raises(InvalidNetworkFileError, match="character"):
        load(arrays | {key: bad})


def test_members_that_would_unpack_to_too_much(load):
    bomb = bytearray(_zipped([("a", b""), ("b", b"")]))
    size = (2**29 + 1).to_bytes(4, "little")
    for header in re.finditer(b"PK\1\2", bytes(bomb)):  # in the archive's directory
        bomb[header.start() + 24 : header.start() + 28] = size
    with pytest.raises(InvalidNetworkFileError, match=f"unpack to {2**30 + 2} bytes"):
        load(bytes(bomb))


@pytest.mark.slow  # reads a whole GiB
def test_files_that_are_too_large(tmp_path):
    with open(tmp_path / "n.npz", "wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(InvalidNetworkFileError, match="larger than 1073741824 bytes"):
        IntegerNetwork.load(tmp_path / "n.npz")


def test_a_declared_size_is_never_exceeded(load):
    bomb = bytearray(_zipped([("a", bytes(2**24))], compression=zipfile.ZIP_DEFLATED))
    for field in (22, bomb.index(b"PK\1\2") + 24):  # unpacked size: local and central header
        assert bomb[field : field + 4] == (2**24).to_bytes(4, "little")
        bomb[field : field + 4] = (64).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.raises(InvalidNetworkFileError):
        load(bytes(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_keys(load):
    members = [("n_w_bits", _npy((), "<i8", bytes(8)))] * 2
    with pytest.raises(InvalidNetworkFileError, match="a key is there twice"):
        load(_zipped(members))
