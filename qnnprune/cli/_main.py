"""The main job: ``python -m qnnprune`` shows what a narrow accumulator costs on real rows."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

from ._summary import net_name, print_check, print_head, print_table
from ._tables import InputError, digits, read_table

_DESCRIPTION = """\
Train pruned integer networks with accumulators of several widths, and print a table of what
each width costs beside the same network in floats. Without a FILE the rows are scikit-learn's
handwritten digits.
"""
_EXAMPLES = """\
examples:
  python -m qnnprune
  python -m qnnprune table.csv --target price
  python -m qnnprune table.parquet --target label --accum-bits 6 8 --save net.npz
"""
_STEPS = 1000  # of the progress bar for one net, as nets may differ in their epochs


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError(f"{message} (--help explains the options)")


def _width(low: int, high: int):
    def parse(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
        return int(text)

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m qnnprune",
        usage="python -m qnnprune [FILE --target COLUMN] [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "file", nargs="?", metavar="FILE", help="CSV or Parquet; needs pandas (pyarrow for Parquet)"
    )
    add("--target", metavar="COLUMN", help="column of FILE to predict")
    add("--task", choices=("classification", "regression"), help="default: by the target's values")
    add(
        "--accum-bits", nargs="+", type=_width(1, 62), default=[6, 8, 12, 16], metavar="N",
        help="widths of the accumulator, one net each (default: 6 8 12 16)",
    )  # fmt: skip
    add("--w-bits", type=_width(2, 8), metavar="N", help="width of the weights, 2 to 8")
    add("--a-bits", type=_width(2, 8), metavar="N", help="width of the activations, 2 to 8")
    add("--in-bits", type=_width(1, 8), metavar="N", help="width of the inputs (default: --a-bits)")
    add("--epochs", type=_width(1, 10**6), metavar="N", help="default: by the number of rows")
    add("--seed", type=_width(0, 2**32 - 1), default=0, metavar="N", help="default: 0")
    add("--save", metavar="PATH", help="write the 8-bit net, or the first one, to this .npz file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the main job.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the command line by default.

    Returns
    -------
    int
        Exit code: 0, 1 where the proof and the simulation disagree, 2 after a mistake in
        the arguments or the data, 130 after an interrupt.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal may lack the letter Omega
    try:
        return _run(_parser().parse_args(argv))
    except InputError as error:
        print(f"qnnprune: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("qnnprune: interrupted", file=sys.stderr)
        return 130


def _run(args) -> int:
    if args.file is None and (args.target or args.task):
        raise InputError("--target and --task belong to a FILE: name it first.")
    if args.file is not None and args.target is None:
        raise InputError(f"Name the column of {args.file} to predict: --target COLUMN")
    if args.save is not None:
        _check_writable(Path(args.save))
    table = digits() if args.file is None else read_table(args.file, args.target, args.task)
    X_train, X_test, y_train, y_test = table.split(args.seed)
    nets = _nets(table, args)
    print_head(table, nets["float"][-1], len(y_train), args.seed)
    _fit(nets, X_train, y_train)

    chosen = 8 if 8 in nets else args.accum_bits[0]
    transform, net = nets[chosen][:-1].transform, nets[chosen][-1]
    print_table(nets, X_test, y_test, table.task)
    print(f"\nThe {chosen}-bit net, layer by layer, observed on the rows held back\n")
    print(net.accumulator_report(transform(X_test)))
    passed = print_check(net, transform(table.X), transform(X_test))
    if args.save is not None:
        _save(net, chosen, args.save)
    return 0 if passed else 1


def _check_writable(path: Path):
    """Refuse now what would fail after the training."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written: choose a file in a folder that exists.")


def _nets(table, args) -> dict:
    """Unfitted pipelines by width of the accumulator, the float twin first, as "float"."""
    from sklearn.pipeline import make_pipeline

    from .. import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

    classification = table.task == "classification"
    estimator = PrunedNeuralNetClassifier if classification else PrunedNeuralNetRegressor
    wanted = {
        "n_w_bits": args.w_bits, "n_a_bits": args.a_bits, "n_in_bits": args.in_bits,
        "max_epochs": args.epochs, "random_state": args.seed,
    }  # fmt: skip
    given = {name: value for name, value in wanted.items() if value is not None}
    nets = {bits: estimator(n_accum_bits=bits, **given) for bits in args.accum_bits}
    narrowest = nets[min(nets)]
    needed = max(narrowest.n_a_bits, narrowest.n_in_bits or 1)
    if narrowest.n_accum_bits < needed:
        raise InputError(
            f"An accumulator of {narrowest.n_accum_bits} bits cannot hold one input of {needed} "
            "bits: raise --accum-bits, or lower --a-bits and --in-bits."
        )
    nets = {"float": narrowest.float_twin(), **nets}
    return {name: make_pipeline(table.preprocessing(), net) for name, net in nets.items()}


def _fit(nets, X, y):
    """Fit every pipeline, with one progress bar over all of them."""
    from sklearn.exceptions import ConvergenceWarning
    from tqdm import tqdm

    shape = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    bar = tqdm(total=_STEPS * len(nets), bar_format=shape, mininterval=0.5)
    with bar, warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        for done, (name, pipeline) in enumerate(nets.items()):
            bar.set_description("training " + net_name(name).strip())
            pipeline[-1].set_params(callbacks=[_progress(bar, done * _STEPS)])
            try:
                pipeline.fit(X, y)
            except ConvergenceWarning as stop:  # how an estimator reports an interrupt
                raise KeyboardInterrupt from stop
            except ValueError as error:
                raise InputError(str(error).splitlines()[0]) from error


def _progress(bar, start):
    """A callback that moves `bar` from `start` on, by `_STEPS` in all."""
    from skorch.callbacks import Callback

    class Progress(Callback):
        def on_epoch_end(self, net, **kwargs):
            bar.update(start + _STEPS * len(net.history) // net.max_epochs - bar.n)

    return Progress()


def _save(net, bits, path):
    try:
        net.integer_network_.save(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    print(
        f"\nSaved the {bits}-bit net as {path}; IntegerNetwork.load reads it with numpy alone.\n"
        "The preprocessing is not part of it: the net takes the "
        f"{net.integer_network_.n_features_in} columns that come out of it."
    )
