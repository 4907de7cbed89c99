"""The arguments of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .._version import __version__
from ._errors import InputError
from ._formats import DATE_ORDERS, DECIMALS

__all__ = ["JOBS", "command_parser", "parse", "parse_job", "program", "width"]

# Jobs on a saved network, by the first argument.
JOBS = ("predict", "inspect")

_DESCRIPTION = """\
Train pruned integer networks with accumulators of several widths, and print a table of what
each width costs beside the same network in floats. Without a FILE the rows are scikit-learn's
handwritten digits.
"""
_EXAMPLES = """\
examples:
  %(prog)s
  %(prog)s table.csv --target price
  %(prog)s table.parquet --target label --accum-bits 6 8 --save net.npz
  %(prog)s sales.csv --target amount --decimal , --encoding cp1252 --drop customer
a saved network, or an integer model of any origin (--help after the first word):
  %(prog)s predict net.npz rows.csv --out predictions.csv
  %(prog)s inspect net.npz
  %(prog)s prove model.onnx --accum-bits 16
encrypted predictions over a network (--help after the first word):
  %(prog)s serve server --port 8000
"""
_SEPARATORS = {"tab": "\t", r"\t": "\t", "space": " "}
_OF_A_FILE = [
    "target",
    "task",
    "sep",
    "encoding",
    "decimal",
    "date_order",
    "missing",
    "drop",
    "categories",
]
_MOST_BITS = 62


class Parser(argparse.ArgumentParser):
    """A parser that raises the error of the command line."""

    def error(self, message):
        raise InputError(f"{message} (--help explains the options)")


def command_parser(command: str, description: str, epilog: str) -> Parser:
    """A parser of the words after a command, such as "serve"."""
    return Parser(
        prog=f"{program()} {command}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Arguments of the main job.

    Parameters
    ----------
    argv : list of str, optional
        Those of the command line by default.

    Raises
    ------
    InputError
        After a mistake in them.
    """
    parser = _parser()
    args = parser.parse_intermixed_args(argv)
    for values in (args.accum_bits, args.drop, args.categories, args.missing or []):
        if args.file is None and values and _is_a_file(values[-1]):
            args.file = values.pop()  # which follows the values of an option that takes many
    try:
        args.accum_bits = [width(1, _MOST_BITS)(text) for text in args.accum_bits]
    except argparse.ArgumentTypeError as error:
        parser.error(f"argument --accum-bits: {error}")
    if not args.accum_bits:
        parser.error("argument --accum-bits: there is no width before the FILE")
    given = [name for name in _OF_A_FILE if getattr(args, name)]
    if args.file is None and given:
        options = " and ".join("--" + name.replace("_", "-") for name in given)
        raise InputError(f"{options} belong to a FILE: name it first.")
    if args.file is not None and args.target is None:
        raise InputError(f"Name the column of {args.file} to predict: --target COLUMN")
    return args


def parse_job(job: str, argv: list[str]) -> argparse.Namespace:
    """Arguments of a job on a saved network.

    Parameters
    ----------
    job : str
        One of `JOBS`.
    argv : list of str
        What follows it.

    Raises
    ------
    InputError
        After a mistake in them.
    """
    about = {
        "predict": "Write the predictions of a saved network for the rows of a file.",
        "inspect": "Print the columns, the layers and the proof of a saved network.",
    }[job]
    parser = Parser(prog=f"{program()} {job}", description=about)
    parser.add_argument("network", metavar="NETWORK", help="file that --save wrote")
    if job == "predict":
        add = parser.add_argument
        add("file", metavar="FILE", help="CSV or Parquet; needs pandas (pyarrow for Parquet)")
        add("--out", metavar="PATH", help="CSV file to write; by default the standard output")
        _add_conventions(add)
    return parser.parse_args(argv)


def _is_a_file(text: str) -> bool:
    return not text.isdecimal() and Path(text).is_file()


def width(low: int, high: int):
    """A type of argument: an integer from `low` to `high`."""

    def parse(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
        return int(text)

    return parse


def _separator(text: str) -> str:
    sep = _SEPARATORS.get(text, text)
    if len(sep) != 1 or sep in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} is not a character, tab or space")
    return sep


def program() -> str:
    """The command that the user gave."""
    name = Path(sys.argv[0]).stem
    return name if name == "qnnprune" else "python -m qnnprune"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=program(),
        usage="%(prog)s [FILE --target COLUMN] [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qnnprune {__version__}")
    _add_file(parser.add_argument_group("rows").add_argument)
    _add_nets(parser.add_argument_group("nets").add_argument)
    return parser


def _add_file(add):
    add(
        "file", nargs="?", metavar="FILE", help="CSV or Parquet; needs pandas (pyarrow for Parquet)"
    )
    add("--target", metavar="COLUMN", help="column of FILE to predict")
    add("--task", choices=("classification", "regression"), help="default: by the target's values")
    add(
        "--drop", nargs="+", default=[], metavar="COLUMN",
        help="columns to leave out, such as identifiers",
    )  # fmt: skip
    add(
        "--categories", nargs="+", default=[], metavar="COLUMN",
        help="columns that are no numbers, even if they look like it",
    )  # fmt: skip
    _add_conventions(add)


def _add_conventions(add):
    add("--sep", type=_separator, help="what separates columns: a character, tab or space")
    add("--encoding", help="of the text, such as cp1252 or utf-16 (default: UTF-8, or by its mark)")
    add("--decimal", choices=DECIMALS, help="mark before decimals; the other groups thousands")
    add("--date-order", choices=DATE_ORDERS, help="order of day, month and year")
    add(
        "--missing", nargs="+", metavar="TEXT",
        help="the only texts for a missing value (default: NA, n/a, null, None and NaN; among "
        "numbers and dates also ?, - and the like); empty fields are missing in any case",
    )  # fmt: skip


def _add_nets(add):
    add(
        "--accum-bits", nargs="+", default=["6", "8", "12", "16"], metavar="N",
        help="widths of the accumulator, one net each (default: 6 8 12 16)",
    )  # fmt: skip
    add("--w-bits", type=width(2, 8), metavar="N", help="width of the weights, 2 to 8")
    add("--a-bits", type=width(2, 8), metavar="N", help="width of the activations, 2 to 8")
    add("--in-bits", type=width(1, 8), metavar="N", help="width of the inputs (default: --a-bits)")
    add("--epochs", type=width(1, 10**6), metavar="N", help="default: by the number of rows")
    add("--seed", type=width(0, 2**32 - 1), default=0, metavar="N", help="default: 0")
    add("--save", metavar="PATH", help="write the 8-bit net, or the first one, to this .npz file")
