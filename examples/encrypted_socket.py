"""A client asks a server for predictions, and the server never sees a value.

    python examples/encrypted_socket.py

Both run on this machine, as two processes, and talk over a loopback socket.  The server
reads one folder with the circuit; the client reads another one, without a single weight.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import FheClient, FheServer, compile_fhe


def serve(folder: str) -> None:
    """Answer one client: first its evaluation keys, then row after row."""
    server = FheServer.load(folder)
    with Listener(("127.0.0.1", 0)) as listener:
        print(listener.address[1], flush=True)
        with listener.accept() as connection:
            server.accept_keys(connection.recv_bytes())
            while request := connection.recv_bytes():
                connection.send_bytes(server.run(request))


def ask(folder: Path, port: int, X) -> np.ndarray:
    """Labels of the rows of X, from a server that sees ciphertexts only."""
    client = FheClient.load(folder)
    client.keygen()
    with Client(("127.0.0.1", port)) as connection:
        connection.send_bytes(client.evaluation_keys())
        responses = []
        for request in client.encrypt(X):
            started = time.perf_counter()
            connection.send_bytes(request)
            responses.append(connection.recv_bytes())
            print(f"{len(request):,} bytes there, {len(responses[-1]):,} bytes back,", end=" ")
            print(f"{time.perf_counter() - started:.2f} s")
        connection.send_bytes(b"")
    return client.decrypt(responses)


def main() -> None:
    """Train, hand out the two folders, and let client and server talk."""
    X, y = load_iris(return_X_y=True)
    X, X_test, y, _ = train_test_split(X, y, random_state=1)
    estimator = PrunedNeuralNetClassifier((8,), n_accum_bits=5, random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        encrypted = compile_fhe(estimator)
        encrypted.save_client(f"{folder}/client")
        encrypted.save_server(f"{folder}/server")
        command = [sys.executable, __file__, f"{folder}/server"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            port = int(server.stdout.readline())
            answers = ask(Path(folder) / "client", port, X_test[:4])
    print("encrypted:", answers, " predict:", estimator.predict(X_test[:4]))


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) > 1 else main()
