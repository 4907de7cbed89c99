"""Keys that Concrete chooses for lookups, into a table that estimates of encrypted cost read.

Needs the extra ``fhe`` (constraints-fhe.txt).  Compiles circuits of four lookups at each width, and
makes no keys.  One row of the table holds up to ``output_bits``: the width of the next sum, and
half the binary logarithm of its sum of squared weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
TABLE = HERE.parent / "qnnprune" / "export" / "fhe" / "prices.csv"
P_ERROR = 2.0**-40
MOST_TABLE_BITS, MOST_REMOVED, MOST_OUTPUT_BITS = 10, 6, 16
MOST_ROUNDED_BITS = 5  # of a table after removed bits: wider ones share its keys
PARTS = 8  # of a bit of output: the resolution of the table
KEY = ("n", "k", "N", "levels", "from", "from_levels")


@cache
def keys(table_bits: int, n_removed: int, n_parts: int) -> tuple:
    """Keys of the lookup, and of the removal of a low bit (or None).

    `n_parts` is `PARTS` times the precision of the output, in bits.
    """
    from concrete import fhe

    n_bits, out_bits = table_bits + n_removed, max(2, n_parts // PARTS - 2)
    output = getattr(fhe, f"int{out_bits}")
    last = weights(round(4 ** (n_parts / PARTS - out_bits)))
    table = fhe.LookupTable([0] * 2 ** (n_bits - 1) + [-1] * 2 ** (n_bits - 1))
    table.output_dtype = output.dtype

    def circuit(codes):
        sums = codes @ np.eye(4, dtype=np.int64)
        if n_removed:
            sums = fhe.truncate_bit_pattern(sums, lsbs_to_remove=n_removed)
        return table[sums] @ last.T

    circuit.__annotations__["codes"] = fhe.tensor[getattr(fhe, f"int{n_bits}"), 4]
    configuration = fhe.Configuration(p_error=P_ERROR, compress_input_ciphertexts=True)
    found = fhe.circuit({"codes": "encrypted"}, configuration)(circuit)
    return of_specs(json.loads(found.client.specs.serialize())["keyset"], bool(n_removed))


def weights(total: int) -> np.ndarray:
    """Four weights whose squares have a sum, as a row; Lagrange says that there are some."""
    roots = range(int(total**0.5) + 1)
    return next(
        np.array([row])
        for row in itertools.product(roots, repeat=4)
        if sum(w * w for w in row) == total
    )


def of_specs(keyset: dict, removes: bool) -> tuple:
    """Numbers named by `KEY` of the table's keys, and of those that remove bits."""
    switches = {key["outputId"]: key["params"] for key in keyset["lweKeyswitchKeys"]}
    found = []
    for key in keyset["lweBootstrapKeys"]:
        params, switch = key["params"], switches[key["inputId"]]
        bootstrap = ("inputLweDimension", "glweDimension", "polynomialSize", "levelCount")
        before = ("inputLweDimension", "levelCount")
        found.append(tuple([params[n] for n in bootstrap] + [switch[n] for n in before]))
    return (found[-1], found[0] if removes else None)


def ranges(table_bits: int, n_removed: int) -> list[tuple[float, tuple]]:
    """Largest output bits at which each choice of keys holds, ascending."""
    found = []

    def search(low, high):
        same = keys(table_bits, n_removed, low) == keys(table_bits, n_removed, high)
        if low == high or same:
            found.append((high / PARTS, keys(table_bits, n_removed, high)))
        else:
            middle = (low + high) // 2
            search(low, middle)
            search(middle + 1, high)

    search(2 * PARTS, MOST_OUTPUT_BITS * PARTS)
    merged = [a for a, b in zip(found, [*found[1:], (0, None)], strict=True) if a[1] != b[1]]
    return merged


def main() -> None:
    """Write the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()
    rows = []
    for table_bits in range(2, MOST_TABLE_BITS + 1):
        most_removed = MOST_REMOVED if table_bits <= MOST_ROUNDED_BITS else 0
        for n_removed in range(most_removed + 1):
            for output_bits, (table, bit) in ranges(table_bits, n_removed):
                row = {"table_bits": table_bits, "removed_bits": n_removed}
                row |= {"output_bits": output_bits} | dict(zip(KEY, table, strict=True))
                row |= {f"bit_{n}": v for n, v in zip(KEY, bit or [""] * len(KEY), strict=True)}
                rows.append(row)
                print(row, flush=True)
    pd.DataFrame(rows).to_csv(options.output, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
