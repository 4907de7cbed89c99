"""Files as tables: encoding, separator, header and rows of CSV, and Parquet."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import zipfile
from itertools import chain, islice
from pathlib import Path

from ._errors import InputError

__all__ = ["read_file"]

_PARQUET = {".parquet", ".pq"}
_TABS = {".tsv", ".tab"}
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, which begins alike
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # xlsx, xls
_SEPARATORS = "\t;|,"  # the rarest in texts first
_SAMPLE = 2**20  # characters from which the separator is told
_END = "\x1a"  # a last row, which is lost where a quote stays open


def read_file(path: str, sep: str | None = None, encoding: str | None = None):
    """Read a file as it stands.

    Parameters
    ----------
    path : str
        ``.parquet`` or ``.pq``, else CSV, which may be compressed (gz, bz2, xz, zip).
    sep, encoding : str, optional
        Of a CSV file; found out where None.

    Returns
    -------
    frame : DataFrame
        Of texts, except for Parquet.
    notes : list of str
        What the reader must know.

    Raises
    ------
    InputError
        If it is no table.
    """
    if not Path(path).exists():
        raise InputError(f"There is no file {path}.")
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError("Reading a file needs pandas: pip install pandas") from error
    if Path(path).suffix.lower() in _PARQUET:
        if sep or encoding:
            raise InputError(f"--sep and --encoding are for CSV, and {path} is Parquet.")
        frame = _parquet(path)
        header, notes = list(map(str, frame.columns)), []
    else:
        header, rows, notes = _csv(path, sep, encoding)
        frame = pd.DataFrame(rows, columns=range(len(header)), dtype=object)
    frame.columns = _distinct(header, notes)
    return frame.reset_index(drop=True), notes


def _parquet(path: str):
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise InputError(
            f"Parquet needs pyarrow: pip install pyarrow ({_reason(error)})"
        ) from error
    except Exception as error:  # readers raise errors of many kinds, also their own
        raise InputError(f"{path} cannot be read as a table: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]


def _distinct(header: list[str], notes: list[str]) -> list[str]:
    """Names of columns, numbered where they are empty or repeat."""
    names: list[str] = []
    for index, given in enumerate(header):
        name = wanted = given or f"Unnamed: {index}"
        count = 0
        while name in names:
            count += 1
            name = f"{wanted}.{count}"
        if count:
            notes.append(f"another column called {wanted!r} is {name!r} here")
        names.append(name)
    return names


def _csv(path: str, sep: str | None, encoding: str | None):
    """Header, rows of equal length, and notes."""
    text = _decoded(path, encoding)
    notes: list[str] = []
    if sep is None:
        sep = "\t" if Path(path).suffix.lower() in _TABS else _separator(text[:_SAMPLE], notes)
    try:
        numbered = list(_rows(chain(io.StringIO(text, newline=""), [_END]), sep))
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table: {_reason(error)}") from error
    last_line, last = numbered.pop()
    if last != [_END]:
        raise InputError(f"{path}: a quote that opens in line {last_line} is never closed.")
    if not numbered:
        raise InputError(f"{path} cannot be read as a table: it is empty.")
    header = [name.strip() for name in numbered.pop(0)[1]]
    return _rectangle(path, header, numbered, sep, notes)


def _decoded(path: str, encoding: str | None) -> str:
    try:
        data = _bytes(Path(path))
    except Exception as error:  # of the system, and of each compression
        raise InputError(f"{path} cannot be read: {_reason(error)}") from error
    if data.startswith(_ARCHIVES):
        raise InputError(f"{path} is a spreadsheet or an archive, not text: save it as CSV.")
    marked = [name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)]
    if encoding is None and not marked and b"\0" in data[:_SAMPLE]:
        raise InputError(
            f"{path} has zero bytes: it is not text, or it is UTF-16 without a mark "
            "(--encoding utf-16-le or utf-16-be)."
        )
    encoding = encoding or (marked[0] if marked else "utf-8")
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise InputError(
            f"{path} is not {encoding} text: name its encoding, which for files from Western "
            "Europe mostly is --encoding cp1252 or latin-1."
        ) from error
    except LookupError as error:
        raise InputError(f"--encoding: there is no text encoding {encoding!r}.") from error


def _bytes(path: Path) -> bytes:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise ValueError(f"it holds {len(members)} files, not one")
            return archive.read(members[0])
    with _OPENERS.get(suffix, open)(path, "rb") as file:
        return file.read()


def _rows(lines, sep: str):
    """Rows that are not blank, each with the number of the line in which it begins."""
    reader = csv.reader(lines, delimiter=sep, skipinitialspace=True)
    begin = 1
    for row in reader:
        if row not in ([], [""]):
            yield begin, row
        begin = reader.line_num + 1


def _separator(sample: str, notes: list[str]) -> str:
    """The character that cuts all rows into as many fields as the header."""
    sizes = {sep: _sizes(sample, sep) for sep in _SEPARATORS}
    # Where the names of the rows have no name, the header is one field short.
    fits = [s for s, (n, *rest) in sizes.items() if n > 1 and set(rest) in ({n}, {n + 1})]
    if len(fits) > 1:
        others = " or ".join(map(repr, fits[1:]))
        notes.append(f"columns are separated at {fits[0]!r}; {others} would do too: --sep")
    if fits:
        return fits[0]
    widest = max(sizes, key=lambda sep: sizes[sep][0])
    return widest if sizes[widest][0] > 1 else " "


def _sizes(sample: str, sep: str, n_rows: int = 100) -> list[int]:
    try:
        rows = list(islice(_rows(io.StringIO(sample, newline=""), sep), n_rows))
    except csv.Error:
        rows = []
    return [len(row) for _, row in rows] or [0]


def _rectangle(path: str, header: list[str], numbered, sep: str, notes: list[str]):
    """Rows as long as the header."""
    for _, row in numbered:
        while len(row) > len(header) and row[-1] == "":
            row.pop()
    firsts = {row[0] for _, row in numbered if len(row) == len(header) + 1}
    if numbered and len(firsts) == len(numbered):  # as R writes the names of the rows
        header = ["", *header]
        notes.append("the rows have one field more than the header: it is taken for their names")
    for line, row in numbered:
        if len(row) > len(header):
            raise InputError(
                f"{path}, line {line}: {len(row)} fields under {len(header)} names, separated at "
                f"{sep!r}. Fields that contain it belong in quotes; --sep names another."
            )
    short = [row for _, row in numbered if len(row) < len(header)]
    if short:
        notes.append(f"{len(short)} rows end early: what they lack counts as missing")
    rows = [row + [""] * (len(header) - len(row)) for _, row in numbered]
    return header, rows, notes
