"""C from `to_c`, compiled into a library, on rows of the network's columns."""

import ctypes
import subprocess

import numpy as np
import pandas as pd

from qnnprune.export import to_c

_WRAPPER = """#include "net.h"
void run(const net_row *row, int n, net_sum_t *sum, double *decision);
void run(const net_row *row, int n, net_sum_t *sum, double *decision)
{
    for (int i = 0; i < n; i++, decision += NET_N_VALUES) {
        net_raw(row + i, sum);
        net_decision(sum, decision);
    }
}
"""
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]


def decisions(model, network, rows, folder, types="float"):
    """Decisions of compiled C for a DataFrame of raw rows, all numbers of one type.

    Categories are their places in ``network.encoding.categories``, others and gaps the two numbers
    after these: that is what the enums of a header say.
    """
    text = to_c(model, folder / "net.h", prefix="net", input=types, row="struct").text
    fields = text[text.index("typedef struct {") : text.index("} net_row;")]
    packed = _packed(network.encoding, rows, fields)
    (folder / "net.c").write_text(_WRAPPER)
    command = ["gcc", *FLAGS, folder / "net.c", "-o", folder / "net.so"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]
    output = network.layers[-1]
    found, sums = np.full((len(rows), output.n_logits), np.nan), np.zeros(len(output.weight))
    at = [ctypes.c_void_p(array.ctypes.data) for array in (packed, sums, found)]
    ctypes.CDLL(str(folder / "net.so")).run(at[0], len(rows), *at[1:])
    return found


_TYPES = {"float": "f4", "double": "f8", "uint8_t": "u1", "uint16_t": "u2"}


def _packed(encoding, rows, fields):
    lines = [line.split() for line in fields.splitlines() if line.startswith("    ")]
    kinds = [(line[1].rstrip(";"), _TYPES[line[0]]) for line in lines]
    assert len(kinds) == rows.shape[1]
    packed = np.zeros(len(rows), np.dtype(kinds, align=True))
    for place, (name, _) in enumerate(kinds):
        column, known = rows.iloc[:, place], encoding.categories[place]
        if known is not None:
            packed[name] = _places(column, known.tolist())
        elif encoding.is_date[place]:
            packed[name] = (column - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
        elif not encoding.is_ignored[place]:
            packed[name] = column
    return packed


def _places(column, known):
    n = len(known)
    return [
        n + 1 if pd.isna(value) else known.index(value) if value in known else n
        for value in column.tolist()
    ]
