import copy
import itertools
import json
import os
import pickle
import stat
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import qnnprune
from qnnprune import PrunedNeuralNetClassifier
from qnnprune.exceptions import EncryptedCostWarning, InvalidNetworkFileError
from qnnprune.export import FheClient, FheServer, compile_fhe, encrypted_cost
from qnnprune.export.fhe import _cost
from qnnprune.export.fhe._cost import key_sizes
from qnnprune.export.fhe._ends import Ends
from qnnprune.export.fhe._messages import (
    EVALUATION_KEYS,
    REQUEST,
    RESPONSE,
    SECRET_KEYS,
    digest,
    seal,
    unseal,
)

Client = pytest.importorskip("concrete.fhe").Client

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
def neighbour(folders):
    """Another client of the same model, with keys of its own."""
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


_SUMS = {"n_output_sums": 3, "n_a_bits": 1}


@pytest.mark.parametrize(
    "shape", [{"n_hidden": ()}, {"n_in_bits": 1}, {"n_a_bits": 3}, {"n_a_bits": 1}, _SUMS]
)
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


@pytest.mark.parametrize("hidden", [(4,), (3, 2)])
def test_input_codes_that_skip_layers_cost_no_lookup(hidden, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    estimator = PrunedNeuralNetClassifier(
        hidden, n_accum_bits=5, n_input_segments=2, skip_connection=True, max_epochs=5,
        random_state=0,
    ).fit(X, X.sum(axis=1) > X[:, 0] ** 2)  # fmt: skip
    encrypted = compile_fhe(estimator)
    assert encrypted.report.lookups <= sum(hidden) * 2  # a removed bit, and the table
    assert encrypted.ends.n_copies == 2
    expected = estimator.integer_network_.decision(X)
    assert np.array_equal(encrypted.decision(X), expected)
    assert np.array_equal(encrypted.decision(X[:20], mode="simulate"), expected[:20])
    cost = encrypted_cost(estimator)
    assert (cost.lookups, cost.neurons) == (encrypted.report.lookups, encrypted.report.neurons)
    assert cost.sent_key_bytes == pytest.approx(encrypted.report.sent_key_bytes, rel=0.2)
    encrypted.save_client(tmp_path / "client")
    encrypted.save_server(tmp_path / "server")
    client, server = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    requests = client.encrypt(X[:2])
    assert cost.request_bytes == pytest.approx(len(requests[0]), rel=0.05)
    assert np.array_equal(client.decrypt_decision(map(server.run, requests)), expected[:2])


def test_a_network_that_reads_nothing_needs_no_lookup(network):
    constant = copy.deepcopy(network)
    constant.layers[-1].weight[:] = 0
    encrypted = compile_fhe(constant)
    assert encrypted.report.lookups == 0
    assert np.array_equal(encrypted.decision(_ROWS, mode="encrypted"), constant.decision(_ROWS))


def test_a_request_of_too_few_ciphertexts_is_refused(client, server):
    keys_id, body = unseal(client.encrypt(_ROWS[:1])[0], REQUEST, client.model_id)
    for forged, match in ((b"", "ciphertexts"), (body + body, "ciphertexts"), (body[:-1], "cut")):
        with pytest.raises(ValueError, match=match):
            server.run(seal(REQUEST, client.model_id, keys_id, forged))


def test_the_client_adds_up_the_sums_of_a_logit(tiny_network, tmp_path):
    labels = np.array(["ant", "bee"])
    network = tiny_network(np.random.default_rng(5), n_w_bits=2, classes=labels, **_SUMS)
    encrypted = compile_fhe(network)
    assert encrypted.report.neurons[-1] == 3  # what comes back are the proven sums
    bits = network.layers[-1].accumulator_bits.max()
    assert encrypted.report.sum_bits[-1] <= max(2, bits)
    encrypted.save_client(tmp_path / "client")
    encrypted.save_server(tmp_path / "server")
    client, server = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    responses = [server.run(request) for request in client.encrypt(_ROWS)]
    decision = client.decrypt_decision(responses)
    assert decision.shape == (3, 1) and np.array_equal(decision, network.decision(_ROWS))
    assert np.array_equal(client.decrypt(responses), network.predict(_ROWS))


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
    assert sorted(file.name for file in server.iterdir()) == ["model.json", "server.zip"]
    hollow = qnnprune.IntegerNetwork.load(client / "network.npz")
    assert [layer.weight.any() for layer in hollow.layers] == [False]
    assert np.array_equal(hollow.quantize_input(_ROWS), network.quantize_input(_ROWS))


def test_decision_through_client_and_server(client, server, network):
    response = [server.run(request) for request in client.encrypt(_ROWS[:1])]
    assert np.array_equal(client.decrypt_decision(response), network.decision(_ROWS[:1]))


def test_one_server_for_two_clients(folders, client, neighbour, network):
    server = FheServer.load(folders[1])
    first = server.accept_keys(client.evaluation_keys())
    second = server.accept_keys(neighbour.evaluation_keys())
    assert server.accept_keys(client.evaluation_keys()) == first != second
    requests = zip(client.encrypt(_ROWS), neighbour.encrypt(_ROWS), strict=True)
    responses = [[server.run(request) for request in pair] for pair in requests]
    for each, answers in zip((client, neighbour), zip(*responses, strict=True), strict=True):
        assert np.array_equal(each.decrypt(answers), network.predict(_ROWS))


def test_a_request_of_a_client_whose_keys_are_unknown(folders, client, neighbour, network):
    server = FheServer.load(folders[1])
    (request,), (other,) = client.encrypt(_ROWS[:1]), neighbour.encrypt(_ROWS[:1])
    with pytest.raises(ValueError, match="does not hold the keys .* accept_keys first"):
        server.run(request)
    keys_id = server.accept_keys(neighbour.evaluation_keys())
    with pytest.raises(ValueError, match="does not hold the keys .* accept_keys first"):
        server.run(request)
    assert neighbour.decrypt([server.run(other)])[0] == network.predict(_ROWS)[0]
    server.forget_keys(keys_id)
    with pytest.raises(ValueError, match=f"does not hold the keys {keys_id[:12]} of the request"):
        server.run(other)
    for unknown in (keys_id, "", b"1"):
        with pytest.raises(ValueError, match="There are no keys"):
            server.forget_keys(unknown)


def test_a_response_to_another_client(client, neighbour, server):
    (response,) = map(server.run, client.encrypt(_ROWS[:1]))
    for read in (neighbour.decrypt, neighbour.decrypt_decision):
        with pytest.raises(ValueError, match="made with the keys .* answers another client"):
            read([response])


def test_nobody_replaces_the_keys_of_another(client, neighbour, server, network):
    keys_id, _ = unseal(client.evaluation_keys(), EVALUATION_KEYS, client.parameters_id)
    _, body = unseal(neighbour.evaluation_keys(), EVALUATION_KEYS, client.parameters_id)
    with pytest.raises(ValueError, match="the id of other keys"):
        server.accept_keys(seal(EVALUATION_KEYS, client.parameters_id, keys_id, body))
    response = map(server.run, client.encrypt(_ROWS[:1]))
    assert client.decrypt(response)[0] == network.predict(_ROWS)[0]


def test_threads_share_a_server(folders, client, neighbour, network):
    server, expected = FheServer.load(folders[1]), network.predict(_ROWS).tolist()

    def use(own):
        keys_id = server.accept_keys(own.evaluation_keys())
        answers = own.decrypt(server.run(request) for request in own.encrypt(_ROWS))
        server.forget_keys(keys_id)
        return answers.tolist()

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(use, [client, neighbour])) == [expected] * 2


def test_new_keys_in_the_midst_of_an_encryption(folders, client, server, network, tmp_path):
    client.save_keys(tmp_path / "secret")
    busy = FheClient.load(folders[0])
    busy.load_keys(tmp_path / "secret")

    class KeysChange:
        n_copies = client.ends.n_copies

        def codes(self, X):
            busy.keygen()
            return client.ends.codes(X)

    busy.ends = KeysChange()
    responses = [server.run(request) for request in busy.encrypt(_ROWS[:1])]
    assert client.decrypt(responses)[0] == network.predict(_ROWS)[0]
    busy.ends = client.ends
    with pytest.raises(ValueError, match="a request from before keygen"):
        busy.decrypt(responses)


def _retrained(network, change):
    """A network of the same shape that differs in one thing."""
    other = copy.deepcopy(network)
    change(other)
    return other


def _swap_labels(network):
    network.classes = network.classes[::-1].copy()


def _name_features(network):
    network.feature_names = np.array(["a", "b", "c"])


def _swap_outputs(network):
    network.layers[-1].weight[:] = network.layers[-1].weight[::-1].copy()


def _shift_encoding(network):
    network.encoding.thresholds[:] += 0.25


def _shift_bias(network):
    network.layers[-1].bias[:] += 0.25


def _double_scale(network):
    network.layers[-1].scale[:] *= 2


@pytest.mark.parametrize(
    "change",
    [_swap_labels, _name_features, _swap_outputs, _shift_encoding, _shift_bias, _double_scale],
)
def test_models_of_one_shape_are_told_apart(network, encrypted, change):
    other = compile_fhe(_retrained(network, change))
    specs = [each.circuit.client.specs.serialize() for each in (encrypted, other)]
    assert specs[0] == specs[1]  # which is all that Concrete would compare
    assert other.model_id != encrypted.model_id


def test_one_network_is_one_model(network, encrypted, folders):
    again = compile_fhe(copy.deepcopy(network))
    assert again.model_id == encrypted.model_id
    assert FheClient.load(folders[0]).model_id == encrypted.model_id
    assert FheServer.load(folders[1]).model_id == encrypted.model_id
    assert compile_fhe(network, p_error=2**-20).model_id != encrypted.model_id


@pytest.fixture(scope="module")
def successor(network, tmp_path_factory):
    """Client and server of a network trained anew at the same shape."""
    folder = tmp_path_factory.mktemp("successor")
    encrypted = compile_fhe(_retrained(network, _shift_encoding))
    encrypted.save_client(folder / "client")
    encrypted.save_server(folder / "server")
    client, server = FheClient.load(folder / "client"), FheServer.load(folder / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    return client, server


def test_an_old_client_and_a_server_trained_anew(client, server, successor, tmp_path):
    new_client, new_server = successor
    (old,), (new,) = client.encrypt(_ROWS[:1]), new_client.encrypt(_ROWS[:1])
    for call, argument in (
        (new_server.run, old),
        (server.run, new),
        (client.decrypt, [new_server.run(new)]),
        (client.decrypt_decision, [new_server.run(new)]),
        (new_client.decrypt, [server.run(old)]),
    ):
        with pytest.raises(ValueError, match="for model .* clients need the new folder"):
            call(argument)


def test_keys_outlive_a_model_whose_successor_has_its_parameters(
    network, client, successor, tmp_path
):
    client.save_keys(tmp_path / "secret")
    new_client, server = successor
    updated = FheClient(new_client.ends, new_client._specs, new_client.model_id)
    assert updated.model_id != client.model_id and updated.parameters_id == client.parameters_id
    updated.load_keys(tmp_path / "secret")
    assert updated.evaluation_keys() == client.evaluation_keys()
    server.accept_keys(client.evaluation_keys())
    responses = [server.run(request) for request in updated.encrypt(_ROWS)]
    expected = _retrained(network, _shift_encoding)
    assert np.array_equal(updated.decrypt_decision(responses), expected.decision(_ROWS))


def test_keys_of_other_parameters_are_refused(client, server, grid_network, tmp_path):
    grid = compile_fhe(grid_network)
    grid.save_client(tmp_path / "client")
    grid.save_server(tmp_path / "server")
    other, elsewhere = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    client.save_keys(tmp_path / "secret")
    for call, argument in (
        (elsewhere.accept_keys, client.evaluation_keys()),
        (other.load_keys, tmp_path / "secret"),
    ):
        with pytest.raises(ValueError, match="for parameters .* make new keys"):
            call(argument)


def test_clients_of_a_circuit_without_lookups_are_told_apart(tiny_network, tmp_path):
    network = tiny_network(np.random.default_rng(0), n_hidden=())
    compiled = compile_fhe(network)
    compiled.save_client(tmp_path / "client")
    compiled.save_server(tmp_path / "server")
    first, second = (FheClient.load(tmp_path / "client") for _ in range(2))
    server = FheServer.load(tmp_path / "server")
    for each in (first, second):
        each.keygen()
        server.accept_keys(each.evaluation_keys())
    responses = [server.run(request) for request in first.encrypt(_ROWS)]
    assert np.array_equal(first.decrypt_decision(responses), network.decision(_ROWS))
    with pytest.raises(ValueError, match="answers another client"):
        second.decrypt(responses)


def test_keys_under_a_passphrase(client, folders, tmp_path):
    pytest.importorskip("cryptography")
    client.save_keys(tmp_path / "locked", passphrase="correct horse")
    client.save_keys(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "locked").stat().st_mode) == 0o600
    restarted = FheClient.load(folders[0])
    for name, passphrase, problem in (
        ("locked", None, "is locked: pass its passphrase"),
        ("locked", "wrong", "passphrase is wrong"),
        ("open", "correct horse", "has no passphrase"),
    ):
        with pytest.raises(ValueError, match=problem):
            restarted.load_keys(tmp_path / name, passphrase=passphrase)
    restarted.load_keys(tmp_path / "locked", passphrase="correct horse")
    assert restarted.evaluation_keys() == client.evaluation_keys()


def test_secret_keys_are_not_in_a_pickle(client):
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="may hold secret keys.*save_keys"):
            call(client)


def test_two_key_generations_share_no_seed(client, monkeypatch):
    seeds, generate = [], Client.keygen

    def noted(self, **given):
        seeds.extend(seed for name, seed in given.items() if name.endswith("seed"))
        generate(self, **given)

    monkeypatch.setattr(Client, "keygen", noted)
    again = FheClient(client.ends, client._specs, client.model_id)
    again.keygen()
    again.keygen()
    assert len(set(seeds)) == 4 and 0 not in seeds and max(seeds) > 2**100


def test_what_belongs_elsewhere_is_refused(client, server, tmp_path):
    client.save_keys(tmp_path / "secret")
    (request,) = client.encrypt(_ROWS[:1])
    messages = {
        "evaluation keys": client.evaluation_keys(),
        "a request": request,
        "a response": server.run(request),
        "secret keys": (tmp_path / "secret").read_bytes(),
    }

    def load_keys(message):
        (tmp_path / "file").write_bytes(message)
        client.load_keys(tmp_path / "file")

    calls = {
        "evaluation keys": server.accept_keys,
        "a request": server.run,
        "a response": lambda message: client.decrypt([message]),
        "secret keys": load_keys,
    }
    for found, wanted in itertools.permutations(messages, 2):
        with pytest.raises(ValueError, match=f"are {found}, but what belongs here is {wanted}"):
            calls[wanted](messages[found])


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"", lambda data: data[9:]]
)
def test_damaged_messages_are_refused(client, server, damage, tmp_path, capfd):
    (request,) = client.encrypt(_ROWS[:1])
    client.save_keys(tmp_path / "secret")
    (tmp_path / "damaged").write_bytes(damage((tmp_path / "secret").read_bytes()))
    for call, argument in (
        (server.run, damage(request)),
        (server.accept_keys, damage(client.evaluation_keys())),
        (client.decrypt, [damage(server.run(request))]),
        (client.load_keys, tmp_path / "damaged"),
    ):
        with pytest.raises(ValueError, match="The bytes"):
            call(argument)
    assert capfd.readouterr() == ("", "")  # Concrete would print its stack 15,000 times
    assert client.decrypt([server.run(request)]).shape == (1,)


def test_sealed_bytes_that_concrete_cannot_read(client, server, tmp_path):
    (request,) = client.encrypt(_ROWS[:1])
    keys_id, ciphertext = unseal(request, REQUEST, client.model_id)
    _, sums = unseal(server.run(request), RESPONSE, client.model_id)

    def refused(call, kind, body, keys_id=keys_id, belongs_to=client.model_id):
        with pytest.raises(ValueError, match="Concrete refuses the bytes"):
            call(seal(kind, belongs_to, keys_id, body))

    def load_keys(message):
        (tmp_path / "secret").write_bytes(message)
        client.load_keys(tmp_path / "secret")

    # The last of each: a whole ciphertext, of another shape.
    for body in (b"", b"ciphertext", ciphertext[:40], sums):
        refused(server.run, REQUEST, body)
    for body in (b"", b"sums", sums[:40], ciphertext):
        refused(lambda message: client.decrypt([message]), RESPONSE, body)
    keys = b"keys" * 20
    refused(server.accept_keys, EVALUATION_KEYS, keys, digest(keys), client.parameters_id)
    refused(load_keys, SECRET_KEYS, keys, keys_id, client.parameters_id)


def test_what_is_no_bytes_is_a_type_error(client, server):
    (request,) = client.encrypt(_ROWS[:1])
    for call in (server.run, server.accept_keys, lambda data: client.decrypt([data])):
        for wrong in ("text", None, 1, [request]):
            with pytest.raises(TypeError, match="A message is bytes, but got"):
                call(wrong)
    for read in (client.decrypt, client.decrypt_decision):
        with pytest.raises(TypeError, match=r"a list of responses.*\[response\]"):
            read(server.run(request))
    response = server.run(memoryview(bytearray(request)))
    assert client.decrypt([bytearray(response)]) == client.decrypt([response])


def test_a_client_without_keys_says_so(folders, server, client, tmp_path):
    fresh = FheClient.load(folders[0])
    response = server.run(client.encrypt(_ROWS[:1])[0])
    for call in (
        fresh.evaluation_keys,
        lambda: fresh.encrypt(_ROWS),
        lambda: fresh.decrypt([response]),
        lambda: fresh.save_keys(tmp_path / "secret"),
    ):
        with pytest.raises(ValueError, match=r"no keys yet: keygen\(\).*load_keys\(path\)"):
            call()
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        fresh.load_keys(tmp_path / "secret")


def test_saved_keys_are_the_same_keys(folders, client, server, network, tmp_path):
    client.save_keys(tmp_path / "secret")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        client.save_keys(tmp_path / "secret")
    restarted = FheClient.load(folders[0])
    restarted.load_keys(str(tmp_path / "secret"))
    assert restarted.evaluation_keys() == client.evaluation_keys()
    responses = [server.run(request) for request in client.encrypt(_ROWS[:1])]
    assert restarted.decrypt(responses)[0] == network.predict(_ROWS)[0]


def test_a_client_and_a_server_can_be_saved_again(folders, client, server, tmp_path):
    client.save(tmp_path / "client")
    server.save(tmp_path / "server")
    copied = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    assert {side.model_id for side in copied} == {client.model_id}
    for folder in folders:
        again = sorted(file.name for file in (tmp_path / folder.name).iterdir())
        assert again == sorted(file.name for file in folder.iterdir())


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
        with pytest.raises(ImportError) as raised:
            call()
        text = str(raised.value)
        assert "pip install -c constraints-fhe.txt 'qnnprune[fhe]'" in text
        assert "an environment of its own (numpy below 2)" in text


def test_missing_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        FheClient.load(tmp_path)
    with pytest.raises(OSError):
        FheServer.load(tmp_path)


@pytest.mark.parametrize("side", [0, 1])
def test_a_file_of_another_model_in_a_folder(folders, successor, tmp_path, side):
    kind = (FheClient, FheServer)[side]
    successor[side].save(tmp_path / "mixed")
    for file in folders[side].iterdir():
        if file.name != "model.json":
            whole = (tmp_path / "mixed" / file.name).read_bytes()
            (tmp_path / "mixed" / file.name).write_bytes(file.read_bytes())
            if whole != file.read_bytes():
                with pytest.raises(InvalidNetworkFileError, match=f"{file.name}.*copy the whole"):
                    kind.load(tmp_path / "mixed")
            (tmp_path / "mixed" / file.name).write_bytes(whole)
    assert kind.load(tmp_path / "mixed").model_id == successor[side].model_id


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("network.npz", "PK"),
        ("codes.json", "{"),
        ("codes.json", "[]"),
        ("codes.json", json.dumps({"inputs": _INPUTS, "copies": 1})),
        ("codes.json", json.dumps({"inputs": [0.5], "constant": _CONSTANT, "copies": 1})),
        ("codes.json", json.dumps({"inputs": [99], "constant": _CONSTANT, "copies": 1})),
        ("codes.json", json.dumps({"inputs": [], "constant": _CONSTANT, "copies": 1})),
        ("codes.json", json.dumps({"inputs": _INPUTS, "constant": [0], "copies": 1})),
        ("codes.json", json.dumps({"inputs": _INPUTS, "constant": _CONSTANT})),
        ("codes.json", json.dumps({"inputs": _INPUTS, "constant": _CONSTANT, "copies": 0})),
        ("codes.json", json.dumps({"inputs": _INPUTS, "constant": _CONSTANT, "copies": 1.5})),
    ],
)
def test_damaged_ends(encrypted, tmp_path, name, text):
    encrypted.ends.save(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidNetworkFileError):
        Ends.load(tmp_path)


def test_keys_have_the_reported_size(encrypted, client, grid_network):
    assert len(client.evaluation_keys()) == pytest.approx(encrypted.report.sent_key_bytes, rel=0.01)
    grid = compile_fhe(grid_network)
    grid.keygen()
    sent = len(grid.circuit.client.evaluation_keys.serialize())
    assert sent == pytest.approx(grid.report.sent_key_bytes, rel=0.01)


def test_keys_of_more_than_12_bits_have_the_size_that_they_had():
    # Concrete's choice for tables of 13 bits; its keys had 604,053,992 bytes, and a server's
    # memory grew by 1.26 GB in all.
    bootstrap = {"inputLweDimension": 766, "levelCount": 8, "glweDimension": 2}
    keyswitch = {"inputLweDimension": 2048, "levelCount": 15, "outputLweDimension": 766}
    packing = {"inputLweDimension": 2048, "levelCount": 3, "glweDimension": 2}
    keyset = {
        "lweBootstrapKeys": [{"params": bootstrap | {"polynomialSize": 1024}}],
        "lweKeyswitchKeys": [{"params": keyswitch}],
        "packingKeyswitchKeys": [{"params": packing | {"polynomialSize": 1024}}],
    }
    specs = SimpleNamespace(serialize=lambda: json.dumps({"keyset": keyset}))
    sent, held = key_sizes(specs)
    assert sent == pytest.approx(604_053_992, rel=1e-3)
    assert held == pytest.approx(1.26e9, rel=0.02)


def test_held_keys_are_those_that_concrete_counts(encrypted):
    # Concrete counts keys rightly where their GLWE dimension is 1.
    circuit = encrypted.circuit
    keyset = json.loads(circuit.client.specs.serialize())["keyset"]
    assert {key["params"]["glweDimension"] for key in keyset["lweBootstrapKeys"]} == {1}
    unpacked = circuit.size_of_bootstrap_keys + circuit.size_of_keyswitch_keys
    assert encrypted.report.held_key_bytes == encrypted.report.sent_key_bytes + unpacked


def test_the_cost_is_told_before_keys_are_made(network):
    with warnings.catch_warnings():
        warnings.simplefilter("error", EncryptedCostWarning)
        encrypted = compile_fhe(network)
    report = encrypted.report
    assert not encrypted.circuit.keys.are_generated
    assert report.complexity == encrypted.circuit.complexity
    text = str(report)
    assert (
        f"{report.lookups} lookups per row in tables of up to {max(report.table_bits)} bits" in text
    )
    assert f"{report.held_key_bytes / 1e6:.0f} MB in the server's memory" in text


def test_the_default_network_is_warned_of():
    X = np.random.default_rng(0).normal(size=(300, 20))
    y = X[:, :3].sum(axis=1) > 0
    estimator = PrunedNeuralNetClassifier(max_epochs=2, random_state=0).fit(X, y)
    with pytest.warns(EncryptedCostWarning) as caught:
        encrypted = compile_fhe(estimator)
    (warning,) = caught
    assert warning.filename == __file__
    text, report = str(warning.message), encrypted.report
    assert str(report) in text and "GB to send" in text
    for way_out in ("n_rounding_bits", "hidden_layer_sizes", "n_accum_bits"):
        assert way_out in text
    assert not encrypted.circuit.keys.are_generated
    # 8-bit tables took 0.355 s per lookup on two cores, and their keys 3.6 GB unpacked.
    assert report.core_seconds_row / report.lookups == pytest.approx(0.71, rel=0.25)
    assert report.held_key_bytes - report.sent_key_bytes == pytest.approx(3.6e9, rel=0.05)


def test_many_cheap_lookups_are_warned_of_too(encrypted, monkeypatch):
    monkeypatch.setattr(_cost, "_MOST_SECONDS", encrypted.report.core_seconds_row / 2)
    with pytest.warns(EncryptedCostWarning, match="hardly practical"):
        _cost.warn_of_cost(encrypted.report, stacklevel=1)
