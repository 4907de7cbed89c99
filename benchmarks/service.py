"""A service of encrypted prediction under load, and under faults: is anything wrong or lost?

Needs the extra ``serve`` (constraints-fhe.txt), pandas and joblib.  A service with two workers of one
thread each, and clients over loopback with keys of their own.  In a cell of load every client asks for
one row after the other.  In a cell of a fault, another client asks meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import _data
import httpx
import numpy as np
from _runner import arguments, run

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.exceptions import ServiceError
from qnnprune.export import FheClient, compile_fhe
from qnnprune.service._frames import pack_rows, unpack_outcomes

CLIENTS = (1, 4, 16)
_WORKERS = 2
_OPTIONS = ("--workers", str(_WORKERS), "--body-seconds", "2", "--owner-keys", "32")


class Service:
    """``qnnprune serve`` as a process, with a network for breast cancer and one retrained."""

    def __init__(self, folder: Path):
        self.folder, self.state = folder, folder / "state"
        X, self.X, y, _ = _data.load("breast_cancer", seed=0)
        self.models = {}
        for seed, name in enumerate(("served", "other")):
            net = PrunedNeuralNetClassifier(
                (12,), n_accum_bits=6, n_rounding_bits=2, random_state=seed
            )
            compiled = compile_fhe(net.fit(X, y))
            self.models[name] = net
            compiled.save_client(folder / f"{name}-client")
            if name == "served":
                compiled.save_server(folder / "server")
        self.expected = self.models["served"].predict(self.X)
        self.start()

    def start(self) -> None:
        """Start the process, and wait until it listens."""
        command = [sys.executable, "-W", "ignore", "-m", "qnnprune", "serve"]
        command += [
            str(self.folder / "server"),
            "--state",
            str(self.state),
            "--port",
            "0",
            *_OPTIONS,
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        lines = iter(self.process.stdout.readline, "")
        self.url = next(line.split()[-1] for line in lines if "serving at" in line)
        self.token = (self.state / "client.token").read_text()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=120)

    def client(self, name: str = "served") -> FheClient:
        """A client with new keys."""
        client = FheClient.load(self.folder / f"{name}-client")
        client.keygen()
        return client

    def processes(self) -> list[int]:
        """The service and its workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = [(task / "children").read_text().split() for task in tasks]
        return [self.process.pid, *(int(pid) for each in children for pid in each)]

    def memory(self) -> int:
        """Bytes that service and workers hold."""
        pages = [Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.processes()]
        return sum(map(int, pages)) * resource.getpagesize()

    def put_keys(self, client: FheClient) -> None:
        """Send keys by hand."""
        keys = client.evaluation_keys()
        self.http.put(f"/v1/keys/{client.keys_id}", content=keys).raise_for_status()

    def put_rows(self, rows) -> tuple[str, httpx.Response]:
        """Send a batch by hand; its path and the answer."""
        path = f"/v1/jobs/{token_hex(16)}"
        data = rows if isinstance(rows, bytes) else pack_rows(rows)
        return path, self.http.put(path, content=data)

    def outcomes(self, path: str, n_rows: int) -> list:
        """All outcomes of a batch."""
        found: list = []
        while len(found) < n_rows:
            query = {"first": len(found), "wait": 20}
            answer = self.http.get(f"{path}/outcomes", params=query)
            found += unpack_outcomes(answer.raise_for_status().content)
        return found

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@contextmanager
def serving():
    """A service in a folder of its own."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder))
        try:
            yield service
        finally:
            service.stop()


def ask(service: Service, rows, client: FheClient) -> dict:
    """Rows one after the other: their times, and how many answers are right, wrong, or errors."""
    found = {"seconds": [], "right": 0, "wrong": 0, "errors": 0}
    with client.connect(service.url, token=service.token, patience=300) as remote:
        for row in rows:
            started = time.perf_counter()
            try:
                right = remote.predict(service.X[row : row + 1])[0] == service.expected[row]
                found["right" if right else "wrong"] += 1
            except ServiceError:
                found["errors"] += 1
            found["seconds"].append(time.perf_counter() - started)
    return found


def load(service: Service, n_clients: int, n_rows: int) -> dict:
    """Throughput, latency and memory; the first row of each client, with its keys, is left out."""
    before = service.memory()
    clients = [service.client() for _ in range(n_clients)]
    with ThreadPoolExecutor(n_clients) as threads:
        list(threads.map(partial(ask, service, [0]), clients))
        grown = service.memory() - before
        parts = np.array_split(np.arange(n_rows) % len(service.X), n_clients)
        started = time.perf_counter()
        found = list(threads.map(partial(ask, service), parts, clients))
        seconds = time.perf_counter() - started
    times = np.concatenate([each["seconds"] for each in found])
    return {
        "rows_s": len(times) / seconds,
        "p50_s": np.percentile(times, 50),
        "p99_s": np.percentile(times, 99),
        "memory_mb": grown / n_clients / 1e6,
        **{name: sum(each[name] for each in found) for name in ("right", "wrong", "errors")},
    }


def _refusal(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['error']}"


def _texts(outcomes) -> str:
    texts = {outcome.body.decode() for outcome in outcomes if not outcome.ok}
    count = f"{sum(outcome.ok for outcome in outcomes)} of {len(outcomes)} rows"
    return "; ".join([count, *sorted(texts)])


def _begun(service: Service, length: int) -> str:
    """The answer to a request whose body begins and never ends: its status, and the reason."""
    address = urlsplit(service.url)
    lines = [f"PUT /v1/jobs/{'0' * 32} HTTP/1.1", "Host: x", f"Content-Length: {length}"]
    lines += [f"Authorization: Bearer {service.token}", "", "a few bytes"]
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        head, _, body = connection.makefile("rb").read().decode().partition("\r\n\r\n")
    return f"{head.split()[1]} {json.loads(body)['error']}"


def stalled(service: Service, client: FheClient) -> str:
    """A part of a body, and then nothing."""
    return _begun(service, 1000)


def oversized(service: Service, client: FheClient) -> str:
    """A header that announces a gigabyte."""
    return _begun(service, 10**9)


def garbage(service: Service, client: FheClient) -> str:
    """Random bytes."""
    return _refusal(service.put_rows([os.urandom(1000)])[1])


def truncated(service: Service, client: FheClient) -> str:
    """A row without its end."""
    return _refusal(service.put_rows([client.encrypt(service.X[:1])[0][:-1]])[1])


def other_model(service: Service, client: FheClient) -> str:
    """A row of a model that is not served."""
    return _refusal(service.put_rows(service.client("other").encrypt(service.X[:1]))[1])


def other_keys(service: Service, client: FheClient) -> str:
    """A row whose keys were never sent."""
    return _refusal(service.put_rows(service.client().encrypt(service.X[:1]))[1])


def killed_worker(service: Service, client: FheClient) -> str:
    """Both workers end while they compute."""
    service.put_keys(client)
    path, _ = service.put_rows(client.encrypt(service.X[:8]))
    while not service.http.get(path).json()["done"]:
        time.sleep(0.01)
    for pid in service.processes()[1:]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return _texts(service.outcomes(path, 8))


def full_disk(service: Service, client: FheClient) -> str:
    """Files cannot grow."""
    pid, unlimited = service.process.pid, (resource.RLIM_INFINITY,) * 2
    service.put_keys(client)
    rows = client.encrypt(service.X[:1])
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, unlimited[1]))
    try:
        return _refusal(service.put_rows(rows)[1])
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


def killed_service(service: Service, client: FheClient) -> str:
    """The service ends with rows that it accepted, and starts again."""
    service.put_keys(client)
    path, answer = service.put_rows(client.encrypt(service.X[:4]))
    answer.raise_for_status()
    service.process.kill()
    service.process.wait()
    service.start()
    outcomes = service.outcomes(path, 4)
    right = (client.decrypt([each.body for each in outcomes]) == service.expected[:4]).all()
    return _texts(outcomes) + f"; equal to predict: {right}; keys sent again: no"


FAULTS = [stalled, oversized, garbage, truncated, other_model, other_keys, killed_worker, full_disk,
          killed_service]  # fmt: skip


def fault(service: Service, name: str, n_rows: int) -> dict:
    """What a fault gives, and what another client gets meanwhile."""
    act = {each.__name__: each for each in FAULTS}[name]
    if act is killed_service:  # nobody is asked at an address that will change
        return {"outcome": act(service, service.client())}
    with ThreadPoolExecutor(1) as threads:
        beside = threads.submit(ask, service, range(n_rows), service.client())
        outcome = act(service, service.client())
        found = beside.result()
    return {"outcome": outcome} | {name: found[name] for name in ("right", "wrong", "errors")}


def measure(case, clients, *, n_rows) -> dict:
    """One cell."""
    with serving() as service:
        if case == "load":
            return load(service, clients, n_rows)
        return fault(service, case, max(4, n_rows // 8))


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "service", data=False)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    names = [each.__name__ for each in FAULTS]
    parser.add_argument("--faults", nargs="*", choices=names, default=names)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    cells = [{"case": "load", "clients": n} for n in options.clients]
    cells += [{"case": name, "clients": 1} for name in options.faults]
    packages = ("concrete-python", "starlette", "uvicorn", "numpy")
    run(partial(measure, n_rows=options.rows), cells, options.output, packages)


if __name__ == "__main__":
    main()
