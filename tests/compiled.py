"""C from `to_c`, compiled into a library, on rows of the network's columns."""

import ctypes
import subprocess

import numpy as np
import pandas as pd

from qnnprune.export import to_c

_WRAPPER = """#include "net.h"
void run(const net_row *row, int n, double *out);
void run(const net_row *row, int n, double *out)
{ for (int i = 0; i < n; i++) out[i] = net_predict(row + i); }
"""
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]


def predictions(model, network, rows, folder, types="float"):
    """Predictions of compiled C for a DataFrame of raw rows, all numbers of one type.

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
    found = np.full(len(rows), np.nan)
    run = ctypes.CDLL(str(folder / "net.so")).run
    run(ctypes.c_void_p(packed.ctypes.data), len(rows), ctypes.c_void_p(found.ctypes.data))
    return found if network.classes is None else np.asarray(network.classes)[found.astype(int)]


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
