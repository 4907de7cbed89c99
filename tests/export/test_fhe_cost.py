"""Estimates of encrypted cost, and the choice under a budget; what Concrete says is the oracle."""

import json
import platform
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.accumulators import code_range
from qnnprune.exceptions import EncryptedCostWarning
from qnnprune.export import (
    EncryptedSpeed,
    FheServer,
    best_under_seconds,
    compile_fhe,
    encrypted_cost,
    encrypted_seconds,
)
from qnnprune.export.fhe._calibration import Calibration
from qnnprune.export.fhe._client import FheClient
from qnnprune.export.fhe._lookups import lookup_network
from qnnprune.export.fhe._rows import row_of_network
from qnnprune.export.fhe._work import work_of
from qnnprune.integer import HiddenLayer, IntegerNetwork, OutputLayer


@pytest.fixture
def network(tiny_network):
    """Makes networks whose neurons read `fan_in` codes; thresholds a multiple of `grid` apart."""

    def make(sizes, fan_in, *, n_codes=1, grid=1, n_w_bits=2, n_features=30, n_outputs=3):
        rng = np.random.default_rng(0)
        start = tiny_network(rng, n_features=n_features, n_hidden=(), n_in_bits=n_codes)
        input_range, layers = start.encoding.input_range, []
        for n_out in (*sizes, n_outputs):
            weight = np.zeros((n_out, len(input_range)), dtype=np.int8)
            for row in weight:
                read = rng.choice(len(row), min(fan_in, len(row)), replace=False)
                row[read] = rng.choice([-1, 1], len(read)) * (2 ** (n_w_bits - 1) - 1)
            if len(layers) == len(sizes):
                one = {"scale": np.ones(n_out), "bias": np.zeros(n_out)}
                layers.append(OutputLayer(weight, input_range, **one))
                break
            codes = np.array(code_range(n_codes))
            thresholds = np.arange(2**n_codes - 1) * grid - grid * (2 ** (n_codes - 1) - 1)
            thresholds = np.tile(thresholds, (n_out, 1))
            layers.append(HiddenLayer(weight, input_range, thresholds, int(codes[0])))
            input_range = np.tile(codes, (n_out, 1))
        return IntegerNetwork(start.encoding, layers, n_w_bits=n_w_bits, n_accum_bits=16)

    return make


_NETWORKS = {
    "4 bits": ((8,), 15, {}),
    "5 bits, 1 removed": ((8,), 24, {}),
    "two layers": ((8, 6), 15, {}),
    "codes of 2 bits": ((8, 8), 5, {"n_codes": 2}),
    "two widths": ((12, 5), 30, {}),
    "removed bits": ((12,), 30, {"n_codes": 2, "grid": 8}),
    "removed bits twice": ((12, 12), 30, {"n_codes": 2, "grid": 4}),
    "three layers": ((8, 8, 8), 15, {}),
    "no hidden layer": ((), 20, {"n_codes": 2}),
    "wide": ((6,), 30, {"n_codes": 3}),
    "wider weights": ((6,), 10, {"n_w_bits": 3, "grid": 4, "n_codes": 2}),
}


@pytest.mark.filterwarnings("ignore::qnnprune.exceptions.EncryptedCostWarning")
@pytest.mark.parametrize("name", _NETWORKS)
def test_estimates_are_what_concrete_finds(network, name):
    pytest.importorskip("concrete.fhe")
    sizes, fan_in, settings = _NETWORKS[name]
    net = network(sizes, fan_in, **settings)
    cost, report = encrypted_cost(net), compile_fhe(net).report
    assert cost.lookups == report.lookups
    assert cost.neurons == report.neurons
    for size in ("sent_key_bytes", "held_key_bytes"):
        assert getattr(cost, size) == pytest.approx(getattr(report, size), rel=0.2)


def test_operations_are_those_that_concrete_counts(network):
    pytest.importorskip("concrete.fhe")
    # With one speed for all polynomials, time is a count of operations.
    speed = EncryptedSpeed(row={2048: 1.0}, keys=0.0, sums=0.0)
    nets = [network(*_NETWORKS[n][:2], **_NETWORKS[n][2]) for n in ("4 bits", "5 bits, 1 removed")]
    ours = [encrypted_cost(net, speed=speed).core_seconds_row for net in nets]
    theirs = [compile_fhe(net).report.complexity for net in nets]
    assert ours[1] / ours[0] == pytest.approx(theirs[1] / theirs[0], rel=0.2)


def test_sizes_of_messages(network, tmp_path):
    pytest.importorskip("concrete.fhe")
    net = network((3,), 6, n_features=8)
    cost, encrypted = encrypted_cost(net), compile_fhe(net)
    encrypted.save_client(tmp_path / "client")
    encrypted.save_server(tmp_path / "server")
    client, server = FheClient.load(tmp_path / "client"), FheServer.load(tmp_path / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    (request,) = client.encrypt(np.zeros((1, 8)))
    assert cost.request_bytes == pytest.approx(len(request), rel=0.05)
    assert cost.response_bytes == pytest.approx(len(server.run(request)), rel=0.05)


def test_lookups_by_width(network):
    # 24 weights of 1 on codes -1..0 need 5 bits, of which a single threshold lets one go.
    cost = encrypted_cost(network((8,), 24))
    assert cost.lookups_by_bits == {1: 8, 4: 8} and cost.lookups == 16
    assert cost.neurons == (8, 3) and not cost.out_of_reach
    assert "16 lookups per row (8 of 1 bits, 8 of 4 bits)" in str(cost)
    free = encrypted_cost(network((), 24))
    assert (free.lookups, free.sent_key_bytes) == (0, 0)
    assert 0 < free.seconds_row < 0.01 * cost.seconds_row
    assert "sums alone" in str(free)


def test_time_is_shared_by_cores_and_follows_the_speed(network):
    rates = {"keys": 5.0, "sums": 7.0, "keygen": 3.0}
    net, slow = network((8,), 24), EncryptedSpeed(row={2048: 1.0, 256: 2.0}, **rates)
    cost = encrypted_cost(net, speed=slow, n_cores=4)
    assert cost.seconds_row == cost.core_seconds_row / 4
    assert cost.keygen_seconds == 3 * cost.sent_key_bytes
    twice = replace(slow, row={size: 2 * rate for size, rate in slow.row.items()}, keys=10, sums=14)
    assert encrypted_cost(net, speed=twice).core_seconds_row == 2 * cost.core_seconds_row
    with pytest.raises(ValueError, match="n_cores=0"):
        encrypted_cost(net, n_cores=0)


def test_each_bit_and_each_neuron_costs(network):
    costs = [encrypted_cost(network((8,), fan_in, n_codes=2)) for fan_in in (5, 10, 20)]
    for one, wider in zip(costs, costs[1:], strict=False):
        assert wider.core_seconds_row > 1.5 * one.core_seconds_row
        assert wider.sent_key_bytes > 1.5 * one.sent_key_bytes
    more = encrypted_cost(network((16,), 5, n_codes=2))
    each = [cost.core_seconds_row / cost.neurons[0] for cost in (costs[0], more)]
    assert more.neurons[0] > costs[0].neurons[0] and each[1] < each[0]  # keys are shared
    assert more.sent_key_bytes == costs[0].sent_key_bytes


def test_sums_that_no_lookup_takes_are_refused_before_their_tables_are_made(tiny_network):
    net = tiny_network(np.random.default_rng(0), n_in_bits=8, n_w_bits=8)
    net.layers[0].weight[:] = 127
    with pytest.raises(ValueError, match="sums of 17 bits, but lookups"):
        encrypted_cost(net)


def test_out_of_reach_is_what_compiling_warns_of(network):
    pytest.importorskip("concrete.fhe")
    net = network((4,), 30, n_codes=3)
    assert encrypted_cost(net).out_of_reach
    with pytest.warns(EncryptedCostWarning):
        compile_fhe(net)


def test_a_measured_speed_is_kept(tmp_path, monkeypatch):
    usual, path = EncryptedSpeed.known(tmp_path / "none"), tmp_path / "cache" / "speed.json"
    assert not usual.measured and usual == EncryptedSpeed()
    pytest.importorskip("concrete.fhe")
    found = {"row": {512: 2e-10, 2048: 1e-10}, "keys": 5e-10, "sums": 3e-10, "keygen": 4e-8}
    monkeypatch.setattr(
        "qnnprune.export.fhe._speed.Calibration", lambda fhe: SimpleNamespace(rates=lambda: found)
    )
    speed = EncryptedSpeed.measure(path)
    assert speed == EncryptedSpeed(**found, measured=True) == EncryptedSpeed.known(path)
    known = json.loads(path.read_text())
    path.write_text(json.dumps({"elsewhere": known[platform.node()]}))
    assert not EncryptedSpeed.known(path).measured


def test_a_calibration_finds_the_rates_that_its_rows_take(monkeypatch):
    pytest.importorskip("concrete.fhe")
    truth = EncryptedSpeed(
        {256: 3e-10, 512: 2e-10, 1024: 1e-10, 2048: 2e-10, 4096: 1e-10, 8192: 3e-10},
        7e-10,
        1e-9,
        5e-8,
    )
    clock = _FalseClock(truth)
    monkeypatch.setattr("qnnprune.export.fhe._calibration.compile_lookups", clock.compiled)
    monkeypatch.setattr("qnnprune.export.fhe._calibration._cpu_seconds", clock.seconds)
    found = EncryptedSpeed(**Calibration(None).rates())
    assert found.row == pytest.approx(truth.row, rel=1e-6)
    rates = [(s.keys, s.sums, s.keygen) for s in (found, truth)]
    assert rates[0] == pytest.approx(rates[1], rel=1e-6)


class _FalseClock:
    """Circuits that do nothing, and a clock that says what they would take at some speed."""

    def __init__(self, speed):
        self.speed, self.last = speed, 0.0

    def compiled(self, fhe, network, p_error, **options):
        work = work_of(row_of_network(network))

        def keygen(force):
            self.last = self.speed.keygen * sum(keys.sent_bytes for keys in work.keys)

        def run(row):
            self.last = self.speed.seconds(work)

        return SimpleNamespace(keygen=keygen, run=run, encrypt=lambda row: row)

    def seconds(self, call):
        call()
        return self.last


def test_what_a_row_consists_of(network):
    # One layer of 4-bit tables, and sums of 8 codes for each of 3 outputs.
    work = work_of(row_of_network(lookup_network(network((8,), 15))))
    (keys,) = work.keys
    assert work.operations == {keys.polynomial: 8 * keys.operations}
    assert work.key_bytes == 8 * keys.small * keys.levels * (keys.glwe + 1) ** 2 * keys.polynomial
    sent = len(lookup_network(network((8,), 15)).inputs)
    assert work.products == 8 * sent * keys.large + 3 * 8 * keys.output


@pytest.mark.parametrize("text", ["", "[]", "{", '{"HERE": 1}', '{"HERE": {"row": {}}}'])
def test_a_damaged_file_of_speeds_counts_as_none(tmp_path, text):
    path = tmp_path / "speed.json"
    path.write_text(text.replace("HERE", platform.node()))
    assert EncryptedSpeed.known(path) == EncryptedSpeed()


def test_the_file_of_speeds_is_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert EncryptedSpeed.file() == tmp_path / "qnnprune" / "encrypted_speed.json"


class _Fixed:
    """An estimator that scores and costs what it is told."""

    def __init__(self, worth=0.0, seconds=0.0):
        self.worth, self.seconds = worth, seconds

    def get_params(self, deep=True):
        return {"worth": self.worth, "seconds": self.seconds}

    def fit(self, X, y):
        self.n_rows_ = len(X)
        return self

    def score(self, X, y):
        return self.worth


def test_the_best_within_the_budget():
    X, y = np.zeros((50, 1)), np.arange(50) % 2
    nets = [_Fixed(0.7, 1.0), _Fixed(0.9, 5.0), _Fixed(0.8, 2.0)]

    def cost(net):
        return net.seconds

    found = best_under_seconds(nets, X, y, 2.0, cost=cost, random_state=0)
    assert found.best_index == 2 and found.best_estimator.worth == 0.8
    assert found.best_estimator.n_rows_ == 40 and not hasattr(nets[2], "n_rows_")
    assert found.costs.tolist() == [1, 5, 2]
    assert np.array_equal(found.scores, [0.7, np.nan, 0.8], equal_nan=True)
    own = best_under_seconds(nets, X, y, 9.0, X_val=X[:3], y_val=y[:3], cost=cost)
    assert own.best_index == 1 and own.best_estimator.n_rows_ == 50
    with pytest.raises(ValueError, match=r"max_seconds=0.5 .*the cheapest of 3 costs 1"):
        best_under_seconds(nets, X, y, 0.5, cost=cost)
    with pytest.raises(ValueError, match="none"):
        best_under_seconds([], X, y, 0.5, cost=cost)


def test_the_cost_of_a_fitted_estimator():
    X = np.random.default_rng(0).normal(size=(60, 3))
    net = PrunedNeuralNetClassifier((5,), n_accum_bits=5, max_epochs=2, random_state=0)
    net.fit(X, X[:, 0] > 0)
    assert encrypted_seconds(net) == encrypted_cost(net.integer_network_).seconds_row > 0
