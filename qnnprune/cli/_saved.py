"""Jobs on a saved network: ``predict`` for the rows of a file, and ``inspect``."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np

from .._files import write_whole
from ..encoding._frames import kind_of
from ..exceptions import InvalidNetworkFileError
from ..integer import IntegerNetwork
from ._columns import Column, read_columns
from ._errors import InputError
from ._files import read_file
from ._texts import Conventions

__all__ = ["inspect", "predict"]

_SHOWN = 40  # columns that `inspect` lists


def predict(args) -> int:
    """Write predictions for the rows of a CSV or Parquet file.

    Parameters
    ----------
    args : argparse.Namespace
        With ``network``, ``file`` and ``out``, and the conventions of the file.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    InputError
        If a file cannot be used.
    """
    network = _loaded(args.network)
    frame, _ = read_file(args.file, args.sep, args.encoding)
    missing = None if args.missing is None else tuple(args.missing)
    conventions = Conventions(args.decimal, args.date_order, missing)
    rows = _rows(network, frame, args.file, conventions)
    try:
        text = _table(network.predict(rows))
    except ValueError as error:
        raise InputError(f"{args.file}: {error}") from error
    if args.out is None:
        sys.stdout.write(text)
        return 0
    try:
        write_whole(args.out, text.encode())
    except OSError as error:
        raise InputError(f"{args.out} cannot be written: {error}") from error
    return 0


def inspect(args) -> int:
    """Print what a saved network is: its columns, its layers and their proof.

    Parameters
    ----------
    args : argparse.Namespace
        With ``network``.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    InputError
        If the file holds no network.
    """
    network = _loaded(args.network)
    print(f"{network}\nid {network.model_id}\n")
    if network.classes is not None:
        print(f"Labels   {', '.join(map(str, network.classes))}")
    lines = list(map(_described, *zip(*_features(network), strict=True)))
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"and {len(lines) - _SHOWN} more"]
    print("Columns  " + "\n         ".join(lines))
    print(f"\n{network.accumulator_report()}")
    return 0


def _loaded(path: str) -> IntegerNetwork:
    try:
        return IntegerNetwork.load(path)
    except (OSError, InvalidNetworkFileError) as error:
        raise InputError(str(error)) from error


def _features(network) -> list[tuple]:
    """Name, categories and whether it is a date, of each feature."""
    encoding, names = network.encoding, network.feature_names
    names = range(network.n_features_in) if names is None else map(str, names)
    return list(zip(names, encoding.categories, encoding.is_date.tolist(), strict=True))


def _described(name, known, is_date: bool) -> str:
    if known is None:
        return f"{name}: {'a date' if is_date else 'a number'}"
    shown = ", ".join(map(str, known[:6])) + (", ..." if len(known) > 6 else "")
    return f"{name}: one of {shown}"


def _rows(network, frame, path: str, conventions: Conventions) -> dict:
    """Columns of the network from a file that may have others; texts are read as in training."""
    features = _features(network)
    if network.feature_names is None:
        if frame.shape[1] != len(features):
            raise InputError(
                f"{path} has {frame.shape[1]} columns, but the network takes {len(features)}, "
                "whose names it does not know."
            )
        features = [(name, *rest) for name, (_, *rest) in zip(frame, features, strict=True)]
    lacking = [name for name, *_ in features if name not in frame]
    if lacking:
        raise InputError(f"{path} lacks the columns {lacking[:5]} that the network takes.")
    frame = frame[[name for name, *_ in features]]
    text = [name for name, known, _ in features if known is not None and kind_of(known) == "text"]
    columns = read_columns(frame, conventions, text)
    return {name: _values(columns[name], frame[name], known) for name, known, _ in features}


def _values(column: Column, raw, known):
    """Values of a column: as read, but truth values that the network takes as numbers."""
    is_bool = raw.dtype == bool or str(raw.dtype) in ("boolean", "bool[pyarrow]")
    return raw if is_bool and (known is None or kind_of(known) != "text") else column.as_it_is


def _table(predictions: np.ndarray) -> str:
    """Predictions as CSV, one column per target."""
    values = predictions.reshape(len(predictions), -1)
    several = values.shape[1] > 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [f"prediction_{k}" for k in range(values.shape[1])] if several else ["prediction"]
    )
    writer.writerows(values.tolist())
    return text.getvalue()
