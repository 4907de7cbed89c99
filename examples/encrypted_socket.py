"""Two clients ask one server for predictions, and the server never sees a value.

    python examples/encrypted_socket.py

All run on this machine, the server as a process of its own, and talk over loopback sockets.
The server reads one folder with the circuit; the clients read another one, without a single
weight.  Each client has keys of its own, and the server forgets them when the client leaves.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread

import numpy as np
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import FheClient, FheServer, compile_fhe


def serve(folder: str) -> None:
    """Answer clients, each in a thread of its own."""
    server = FheServer.load(folder)
    with Listener(("127.0.0.1", 0)) as listener:
        print(listener.address[1], flush=True)
        while True:
            Thread(target=answer, args=(server, listener.accept()), daemon=True).start()


def answer(server: FheServer, connection) -> None:
    """Take one client's evaluation keys, then row after row."""
    with connection:
        keys_id = server.accept_keys(connection.recv_bytes())
        try:
            while request := connection.recv_bytes():
                connection.send_bytes(server.run(request))
        finally:
            server.forget_keys(keys_id)


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
            seconds = time.perf_counter() - started
            print(f"{len(request):,} bytes there, {len(responses[-1]):,} back, {seconds:.2f} s")
        connection.send_bytes(b"")
    return client.decrypt(responses)


def main() -> None:
    """Train, hand out the two folders, and let two clients and the server talk."""
    X, y = load_iris(return_X_y=True)
    X, X_test, y, _ = train_test_split(X, y, random_state=1)
    estimator = PrunedNeuralNetClassifier((8,), n_accum_bits=5, random_state=0).fit(X, y)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as clients:
        encrypted = compile_fhe(estimator)
        print(encrypted.report)
        encrypted.save_client(f"{folder}/client")
        encrypted.save_server(f"{folder}/server")
        command = [sys.executable, __file__, f"{folder}/server"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port, asked = int(server.stdout.readline()), [X_test[:3], X_test[3:6]]
                client = partial(ask, Path(folder) / "client", port)
                answers = list(clients.map(client, asked))
            finally:
                server.terminate()
    print("encrypted:", np.concatenate(answers), " predict:", estimator.predict(X_test[:6]))


if __name__ == "__main__":
    serve(sys.argv[1]) if len(sys.argv) > 1 else main()
