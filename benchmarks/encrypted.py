"""Encrypted prediction: does it equal `predict`, how accurate is it, and what does it cost?

    python benchmarks/encrypted.py [--rows 20] [--seeds 5] [--data FOLDER] [--output FILE]

Needs the extra `fhe` (constraints-fhe.txt).  Splits are 75/25, stratified for labels.  The
network of seed 0 is encrypted, and the first rows of its test part; accuracy is that of the
whole test part, over all seeds.  With --data the regression set is airfoil of that folder (an
.npz with X and y), instead of scikit-learn's diabetes.  Times are wall clock, on as many
threads as OMP_NUM_THREADS allows, or else on all cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import sets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from qnnprune import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor
from qnnprune.export import FheClient, FheServer, compile_fhe

N_ACCUM_BITS = 8
SETTINGS = {
    "digits": {
        "hidden_layer_sizes": (72,),
        "max_epochs": 100,
        "dropout": 0.2,
        "n_rounding_bits": 4,
    },
    "breast_cancer": {"hidden_layer_sizes": (32,), "n_rounding_bits": 4},
    "diabetes": {"hidden_layer_sizes": (32,), "n_rounding_bits": 4},
    "airfoil": {"hidden_layer_sizes": (96,), "n_rounding_bits": 3},
}
REGRESSION = {"diabetes", "airfoil"}


@contextmanager
def timed(found: dict, name: str):
    """Note the seconds that the block took."""
    started = time.perf_counter()
    yield
    found[name] = time.perf_counter() - started


def load(name: str, seed: int, folder: str | None):
    """Standardised training and test part."""
    if name == "airfoil":
        with np.load(Path(folder) / "airfoil.npz") as file:
            parts = train_test_split(file["X"], file["y"], random_state=seed)
    else:
        parts = sets.load(name, seed=seed)
    scaler = StandardScaler().fit(parts[0])
    return scaler.transform(parts[0]), scaler.transform(parts[1]), *parts[2:]


def fit(name: str, n_rounding_bits: int, options) -> list[tuple]:
    """A fitted estimator and its test part for every seed."""
    model = PrunedNeuralNetRegressor if name in REGRESSION else PrunedNeuralNetClassifier
    settings = SETTINGS[name] | {"n_accum_bits": N_ACCUM_BITS, "n_rounding_bits": n_rounding_bits}
    fitted = []
    for seed in range(options.seeds):
        X_train, X_test, y_train, y_test = load(name, seed, options.data)
        estimator = model(**settings, random_state=seed).fit(X_train, y_train)
        fitted.append((estimator, X_test, y_test))
    return fitted


def measure(fitted: list, rows: int) -> dict[str, object]:
    """Compile the first network, and predict the first rows of its test part encrypted."""
    network, X, y = fitted[0]
    found: dict[str, object] = {"score": spread(fitted)}
    found["score, this network"] = network.score(X, y)
    with timed(found, "compile, s"):
        encrypted = compile_fhe(network)
    report = encrypted.report
    found["neurons"] = " + ".join(map(str, report.neurons))
    found["bits"] = f"{report.max_bits} ({report.proven_bits})"
    found["table bits"] = ", ".join(map(str, report.table_bits))
    found["lookups"] = report.lookups
    equal = encrypted.predict(X, mode="simulate") == network.predict(X)
    found["simulated equal to predict"] = f"{np.sum(equal)} of {len(X)}"
    answers = _through_client_and_server(encrypted, X[:rows], found)
    equal = answers == network.predict(X[:rows])
    found["encrypted equal to predict"] = f"{np.sum(equal)} of {len(equal)}"
    return found


def _through_client_and_server(encrypted, X, found) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        encrypted.save_client(f"{folder}/client")
        encrypted.save_server(f"{folder}/server")
        client, server = FheClient.load(f"{folder}/client"), FheServer.load(f"{folder}/server")
    with timed(found, "key generation, s"):
        client.keygen()
    keys = client.evaluation_keys()
    found["keys, MB"] = len(keys) / 1e6
    server.accept_keys(keys)
    server.run(client.encrypt(X[:1])[0])  # unpacks the keys
    with timed(found, "encryption, ms a row"):
        requests = client.encrypt(X)
    cpu, clock, responses = time.process_time(), [time.perf_counter()], []
    for request in requests:
        responses.append(server.run(request))
        clock.append(time.perf_counter())
    found["encryption, ms a row"] *= 1000 / len(X)
    found["evaluation of a row, s: median"] = float(np.median(np.diff(clock)))
    found["fastest"] = float(np.diff(clock).min())
    found["CPU seconds"] = (time.process_time() - cpu) / len(X)
    found["request, kB"], found["response, kB"] = len(requests[0]) / 1e3, len(responses[0]) / 1e3
    return client.decrypt(responses)


def spread(fitted: list) -> str:
    """Accuracy or R² over the seeds, as mean ± sd."""
    scores = [estimator.score(X, y) for estimator, X, y in fitted]
    return f"{np.mean(scores):.3f} ± {np.std(scores):.3f}"


def rounding(by_bits: dict[int, list]) -> dict[str, str]:
    """What each number of removed bits costs and saves."""
    found, full = {}, None
    for n_bits, fitted in by_bits.items():
        complexity = compile_fhe(fitted[0][0]).circuit.complexity
        full = full or complexity
        found[str(n_bits)] = f"{spread(fitted)} ({complexity / full:.0%})"
    return found


def table(results: dict[str, dict], title: str) -> str:
    """Markdown: one column a set."""
    lines = [f"| {title} | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for key in next(iter(results.values())):
        cells = [found[key] for found in results.values()]
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


TEXT = """# Encrypted prediction

{rows} rows of each set, encrypted by a client, evaluated by a server that has the evaluation
keys alone, and decrypted.  Accumulators of {accum} bits, whose low bits no threshold depends on; a
lookup errs with a probability below 2^-40.  {machine}.

{table}

"score" is the accuracy, or R², of the whole test part, mean ± sd over {seeds} seeds; "bits" the
largest width in the circuit and, in brackets, the largest proven one; "table bits" what is left
of a sum once its low bits are removed; "lookups" are programmable bootstraps, those that remove
bits included.  Simulated: the whole test part.  A client's evaluation keys travel once.  Size
and dropout of the network for digits were chosen with such splits in view.

Concrete ML 1.9.0 on digits, on a machine of the same kind, not repeated here: accuracy .96 with
accumulators of 9 bits, observed on a calibration set, and 1,280 lookups: 20 to 31 s a row.

## What forgetting low bits costs, and saves

Score at each `n_rounding_bits`, and in brackets the operations that Concrete's optimizer counts,
as a share of those at 0.

{rounding}
"""


def machine() -> str:
    """Cores and instruction set, which is what the times depend on most."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    vector = next((name for name in ("avx512f", "avx2", "asimd") if name in flags), "no vectors")
    threads = os.environ.get("OMP_NUM_THREADS", os.cpu_count())
    return f"{threads} threads on {os.cpu_count()} cores ({vector})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", help="a folder with airfoil.npz")
    parser.add_argument("--output", help="also write the tables to this file")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    measured, losses = {}, {}
    for name in ["digits", "breast_cancer", "airfoil" if options.data else "diabetes"]:
        by_bits = {bits: fit(name, bits, options) for bits in range(N_ACCUM_BITS - 2)}
        losses[name] = rounding(by_bits)
        measured[name] = measure(by_bits[SETTINGS[name]["n_rounding_bits"]], options.rows)
        print(name, losses[name], measured[name], file=sys.stderr, flush=True)
    text = TEXT.format(
        rows=options.rows, seeds=options.seeds, accum=N_ACCUM_BITS,
        machine=machine(), table=table(measured, ""), rounding=table(losses, "bits"),
    )  # fmt: skip
    print(text)
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
