"""A C program that compares what a device computes with what Python computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

import numpy as np

from ..._version import __version__
from ...encoding import InputEncoding
from ...integer import HiddenLayer, IntegerNetwork
from ._assembly import Assembly
from ._columns import Column
from ._rows import Rows
from ._source import Source, c_string, c_type, literals
from ._tables import narrowest

__all__ = ["self_test"]

_MAIN = """\
int main(void)
{{
    int n_different = 0;
    for (int i = 0; i < {n_rows}; i++) {{
        {sum_type} found[{n_sums}];
{take}
        {p}_raw({x}, found);
        for (int k = 0; k < {n_sums}; k++)
            n_different += found[k] != {read_sum};
{compare}
    }}
    return n_different > 0;
}}
"""


def self_test(
    assembly: Assembly, header_name: str, network: IntegerNetwork, rows: Rows, vectors
) -> str:
    """The program; its ``main`` returns 0 if all sums and all predictions are those of Python.

    Values that are predicted without a fixed point follow from the sums, and are not compared.

    Parameters
    ----------
    assembly : Assembly
        The network in C.
    header_name : str
    network : IntegerNetwork
    rows : Rows
    vectors : array-like or DataFrame
        Raw rows, or codes where those are what C takes.

    Raises
    ------
    ValueError
        If a value has no place in the type of its column.
    """
    source, columns, fixed = assembly.source, assembly.columns, assembly.fixed
    if rows.form == "codes":
        codes = _checked_codes(network, vectors)
        texts, numbers = [list(map(str, row)) for row in codes.tolist()], None
    else:
        numbers = _typed(_numbers(network, vectors), columns)
        texts = np.array([_literals(*pair) for pair in zip(columns, numbers.T, strict=True)]).T
        levels = network.encoding.levels(_moved(network.encoding, numbers, columns))
        codes = network.encoding.codes(levels)
    if not len(codes):
        raise ValueError("test_vectors has no rows.")
    sums, expected = _expected(network, codes, fixed)
    return "\n".join(
        [
            f"/* Compares {len(codes)} rows with Python: main returns 0 if all are alike.  Written by",
            f" * qnnprune {__version__}. */",
            *(["#include <math.h>"] if any("NAN" in row for row in map(list, texts)) else []),
            f"#include {c_string(header_name)}\n",
            _table(source, _row_type(source, rows), "row", texts, rows.form != "struct"),
            _table(source, f"{source.p}_sum_t", "sum", [literals(row) for row in sums]),
            *([] if expected is None else [_predictions(source, expected)]),
            _main(source, rows, sums, _compared(source, network, rows, expected), columns),
        ]
    )


def _checked_codes(network: IntegerNetwork, vectors) -> np.ndarray:
    codes = np.asarray(vectors)
    network.run(codes)  # says what is wrong with them
    return codes.astype(np.int8)


def _numbers(network: IntegerNetwork, vectors) -> np.ndarray:
    """Raw rows as numbers, as they come whatever the type of their columns."""
    encoding = replace(network.encoding, single_thresholds=None, blocks=None)
    return encoding.numbers(vectors, network.feature_names)


def _moved(encoding: InputEncoding, numbers: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Numbers that have the levels that C gives them."""
    return encoding.moved(numbers, np.array([column.is_single for column in columns]))


def _typed(numbers: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Numbers as C will have them."""
    typed = numbers.astype(np.float64)
    for column, values in zip(columns, typed.T, strict=True):
        if column.dtype == np.float32:
            with np.errstate(over="ignore"):
                values[:] = values.astype(np.float32)
        present = values[~np.isnan(values)]
        if len(present) < len(values) and column.missing is None:
            raise ValueError(f"{_name(column)} has gaps in test_vectors, for which C has no value.")
        if column.dtype.kind != "f" and column.categories is None:
            info = np.iinfo(column.dtype)
            beyond = (present < info.min) | (present > info.max) | (present % 1 != 0)
            if beyond.any():
                raise ValueError(
                    f"{_name(column)} has {present[beyond][0]} in test_vectors, which is no "
                    f"{column.dtype}."
                )
    return typed


def _name(column: Column) -> str:
    return f"Column {column.index}" if column.label is None else f"Column {column.label!r}"


def _literals(column: Column, values: np.ndarray) -> list[str]:
    """Values of a column as C writes them."""
    gap = np.isnan(values)
    stand_in = "NAN" if column.dtype.kind == "f" else str(column.missing_value)
    texts = literals(np.where(gap, 0, values).astype(column.dtype))
    return [stand_in if missing else text for missing, text in zip(gap, texts, strict=True)]


def _expected(network: IntegerNetwork, codes, fixed) -> tuple[np.ndarray, np.ndarray | None]:
    """Sums of the output layer, and classes, labels or values in fixed point."""
    for layer in network.layers[:-1]:
        assert isinstance(layer, HiddenLayer)
        codes = layer.requantize(layer.accumulate(codes))
    output = network.layers[-1]
    sums = output.accumulate(codes).astype(np.int64)
    if network.outcome == "labels":
        return sums, network.decode(output.decision(sums)).astype(np.uint8)
    if network.classes is not None:
        values = output.decision(sums.astype(np.float64))
        best = values.argmax(axis=1) if values.shape[1] > 1 else (values[:, 0] > 0).astype(int)
        return sums, best[:, None].astype(narrowest(best, signed=False))
    if fixed is None:
        return sums, None
    values = output.added_up(sums) * fixed.multiplier + fixed.offset
    if network.outcome == "quantiles":
        values = np.sort(values, axis=1)
    return sums, values.astype(fixed.multiplier.dtype)


def _predictions(source: Source, expected: np.ndarray) -> str:
    return _table(source, c_type(expected.dtype), "predicted", [literals(r) for r in expected])


def _compared(source: Source, network: IntegerNetwork, rows: Rows, expected) -> list[str]:
    """C that compares one row's predictions."""
    if expected is None:
        return []
    p, x = source.p, "&x" if rows.form == "struct" else "x"
    n, kind = expected.shape[1], c_type(expected.dtype)
    if network.outcome == "class":
        wanted = source.read(expected.dtype, "&predicted[i][0]")
        return [f"n_different += {p}_predict({x}) != {wanted};"]
    name = f"{p}_predict" if network.outcome == "labels" else f"{p}_predict_fixed"
    return [
        f"{kind} value[{n}];",
        f"{name}({x}, value);" if n > 1 else f"value[0] = {name}({x});",
        f"for (int k = 0; k < {n}; k++)",
        f"    n_different += value[k] != {source.read(expected.dtype, '&predicted[i][k]')};",
    ]


def _row_type(source: Source, rows: Rows) -> str:
    return f"{source.p}_row" if rows.form == "struct" else f"{source.p}_input_t"


def _table(source: Source, kind: str, name: str, rows, is_matrix: bool = True) -> str:
    lines = [_braced(row) for row in rows]
    shape = f"[{len(rows)}]" + (f"[{len(rows[0])}]" if is_matrix else "")
    items = ",\n".join(lines)
    return f"static const {kind} {name}{shape} {source.macro}_FLASH = {{\n{items}\n}};\n"


def _braced(items) -> str:
    return "\n".join(
        wrap(f"{{{', '.join(items)}}}", 96, initial_indent="    ", subsequent_indent="     ")
    )


def _main(source: Source, rows: Rows, sums, compare: list[str], columns) -> str:
    p, macro = source.p, source.macro
    kind, n = _row_type(source, rows), len(columns) or f"{macro}_N_CODES"
    take, x = (
        [
            f"{kind} x[{n}];",
            f"for (int k = 0; k < {n}; k++) x[k] = {macro}_READ({kind}, &row[i][k]);",
        ],
        "x",
    )
    if rows.form == "struct":
        take, x = [f"{kind} x;", f"{macro}_COPY(&x, row + i);"], "&x"
    return _MAIN.format(
        n_rows=len(sums), sum_type=f"{p}_sum_t", n_sums=sums.shape[1], p=p, x=x,
        take="\n".join(f"        {line}" for line in take),
        compare="\n".join(f"        {line}" for line in compare),
        read_sum=f"{macro}_READ({p}_sum_t, &sum[i][k])",
    )  # fmt: skip
