"""Encrypted prediction: does it equal ``predict``, how accurate is it, and what does it cost?

Needs the extra ``fhe`` (constraints-fhe.txt).  Splits are 75/25, stratified for labels.  The
network of seed 0 is encrypted, and the first rows of its test part; the score is that of the whole
test part, over all seeds.  Times are wall clock, on as many threads as OMP_NUM_THREADS allows, or
else on all cores.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import _data
import numpy as np
from _runner import arguments, run
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import FheClient, FheServer, compile_fhe

N_ACCUM_BITS = 8
ENCRYPTED_AT = 4  # rounding bits
SETTINGS = {
    "digits": {"hidden_layer_sizes": (72,), "max_epochs": 100, "dropout": 0.2},
    "breast_cancer": {"hidden_layer_sizes": (32,)},
    "diabetes": {"hidden_layer_sizes": (32,)},
}


@contextmanager
def timed(found: dict, name: str):
    """Note the seconds that the block took."""
    started = time.perf_counter()
    yield
    found[name] = time.perf_counter() - started


def fit(name: str, n_rounding_bits: int, seed: int):
    """A fitted estimator and its test part."""
    X_train, X, y_train, y = _data.load(name, seed=seed)
    scaler = StandardScaler().fit(X_train)
    make = PrunedNeuralNetRegressor if _data.is_regression(y) else PrunedNeuralNetClassifier
    bits = {"n_accum_bits": N_ACCUM_BITS, "n_rounding_bits": n_rounding_bits}
    estimator = make(**SETTINGS[name], **bits, random_state=seed)
    return estimator.fit(scaler.transform(X_train), y_train), scaler.transform(X), y


def measure(set, n_rounding_bits, *, n_rows, n_seeds) -> dict:
    """Score, operations relative to no rounding, and at 4 bits the costs of encrypted rows."""
    warnings.simplefilter("ignore")
    fitted = [fit(set, n_rounding_bits, seed) for seed in range(n_seeds)]
    scores = [estimator.score(X, y) for estimator, X, y in fitted]
    network, X, _ = fitted[0]
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
    found = {
        "threads": threads,
        "n_seeds": n_seeds,
        "score": np.mean(scores),
        "score_sd": np.std(scores),
    }
    with timed(found, "compile_s"):
        encrypted = compile_fhe(network)
    plain, *_ = fit(set, 0, 0) if n_rounding_bits else fitted[0]
    found["operations"] = encrypted.report.complexity / compile_fhe(plain).report.complexity
    if n_rounding_bits != ENCRYPTED_AT:
        return found
    report, expected = encrypted.report, network.predict(X)
    simulated = encrypted.predict(X, mode="simulate")
    found |= {
        "network_score": scores[0],
        "neurons": " + ".join(map(str, report.neurons)),
        "max_bits": report.max_bits,
        "proven_bits": report.proven_bits,
        "table_bits": max(report.table_bits),
        "lookups": report.lookups,
        "simulated_equal": int(np.sum(simulated == expected)),
        "simulated_rows": len(X),
    }
    answers = through_client_and_server(encrypted, X[:n_rows], found)
    found["encrypted_equal"] = int(np.sum(answers == expected[:n_rows]))
    return found | {"encrypted_rows": len(answers)}


def through_client_and_server(encrypted, X, found) -> np.ndarray:
    """Answers for rows that only the client can read."""
    with tempfile.TemporaryDirectory() as place:
        encrypted.save_client(Path(place) / "client")
        encrypted.save_server(Path(place) / "server")
        client = FheClient.load(Path(place) / "client")
        server = FheServer.load(Path(place) / "server")
    with timed(found, "keygen_s"):
        client.keygen()
    keys = client.evaluation_keys()
    server.accept_keys(keys)
    server.run(client.encrypt(X[:1])[0])  # unpacks the keys
    with timed(found, "encrypt_ms"):
        requests = client.encrypt(X)
    found["encrypt_ms"] *= 1000 / len(X)
    cpu, clock, responses = time.process_time(), [time.perf_counter()], []
    for request in requests:
        responses.append(server.run(request))
        clock.append(time.perf_counter())
    found |= {
        "keys_mb": len(keys) / 1e6,
        "row_s": np.median(np.diff(clock)),
        "row_min_s": np.diff(clock).min(),
        "row_cpu_s": (time.process_time() - cpu) / len(X),
        "request_kb": len(requests[0]) / 1e3,
        "response_kb": len(responses[0]) / 1e3,
    }
    return client.decrypt(responses)


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "encrypted", data=False)
    names = list(SETTINGS)
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    parser.add_argument("--bits", type=int, nargs="+", default=range(N_ACCUM_BITS - 2))
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    cells = [{"set": name, "n_rounding_bits": n} for name in options.sets for n in options.bits]
    one = partial(measure, n_rows=options.rows, n_seeds=options.seeds)
    run(one, cells, options.output, ("concrete-python", "scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()
