"""Train a network, and write the folders of server and client.

    python examples/encrypted_service/prepare.py FOLDER

FOLDER/server/iris/1 is for the service, FOLDER/client for every client, and FOLDER/rows.csv has rows
to ask about, with what ``predict`` says of them.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import compile_fhe


def prepare(folder: Path) -> None:
    """Write everything that service and clients need."""
    data = load_iris()
    X, X_test, y, _ = train_test_split(data.data, data.target_names[data.target], random_state=1)
    net = PrunedNeuralNetClassifier((8,), n_accum_bits=5, random_state=0).fit(X, y)
    encrypted = compile_fhe(net)
    print(encrypted.report)
    for place in ("server/iris", "client"):
        (folder / place).mkdir(parents=True)
    encrypted.save_server(folder / "server" / "iris" / "1")
    encrypted.save_client(folder / "client" / "iris")
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*data.feature_names, "predict"])
        rows = zip(X_test.tolist(), net.predict(X_test), strict=True)
        writer.writerows([*row, label] for row, label in rows)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
