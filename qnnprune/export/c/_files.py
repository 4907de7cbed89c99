"""Whole C files: the comment, the guard, constants and types around the functions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..._files import write_whole
from ..._version import __version__
from ._layers import CLayer, COutputLayer
from ._source import Source, c_type

__all__ = ["Files", "Head"]


@dataclass(frozen=True)
class Head:
    """What a header says before any function.

    Attributes
    ----------
    layers : sequence of CLayer, and a COutputLayer at the end
    input_lines : sequence of str
        What the functions take.
    constants : dict of str to int or str
        Macros by name, without the prefix.
    types : dict of str to numpy dtype
        Types by name, without the prefix.
    counts : dict of str to int
        Of a `CHeader`.
    row : str
        Types and constants of a row that is a struct; else empty.
    """

    layers: Sequence[CLayer]
    input_lines: Sequence[str]
    constants: dict[str, int | str]
    types: dict
    counts: dict[str, int]
    row: str = ""

    def comment(self, p: str) -> str:
        """The comment that a header begins with."""
        lines = [
            *_layer_lines(self.layers),
            "",
            f"{self.counts['nonzeros']} weights are left of {self.counts['macs']}; only these are "
            "stored and added.",
            f"Flash: {self.counts['flash_bytes']} bytes of tables, besides code, labels, and scale "
            "and bias where used.",
            f"RAM: {self.counts['ram_bytes']} bytes of buffers on the stack of {p}_predict; "
            "nothing is static.",
            "",
            *self.input_lines,
        ]
        title = f"/* An integer network, written by qnnprune {__version__}: C99, stdint.h alone, no malloc."
        body = "\n".join(f" * {line}".rstrip() for line in ["", *lines])
        return f"{title}\n{body}\n */"

    def definitions(self, source: Source) -> str:
        """Macros and types for callers."""
        macros = [f"#define {source.macro}_{k} {v}" for k, v in self.constants.items()]
        types = [f"typedef {c_type(v)} {source.p}_{k};" for k, v in self.types.items()]
        return "\n".join([*macros, "", *types, "", *([self.row] if self.row else [])])


def _layer_lines(layers: Sequence[CLayer]) -> list[str]:
    lines = [f"{'layer':>5} {'inputs':>7} {'outputs':>7} {'weights':>8}  sums, proven"]
    for index, layer in enumerate(layers):
        (n_out, n_in), (low, high) = layer.shape, layer.sum_range
        sums = f"{low}..{high} in {c_type(layer.sum_type)}"
        lines.append(f"{index:>5} {n_in:>7} {n_out:>7} {layer.n_kept:>8}  {sums}")
    return lines + _total_lines(layers[-1])


def _total_lines(output: COutputLayer) -> list[str]:
    if output.n_sums == 1:
        return []
    low, high = output.total_range
    return [
        "",
        f"Each of the {output.n_values} values has {output.n_sums} sums.  They are added up after "
        f"the layers, in {c_type(output.total_type)}:",
        f"totals lie within {low}..{high}.",
    ]


def _one_header(source: Source, head: Head) -> str:
    """A header that defines everything."""
    return _guarded(source, head, [head.definitions(source), source.whole()])


def _header_and_source(source: Source, head: Head, header_name: str) -> tuple[str, str]:
    """A header that declares what callers need, and the source file that defines it.

    Parameters
    ----------
    source : Source
    head : Head
    header_name : str
        Name of the header's file.
    """
    c_names = '#ifdef __cplusplus\nextern "C" {\n#endif\n', "#ifdef __cplusplus\n}\n#endif\n"
    declared = [c_names[0], head.definitions(source), source.declared(), c_names[1]]
    title = f"/* What {header_name} declares, written by qnnprune {__version__}. */"
    defined = "\n".join([title, f'#include "{header_name}"\n', source.defined()])
    return _guarded(source, head, declared), defined


def _guarded(source: Source, head: Head, parts: list[str]) -> str:
    guard = f"{source.macro}_H"
    opening = [head.comment(source.p), f"#ifndef {guard}", f"#define {guard}", ""]
    return "\n".join([*opening, "#include <stdint.h>\n", *parts, f"#endif /* {guard} */\n"])


class Files:
    """Where a header goes, and a source file and a self-test beside it.

    Parameters
    ----------
    path : str or path-like, or None
        Of the source file, if it ends in ".c", else of the header; None writes nothing.
    """

    def __init__(self, path):
        self._source = path if path is not None and Path(path).suffix == ".c" else None
        self._header = path if self._source is None else Path(path).with_suffix(".h")

    @property
    def header_name(self) -> str:
        """Name of the header's file."""
        return "net.h" if self._header is None else Path(self._header).name

    def texts(self, source: Source, head: Head) -> tuple[str, str | None]:
        """The header, and the source file if there is one."""
        if self._source is None:
            return _one_header(source, head), None
        return _header_and_source(source, head, self.header_name)

    def write(self, header: str, source: str | None, test: str | None) -> str | None:
        """Write what there is; return the path of the header."""
        if self._header is None:
            return None
        beside = Path(self._header)
        test_path = beside.with_name(f"{beside.stem}_test.c")
        for path, text in {self._source: source, self._header: header, test_path: test}.items():
            if text is not None:
                write_whole(path, text.encode())
        return os.fspath(self._header)
