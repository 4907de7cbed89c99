"""Ask a service about a few rows that it cannot read.

    python examples/encrypted_service/ask.py URL TOKEN_FILE FOLDER [--first 0] [--rows 3]

FOLDER holds client/iris and rows.csv, as prepare.py wrote them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from qnnprune.export import FheClient


def ask(url: str, token: str, folder: Path, first: int, n_rows: int, allow_http: bool) -> bool:
    """Print the predictions of some rows, and return whether they are those of ``predict``."""
    table = np.loadtxt(folder / "rows.csv", delimiter=",", skiprows=1, dtype=str)
    table = table[first : first + n_rows]
    rows, expected = table[:, :-1].astype(float), table[:, -1]
    client = FheClient.load(folder / "client" / "iris")
    client.keygen()
    with client.connect(url, token=token, allow_http=allow_http) as service:
        started = time.perf_counter()
        answers = service.predict(rows, progress=lambda done, _: print(f"row {first + done - 1}"))
        seconds = time.perf_counter() - started
        service.forget_keys()
    equal = bool((answers == expected).all())
    print(f"{', '.join(answers)}: equal to predict: {equal}, {seconds:.1f} s with the keys")
    return equal


def main() -> None:
    """Read the arguments, and end with 1 where an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("token", type=Path, help="file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument("--allow-http", action="store_true", help="on a network of one's own")
    args = parser.parse_args()
    token = args.token.read_text().strip()
    equal = ask(args.url, token, args.folder, args.first, args.rows, args.allow_http)
    raise SystemExit(0 if equal else 1)


if __name__ == "__main__":
    main()
