import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import qnnprune
from qnnprune import PrunedNeuralNetClassifier
from qnnprune.exceptions import InvalidNetworkFileError
from qnnprune.export import FheClient, FheServer, compile_fhe

pytest.importorskip("concrete.fhe")

_INPUTS, _CONSTANT = [0, 1], [0, 0, 0]
_ROWS = np.array([[-2.0, 0.3, 1.0], [0.0, 0.0, 0.0], [5.0, -0.4, -5.0]])


@pytest.fixture(scope="module")
def network(tiny_network):
    labels = np.array(["ant", "bee", "cat"])
    return tiny_network(np.random.default_rng(0), n_outputs=3, n_w_bits=2, classes=labels)


@pytest.fixture(scope="module")
def encrypted(network):
    return compile_fhe(network)


@pytest.fixture(scope="module")
def folders(encrypted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    encrypted.save_client(folder / "client")
    encrypted.save_server(folder / "server")
    return folder / "client", folder / "server"


@pytest.fixture(scope="module")
def client(folders):
    client = FheClient.load(folders[0])
    client.keygen()
    return client


@pytest.fixture(scope="module")
def server(folders, client):
    server = FheServer.load(folders[1])
    server.accept_keys(client.evaluation_keys())
    return server


def _every_level(network):
    """Rows of X that reach every combination of levels."""
    values = []
    for thresholds in network.encoding.thresholds:
        finite = np.unique(thresholds[np.isfinite(thresholds)])
        values.append([-99.0, *finite])
    return np.array(list(itertools.product(*values)))


def test_clear_and_simulated_equal_predict_for_every_input(network, encrypted):
    X = _every_level(network)
    assert np.array_equal(encrypted.decision(X), network.decision(X))
    assert np.array_equal(encrypted.predict(X), network.predict(X))
    rows = X[np.random.default_rng(1).permutation(len(X))[:150]]
    assert np.array_equal(encrypted.decision(rows, mode="simulate"), network.decision(rows))


def test_encrypted_equals_predict(network, encrypted):
    encrypted.keygen()
    assert np.array_equal(encrypted.decision(_ROWS, mode="encrypted"), network.decision(_ROWS))
    sparse = csr_matrix(_ROWS[:1])
    assert encrypted.predict(sparse, mode="encrypted").tolist() == [network.predict(_ROWS)[0]]


def test_low_bits_are_removed_exactly(grid_network):
    encrypted = compile_fhe(grid_network)
    assert (encrypted.report.sum_bits[0], encrypted.report.table_bits) == (6, (4,))
    X = np.random.default_rng(0).normal(size=(100, 12))
    decision = grid_network.decision(X)
    assert np.array_equal(encrypted.decision(X), decision)
    assert np.array_equal(encrypted.decision(X, mode="simulate"), decision)
    assert np.array_equal(encrypted.decision(X[:2], mode="encrypted"), decision[:2])


@pytest.fixture(scope="module")
def grid_network(tiny_network):
    """Accumulators of 6 bits, thresholds a multiple of 4 apart, one output without a scale."""
    rng = np.random.default_rng(5)
    network = tiny_network(rng, n_features=12, n_hidden=(3,), n_w_bits=2)
    hidden = network.layers[0]
    hidden.weight[:] = np.where(hidden.weight == 0, 1, hidden.weight)
    hidden.thresholds[:] = [[-4, 0, 8], [-3, 1, 5], [2, 6, 10]]
    return network


def test_widths_in_the_circuit_are_the_proven_ones(encrypted, network):
    report = encrypted.report
    proven = [int(layer.accumulator_bits.max()) for layer in network.layers]
    assert report.max_bits <= report.proven_bits == max(proven)
    assert all(found <= bits for found, bits in zip(report.sum_bits, proven, strict=True))
    assert report.lookups == sum(report.neurons[:-1])
    assert 0 < report.p_error_row == report.lookups * 2.0**-40


@pytest.mark.parametrize("shape", [{"n_hidden": ()}, {"n_in_bits": 1}, {"n_a_bits": 3}])
def test_other_shapes(tiny_network, shape):
    network = tiny_network(np.random.default_rng(3), n_outputs=2, **shape)
    encrypted = compile_fhe(network)
    X = np.random.default_rng(4).normal(size=(40, 3))
    assert np.array_equal(encrypted.decision(X, mode="simulate"), network.decision(X))
    assert encrypted.report.max_bits <= encrypted.report.proven_bits


def test_a_fitted_estimator_and_no_rows():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.where(X[:, 0] > 0, "yes", "no")
    estimator = PrunedNeuralNetClassifier((4,), n_accum_bits=5, max_epochs=2, random_state=0)
    encrypted = compile_fhe(estimator.fit(X, y))
    assert np.array_equal(encrypted.predict(X[:20], mode="simulate"), estimator.predict(X[:20]))
    for mode in ("clear", "simulate", "encrypted"):
        assert encrypted.predict(X[:0], mode=mode).shape == (0,)


_CLIENT = """
import sys
from pathlib import Path
import numpy as np
from qnnprune.exceptions import InvalidNetworkFileError
from qnnprune.export import FheClient

step, folder = sys.argv[1], Path(sys.argv[2])
client = FheClient.load(folder / "client")
if step == "send":
    client.keygen()
    client.save_keys(folder / "secret")
    (folder / "to_server" / "keys").write_bytes(client.evaluation_keys())
    for index, request in enumerate(client.encrypt(np.load(folder / "X.npy"))):
        (folder / "to_server" / f"request{index}").write_bytes(request)
else:
    client.load_keys(folder / "secret")
    responses = sorted((folder / "to_client").iterdir())
    print(*client.decrypt(file.read_bytes() for file in responses))
assert not {"brevitas", "skorch", "sklearn"} & set(sys.modules)
"""
_SERVER = """
import sys
from pathlib import Path
from qnnprune.export import FheServer

circuit, received, sent = map(Path, sys.argv[1:])
server = FheServer.load(circuit)
server.accept_keys((received / "keys").read_bytes())
for request in sorted(received.glob("request*")):
    (sent / request.name).write_bytes(server.run(request.read_bytes()))
assert not {"brevitas", "skorch", "sklearn"} & set(sys.modules)
"""


def _python(code, *arguments):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(qnnprune.__file__))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_client_and_server_in_processes_of_their_own(encrypted, network, tmp_path):
    np.save(tmp_path / "X.npy", _ROWS[:2])
    encrypted.save_client(tmp_path / "client")
    encrypted.save_server(tmp_path / "elsewhere")
    sent, returned = tmp_path / "to_server", tmp_path / "to_client"
    sent.mkdir()
    returned.mkdir()
    _python(_CLIENT, "send", tmp_path)
    _python(_SERVER, tmp_path / "elsewhere", sent, returned)
    printed = _python(_CLIENT, "read", tmp_path)
    assert printed.split() == network.predict(_ROWS[:2]).tolist()


def test_the_client_gets_no_weights(folders, network):
    client, server = folders
    assert sorted(file.name for file in server.iterdir()) == ["server.zip"]
    hollow = qnnprune.IntegerNetwork.load(client / "network.npz")
    assert [layer.weight.any() for layer in hollow.layers] == [False]
    assert np.array_equal(hollow.quantize_input(_ROWS), network.quantize_input(_ROWS))


def test_decision_through_client_and_server(client, server, network):
    response = [server.run(request) for request in client.encrypt(_ROWS[:1])]
    assert np.array_equal(client.decrypt_decision(response), network.decision(_ROWS[:1]))


def test_messages_of_another_circuit_are_refused(tiny_network, client, server, tmp_path):
    other = compile_fhe(tiny_network(np.random.default_rng(7), n_features=5, n_w_bits=2))
    other.save_client(tmp_path / "client")
    stranger = FheClient.load(tmp_path / "client")
    stranger.keygen()
    with pytest.raises(ValueError, match="do not belong to this circuit"):
        server.accept_keys(stranger.evaluation_keys())
    request = stranger.encrypt(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="do not belong to this circuit"):
        server.run(request[0])
    with pytest.raises(ValueError, match="do not belong to this circuit"):
        client.decrypt(request)


def test_damaged_messages_are_refused(client, server):
    (request,) = client.encrypt(_ROWS[:1])
    for damaged in (b"", request[:20], request[:-9]):
        with pytest.raises(ValueError, match="The bytes"):
            server.run(damaged)
    with pytest.raises(ValueError, match="hold no EvaluationKeys"):
        server.accept_keys(request[:60])
    with pytest.raises(ValueError, match="hold no Value"):
        client.decrypt([request[:60]])


def test_a_server_without_keys_says_so(folders, client):
    with pytest.raises(ValueError, match="accept_keys"):
        FheServer.load(folders[1]).run(client.encrypt(_ROWS[:1])[0])


def test_folders_are_whole_or_not_there(encrypted, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for save in (encrypted.save_client, encrypted.save_server):
        for taken in ("full", "file", "none/of/this"):
            with pytest.raises(OSError):
                save(tmp_path / taken)
    encrypted.save_server(tmp_path / "empty")
    monkeypatch.setattr(os, "rename", None)
    with pytest.raises(TypeError):
        encrypted.save_client(tmp_path / "half")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_network_too_wide_for_lookups(tiny_network):
    network = tiny_network(np.random.default_rng(0), n_features=60, n_in_bits=8, n_w_bits=8)
    with pytest.raises(ValueError, match="at most 16: fit with .* n_accum_bits=16 or less"):
        compile_fhe(network)


def test_bad_arguments(network, encrypted):
    for p_error in (0, 1, -1e-9, float("nan")):
        with pytest.raises(ValueError, match="p_error=.* between 0 and 1"):
            compile_fhe(network, p_error=p_error)
    with pytest.raises(TypeError, match="faster"):
        compile_fhe(network, faster=True)
    with pytest.raises(ValueError, match="mode='guess' must be one of"):
        encrypted.predict(_ROWS, mode="guess")
    with pytest.raises(ValueError, match="3 columns"):
        encrypted.predict(_ROWS[:, :2])
    with pytest.raises(TypeError, match="neither an IntegerNetwork nor"):
        compile_fhe("network")


def test_an_unfitted_estimator():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="call fit first"):
        compile_fhe(PrunedNeuralNetClassifier())


def test_missing_concrete_names_the_extra(network, folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "concrete.fhe", None)
    for call in (
        lambda: compile_fhe(network),
        lambda: FheClient.load(folders[0]),
        lambda: FheServer.load(folders[1]),
    ):
        with pytest.raises(ImportError, match=r"pip install 'qnnprune\[fhe\]'"):
            call()


def test_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        FheClient.load(tmp_path)
    with pytest.raises(OSError):
        FheServer.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("network.npz", "PK"),
        ("codes.json", "{"),
        ("codes.json", "[]"),
        ("codes.json", json.dumps({"inputs": _INPUTS})),
        ("codes.json", json.dumps({"inputs": [0.5], "constant": _CONSTANT})),
        ("codes.json", json.dumps({"inputs": [99], "constant": _CONSTANT})),
        ("codes.json", json.dumps({"inputs": [], "constant": _CONSTANT})),
        ("codes.json", json.dumps({"inputs": _INPUTS, "constant": [0]})),
    ],
)
def test_damaged_folders(folders, tmp_path, name, text):
    shutil.copytree(folders[0], tmp_path / "client")
    (tmp_path / "client" / name).write_text(text)
    with pytest.raises(InvalidNetworkFileError):
        FheClient.load(tmp_path / "client")
