"""Integer graphs as circuits of Concrete: the same integers, simulated and encrypted."""

import numpy as np
import pytest
from branching_graph import BIAS, SCALE, branching_graph, every_row, sums_by_hand
from oracles import width

from qnnprune import IntegerGraph
from qnnprune.exceptions import EncryptedCostWarning, InvalidNetworkFileError
from qnnprune.export import FheClient, FheServer, compile_fhe, encrypted_cost
from qnnprune.export.fhe import _cost
from qnnprune.integer._inputs import CodedInput
from qnnprune.integer._operations import Flatten, MaxPool, Sums, Thresholds
from qnnprune.integer._windows import Window

pytest.importorskip("concrete.fhe")


@pytest.fixture(scope="module")
def encrypted():
    return compile_fhe(branching_graph())


def by_hand(rows):
    return np.array([sums_by_hand(row) for row in rows.tolist()]) * SCALE + BIAS


def test_clear_and_simulated_equal_the_graph(encrypted):
    rows = every_row()
    assert np.array_equal(encrypted.decision(rows), by_hand(rows))
    some = rows[np.random.default_rng(0).permutation(len(rows))[:120]]
    assert np.array_equal(encrypted.decision(some, mode="simulate"), by_hand(some))


def test_encrypted_equals_the_graph(encrypted):
    rows = every_row()[[300]]
    assert np.array_equal(encrypted.decision(rows, mode="encrypted"), by_hand(rows))


def test_the_report_counts_what_concrete_does(encrypted):
    # 2 x 4 sums, two more for each of 2 x 2 maxima and one after, 2 x 2 sums; 3 outputs.
    report = encrypted.report
    assert report.neurons == (8, 8, 4, 4, 3)
    assert report.lookups == sum(report.neurons[:-1]) == 24
    assert report.table_bits == (4, 3, 3, 5)
    assert report.max_bits == max(report.sum_bits)


def test_estimates_are_what_concrete_finds(encrypted):
    cost, report = encrypted_cost(branching_graph()), encrypted.report
    assert (cost.lookups, cost.neurons) == (report.lookups, report.neurons)
    for size in ("sent_key_bytes", "held_key_bytes"):
        assert getattr(cost, size) == pytest.approx(getattr(report, size), rel=0.2)


CONVOLUTIONS = {
    "two axes": (3, 4, 1, (2, 3), (1, 1), (0, 0), (1, 1)),
    "border": (3, 4, 1, (3, 3), (2, 2), (1, 1), (1, 1)),
    "dilated": (2, 2, 1, (2, 2), (1, 1), (2, 1), (2, 1)),
    "grouped": (4, 6, 2, (2, 2), (1, 2), (0, 0), (1, 1)),
    "depthwise": (3, 3, 3, (3, 3), (1, 1), (1, 1), (1, 1)),
    "one axis": (3, 2, 1, (3,), (2,), (2,), (2,)),
    "one axis, grouped": (4, 4, 4, (2,), (1,), (1,), (1,)),
}


def convolution(name, rng):
    n_in, n_out, groups, size, *rest = CONVOLUTIONS[name]
    weight = rng.integers(-3, 4, (n_out, n_in // groups, *size))
    source = CodedInput((n_in, 6, 7)[: 1 + len(size)], np.array([[-2, 3]] * n_in))
    sums = Sums("conv", (0,), weight, Window(size, *rest), groups, outside=1)
    return IntegerGraph(source, [sums], scale=np.ones(n_out), bias=np.zeros(n_out))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    rng = np.random.default_rng(0)
    graph = convolution(name, rng)
    # Channels last in memory: a layout that Concrete reads in the wrong order.
    rows = np.moveaxis(
        rng.integers(-2, 4, (3, *graph.input.shape[1:], graph.input.shape[0])), -1, 1
    )
    encrypted = compile_fhe(graph)
    assert np.array_equal(encrypted.decision(rows, mode="simulate"), graph.run(rows))
    assert encrypted.report.lookups == 0
    proven = max(width(*ends) for ends in graph.ranges[1].tolist())
    assert proven - 1 <= encrypted.report.sum_bits[0] <= proven  # less where a shift saves a bit


@pytest.mark.parametrize("padding", [0, 1])
def test_maxima_of_two_axes(padding):
    rng = np.random.default_rng(1)
    window = Window((2, 3), (2, 1), (padding, padding), (1, 2))
    source = CodedInput((2, 5, 6), np.array([[-3, -1], [1, 4]]))
    graph = IntegerGraph(source, [MaxPool("pool", (0,), window)], scale=np.ones(2), bias=[0, 0])
    low, high = source.range.T[:, :, None, None]
    rows = rng.integers(low, high + 1, (4, 2, 5, 6))
    found = compile_fhe(graph).decision(rows, mode="simulate")
    assert found.shape == (4, *graph.shapes[-1])
    assert np.array_equal(found, graph.run(rows))


@pytest.mark.filterwarnings("ignore::qnnprune.exceptions.EncryptedCostWarning")
@pytest.mark.parametrize("kind", ["LeNet", "Signal", "Branches"])
def test_modules(kind):
    pytest.importorskip("brevitas")
    torch_modules = pytest.importorskip("torch_modules")
    from qnnprune.nn import to_integer_network

    module = torch_modules.trained(getattr(torch_modules, kind)())
    rows = torch_modules.inputs(module, 2)
    network = to_integer_network(module, rows)
    encrypted = compile_fhe(network)
    expected = network.decision(rows.numpy())
    assert np.array_equal(encrypted.decision(rows.numpy()), expected)
    assert np.array_equal(encrypted.decision(rows.numpy(), mode="simulate"), expected)
    assert encrypted.report.max_bits <= max(network.proven_bits, 4)


def test_client_and_server(encrypted, tmp_path):
    graph = branching_graph()
    rows = every_row()[[222]]
    encrypted.save_client(tmp_path / "client")
    encrypted.save_server(tmp_path / "server")
    assert sorted(file.name for file in (tmp_path / "client").iterdir()) == [
        "client.zip",
        "graph.npz",
        "model.json",
    ]
    with np.load(tmp_path / "client" / "graph.npz") as file:
        assert not any("weight" in name or "operations" in name for name in file)
    client, server = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    responses = [server.run(request) for request in client.encrypt(rows)]
    assert np.array_equal(client.decrypt_decision(responses), graph.run(rows))
    assert client.decrypt_decision([]).shape == (0, 3)


def classifier():
    """Images of 3 x 3 in floats, two filters, and the label of the larger last sum."""
    window = Window((3, 3), (1, 1), (0, 0), (1, 1))
    thresholds = np.array([[-0.5, 0.5, 1.5]], dtype=np.float32)
    weight = np.random.default_rng(0).integers(-1, 2, (2, 1, 3, 3))
    return IntegerGraph(
        CodedInput((1, 3, 3), np.array([[-1, 2]]), thresholds, np.array([-1]), np.array([1])),
        [Sums("conv", (0,), weight, window), Flatten("flat", (1,))],
        scale=[0.5, 1.0],
        bias=[0.0, -0.25],
        classes=["no", "yes"],
    )


def test_the_client_of_a_classifier(tmp_path):
    graph = classifier()
    images = np.random.default_rng(1).normal(size=(20, 1, 3, 3))
    compile_fhe(graph).save_client(tmp_path / "client")
    ends = FheClient.load(tmp_path / "client").ends
    sums = graph.values(graph.quantize_input(images))[-1].astype(np.int64)
    assert np.array_equal(ends.codes(images), graph.quantize_input(images))
    assert np.array_equal(ends.predictions(sums - ends.constant), graph.predict(images))


def test_damaged_ends_are_refused(encrypted, tmp_path):
    encrypted.ends.save(tmp_path)
    data = (tmp_path / "graph.npz").read_bytes()
    for end in range(0, len(data), 211):
        (tmp_path / "graph.npz").write_bytes(data[:end])
        with pytest.raises(InvalidNetworkFileError):
            type(encrypted.ends).load(tmp_path)


def test_a_dear_graph_warns_of_what_makes_it_cheaper(monkeypatch):
    monkeypatch.setattr(_cost, "_MOST_SECONDS", 1e-6)
    with pytest.warns(EncryptedCostWarning, match="channels and positions"):
        compile_fhe(small_steps())


def small_steps():
    steps = np.array([[0]]), np.array([-1]), np.array([1])
    operations = [Sums("sum", (0,), np.array([[1, -1]])), Thresholds("act", (1,), *steps)]
    return IntegerGraph(CodedInput((2,), np.array([[-2, 1]] * 2)), operations, scale=[1], bias=[0])


def test_sums_that_are_too_wide_are_refused_before_any_circuit():
    wide = np.full((1, 40), 100)
    graph = IntegerGraph(
        CodedInput((40,), np.array([[-128, 127]] * 40)),
        [Sums("wide", (0,), wide)],
        scale=[1.0],
        bias=[0.0],
    )
    with pytest.raises(ValueError, match="Layer 'wide' needs 20 bits"):
        compile_fhe(graph)
