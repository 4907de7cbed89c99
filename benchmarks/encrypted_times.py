"""Times of encrypted rows for every network of encrypted_front.py, beside their estimates.

Needs the extra ``fhe`` (constraints-fhe.txt).  The network of seed 0 is compiled, and the first rows
of its test part go encrypted from a client to a server.  Right before, the speed of the machine is
measured anew, and `encrypted_cost` estimates the row with it.  Processor times are those of one
thread, medians; wall times are those of OMP_NUM_THREADS threads.  Other programs lengthen both,
wall times most: run it with OMP_NUM_THREADS=2 on two cores that nothing else uses.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from functools import cache, partial
from pathlib import Path

import numpy as np
from _runner import arguments, run
from encrypted_front import cells_of, fit
from threadpoolctl import threadpool_limits

from qnnprune.export import EncryptedSpeed, FheClient, FheServer, compile_fhe, encrypted_cost
from qnnprune.export.fhe._calibration import Calibration

_ROUNDS = 3  # of a calibration


def measure(set, hidden_layer_sizes, *, folder, n_rows, **widths) -> dict:
    """Estimated and measured times and sizes, and whether all rows equal `predict`."""
    warnings.simplefilter("ignore")
    network, X, _ = fit(set, folder, 0, hidden_layer_sizes, **widths)
    compiled, X = compile_fhe(network), X[:n_rows]
    client, server = deployed(compiled)
    started = time.process_time()
    client.keygen()
    found = {"keygen_s": time.process_time() - started}
    keys = client.evaluation_keys()
    server.accept_keys(keys)
    requests = client.encrypt(X)
    expected, simulated = network.predict(X), compiled.predict(X, mode="simulate")
    with threadpool_limits(1, user_api="openmp"):
        server.run(requests[0])  # unpacks the keys
        cost = encrypted_cost(network, speed=speed())
        seconds, responses = timed(server, requests, time.process_time)
    with threadpool_limits(threads(), user_api="openmp"):
        walls, _ = timed(server, requests, time.perf_counter)
    return found | {
        "threads": threads(),
        "keys_mb": len(keys) / 1e6,
        "request_kb": len(requests[0]) / 1e3,
        "response_kb": len(responses[0]) / 1e3,
        "row_cpu_s": seconds,
        "row_wall_s": walls,
        "estimated_core_s": cost.core_seconds_row,
        "estimated_keygen_s": cost.keygen_seconds,
        "estimated_keys_mb": cost.sent_key_bytes / 1e6,
        "simulated_equal": int(np.sum(simulated == expected)),
        "encrypted_equal": int(np.sum(client.decrypt(responses) == expected)),
        "encrypted_rows": len(X),
    }


def threads() -> int:
    """Threads of wall times."""
    return int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))


def deployed(compiled) -> tuple[FheClient, FheServer]:
    """A client and a server from their folders."""
    with tempfile.TemporaryDirectory() as place:
        client, server = Path(place) / "client", Path(place) / "server"
        compiled.save_client(client)
        compiled.save_server(server)
        return FheClient.load(client), FheServer.load(server)


@cache
def calibration() -> Calibration:
    """The circuits that tell how fast the machine is, and their keys."""
    from concrete import fhe

    return Calibration(fhe)


def speed() -> EncryptedSpeed:
    """Speed of the machine now."""
    return EncryptedSpeed(**calibration().rates(_ROUNDS), measured=True)


def timed(server, requests, clock) -> tuple[float, list[bytes]]:
    """Median seconds of a row, and the responses."""
    seconds, responses = [], []
    for request in requests:
        started = clock()
        responses.append(server.run(request))
        seconds.append(clock() - started)
    return float(np.median(seconds)), responses


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "encrypted_times", data=False)
    parser.add_argument("--data", help="folder of sets (DATASETS.md), for german_credit and mnist")
    parser.add_argument("--sets", nargs="+", help="some of the sets only")
    parser.add_argument("--rows", type=int, default=5)
    options = parser.parse_args()
    cells = cells_of(options.sets, options.data)
    one = partial(measure, folder=options.data, n_rows=options.rows)
    run(one, cells, options.output, ("concrete-python", "scikit-learn", "torch", "numpy"))


if __name__ == "__main__":
    main()
