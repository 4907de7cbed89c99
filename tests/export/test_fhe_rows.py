"""Raw rows of encrypted clients: frames, dicts, gaps and categories, of pipelines too."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qnnprune import IntegerNetwork
from qnnprune.accumulators import accumulator_range
from qnnprune.encoding import InputEncoding, fit_input_encoding
from qnnprune.export import FheClient, FheServer, compile_fhe
from qnnprune.integer import HiddenLayer, OutputLayer

pytest.importorskip("concrete.fhe")

NAMES = ["height", "town", "owner"]
TOWNS = np.array(["Bonn", "Ulm"])
ROWS = {
    "height": [150.0, 169.0, 170.0, None, 190.0, 171.0],
    "town": ["Ulm", "Bonn", "Rome", "Ulm", None, "Bonn"],
    "owner": [True, False, None, True, False, True],
}


def small_layers(encoding, seed=0):
    """Two layers with narrow sums."""
    rng = np.random.default_rng(seed)
    shape = (3, len(encoding.feature))
    weight = rng.integers(-1, 2, shape).astype(np.int8)
    low, high = accumulator_range(weight, encoding.input_range).T[:, :, None]
    thresholds = np.sort(rng.integers(low, high + 1, (3, 3)), axis=1)
    hidden = HiddenLayer(weight, encoding.input_range, thresholds, output_low=-2)
    output = OutputLayer(
        rng.integers(-1, 2, (3, 3)).astype(np.int8),
        np.tile([-2, 1], (3, 1)),
        scale=np.ones(3),
        bias=np.arange(3) / 8,
    )
    return [hidden, output]


@pytest.fixture(scope="module")
def network():
    thresholds = np.array([[160.0, 170.0, 180.0], [0.5, 1.5, np.inf], [0.5, 1.5, np.inf]])
    tables = (
        np.array([[-2, -2], [-1, -2], [0, -2], [1, -2], [0, 1]], dtype=np.int8),
        np.array([[1, -2], [-2, 1], [-2, -2]], dtype=np.int8),
        np.array([[-2], [1], [0]], dtype=np.int8),
    )
    categories = (None, TOWNS, np.array([False, True]))
    encoding = InputEncoding(
        thresholds, np.zeros(3, dtype=np.int64), 2, tables, categories, np.array([4, 2, 2])
    )
    return IntegerNetwork(
        encoding, small_layers(encoding), n_w_bits=2, n_accum_bits=8,
        classes=np.array(["x", "y", "z"]), feature_names=np.array(NAMES),
    )  # fmt: skip


@pytest.fixture(scope="module")
def deployed(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    encrypted = compile_fhe(network)
    encrypted.save_client(folder / "client")
    encrypted.save_server(folder / "server")
    client, server = FheClient.load(folder / "client"), FheServer.load(folder / "server")
    client.keygen()
    server.accept_keys(client.evaluation_keys())
    return encrypted, client, server


def tables():
    yield ROWS
    yield [list(row) for row in zip(*ROWS.values(), strict=True)]
    for library in ("pandas", "polars"):
        try:
            module = __import__(library)
        except ImportError:
            continue
        yield module.DataFrame(ROWS)


def test_every_kind_of_table(network, deployed):
    encrypted, client, server = deployed
    wanted = network.decision(ROWS)
    assert len(np.unique(wanted, axis=0)) > 2
    for rows in tables():
        np.testing.assert_array_equal(encrypted.decision(rows), wanted)
        np.testing.assert_array_equal(encrypted.decision(rows, mode="simulate"), wanted)
    responses = [server.run(request) for request in client.encrypt(ROWS)]
    np.testing.assert_array_equal(client.decrypt_decision(responses), wanted)
    assert client.decrypt(responses).tolist() == network.predict(ROWS).tolist()


def test_a_clients_files_carry_categories_and_no_weights(network, deployed):
    _, client, _ = deployed
    carried = client.ends.network
    assert carried.encoding.categories[1].tolist() == TOWNS.tolist()
    assert carried.encoding.missing_level.tolist() == [4, 2, 2]
    assert carried.feature_names.tolist() == NAMES
    assert not any(layer.weight.any() for layer in carried.layers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"town": [1.0] * 6}, "'town' holds numbers, but text was fitted"),
        ({"height": ["high"] * 6}, "'height' holds text, but numbers were fitted"),
        ({"height": [np.inf] * 6}, "'height' contains infinity"),
        ({"street": ["a"] * 6}, r"has the columns \['street'\]"),
        ({"owner": []}, "columns of different lengths"),
    ],
)
def test_wrong_columns_are_named_before_anything_is_encrypted(deployed, change, message):
    _, client, _ = deployed
    with pytest.raises(ValueError, match=message):
        client.encrypt(ROWS | change)
    with pytest.raises(ValueError, match=r"lacks the columns \['height'\]"):
        client.encrypt({name: ROWS[name] for name in NAMES[1:]})


class Fitted(StandardScaler):
    """An estimator that is not trained, at the end of a pipeline."""

    def fit(self, X, y=None):
        settings = {"n_segments": 1, "n_bits": 2, "random_state": None}
        encoding = fit_input_encoding(X, np.ones(len(X)), **settings)
        layers = small_layers(encoding)
        self.integer_network_ = IntegerNetwork(encoding, layers, n_w_bits=2, n_accum_bits=8)
        return self


def test_a_client_of_a_pipeline_takes_its_raw_rows(tmp_path):
    X = np.random.default_rng(0).normal(100, 20, (40, 3))
    pipeline = make_pipeline(StandardScaler(), Fitted()).fit(X)
    X[::5, 1] = np.nan
    compile_fhe(pipeline).save_client(tmp_path / "client")
    client = FheClient.load(tmp_path / "client")
    own = pipeline[-1].integer_network_
    codes = own.quantize_input(pipeline[0].transform(X))
    np.testing.assert_array_equal(client.ends.codes(X), codes[:, client.ends.inputs])
