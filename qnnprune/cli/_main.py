"""The main job: ``python -m qnnprune`` shows what a narrow accumulator costs on real rows.

Jobs on a saved network, such as ``python -m qnnprune predict``, begin here, too.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from ._arguments import JOBS, parse, parse_job, program
from ._errors import InputError
from ._prove import prove_file
from ._reading import digits, read_table
from ._serve import serve_folder
from ._summary import net_name, print_check, print_head, print_layers, print_next, print_table
from ._texts import Conventions

_STEPS = 1000  # of the progress bar for one net, as nets may differ in their epochs


def main(argv: list[str] | None = None) -> int:
    """Run the main job, or the one that the first argument names.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; those of the command line by default.

    Returns
    -------
    int
        Exit code: 0; 1 where the proof and the simulation disagree, or where the audit does not
        prove everything; 2 after a mistake in
        the arguments or the data, and where the output cannot be written; 130 after an
        interrupt; 141 where nobody reads the output any more.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal may lack the letter Omega
    try:
        try:
            return _answered(argv)
        finally:
            for stream in streams:
                stream.flush()  # here, as an error at the interpreter's end has no exit code
    except BrokenPipeError:
        _discard(*streams)
        return 141  # 128 + SIGPIPE, as a shell reports it
    except OSError as error:
        with suppress(OSError):
            _complain(f"error: {error}")
        _discard(*streams)
        return 2


def _answered(argv) -> int:
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in JOBS:
            from . import _saved

            return getattr(_saved, argv[0])(parse_job(argv[0], argv[1:]))
        if argv and argv[0] == "prove":
            return prove_file(argv[1:])
        if argv and argv[0] == "serve":
            return serve_folder(argv[1:])
        return _run(parse(argv), argv)
    except InputError as error:
        _complain(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130


def _complain(text: str):
    if sys.stderr is not None:  # print would take standard output instead
        print(f"qnnprune: {text}", file=sys.stderr)


def _discard(*streams):
    """Lose what could not be written, which the interpreter would try once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        with suppress(OSError):
            os.dup2(nowhere, stream.fileno())


def _run(args, argv) -> int:
    if args.save is not None:
        _check_writable(args.save, args.file)
    table = digits() if args.file is None else _read(args)
    X_train, X_test, y_train, y_test = table.split(args.seed)
    nets = _nets(table, args)
    print_head(table, nets["float"], len(y_train), args.seed)
    _fit(nets, X_train, y_train)

    chosen = 8 if 8 in nets else args.accum_bits[0]
    net = nets[chosen]
    print_table(nets, X_test, y_test, table.task)
    print_layers(net, chosen, X_test)
    passed = print_check(net, table.X, X_test)
    if args.save is not None:
        _save(net, chosen, args.save)
    print_next(program(), argv, args, chosen)
    return 0 if passed else 1


def _read(args):
    missing = None if args.missing is None else tuple(args.missing)
    return read_table(
        args.file,
        args.target,
        args.task,
        sep=args.sep,
        encoding=args.encoding,
        conventions=Conventions(args.decimal, args.date_order, missing),
        drop=args.drop,
        categories=args.categories,
    )


def _check_writable(path: str, table: str | None):
    """Refuse now what would fail after the training, or do damage."""
    if os.path.isdir(path) or not os.access(Path(path).parent, os.W_OK) or not path:
        raise InputError(f"{path!r} cannot be written: choose a file in a folder that exists.")
    exist = table is not None and os.path.exists(table) and os.path.exists(path)
    if exist and os.path.samefile(path, table):
        raise InputError(f"--save would replace the table {path}: choose another file.")


def _nets(table, args) -> dict:
    """Unfitted estimators by width of the accumulator, the float twin first, as "float"."""
    from .. import PrunedNeuralNetClassifier, PrunedNeuralNetRegressor

    classification = table.task == "classification"
    estimator = PrunedNeuralNetClassifier if classification else PrunedNeuralNetRegressor
    wanted = {
        "n_w_bits": args.w_bits, "n_a_bits": args.a_bits, "n_in_bits": args.in_bits,
        "max_epochs": args.epochs, "random_state": args.seed,
    }  # fmt: skip
    given = {name: value for name, value in wanted.items() if value is not None}
    if hasattr(table.X, "columns"):
        kinds = table.X.dtypes.items()
        given["categorical_features"] = [name for name, kind in kinds if kind.kind not in "fM"]
    nets = {bits: estimator(n_accum_bits=bits, **given) for bits in args.accum_bits}
    narrowest = nets[min(nets)]
    widths = narrowest.n_a_bits, narrowest.n_in_bits
    needed = max([1, *(bits for bits in widths if isinstance(bits, int))])
    if narrowest.n_accum_bits < needed:
        raise InputError(
            f"An accumulator of {narrowest.n_accum_bits} bits cannot hold one input of {needed} "
            "bits: raise --accum-bits, or lower --a-bits and --in-bits."
        )
    return {"float": narrowest.float_twin(), **nets}


def _fit(nets, X, y):
    """Fit every estimator, with one progress bar over all of them."""
    from sklearn.exceptions import ConvergenceWarning
    from tqdm import tqdm

    from ..training.callbacks import ShareOfEpochs

    shape = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    closed = sys.stderr is None
    bar = tqdm(total=_STEPS * len(nets), bar_format=shape, mininterval=0.5, disable=closed)
    with bar, warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        for done, (name, net) in enumerate(nets.items()):
            bar.set_description(net_name(name).strip())
            advance = _advance(bar, net_name(name).strip(), done * _STEPS)
            net.set_params(callbacks=[ShareOfEpochs(advance)])
            try:
                net.fit(X, y)
            except ConvergenceWarning as stop:  # how an estimator reports an interrupt
                raise KeyboardInterrupt from stop
            except ValueError as error:
                raise InputError(str(error).splitlines()[0]) from error


def _advance(bar, name: str, start: int):
    """A function that moves `bar` from `start` on, by `_STEPS` where the share is 1."""

    def advance(label, share):
        bar.set_description(f"{name}, {label}", refresh=False)
        bar.update(start + int(_STEPS * share) - bar.n)

    return advance


def _save(net, bits, path):
    try:
        net.integer_network_.save(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    print(
        f"\nSaved the {bits}-bit net as {path}; IntegerNetwork.load reads it with numpy alone.\n"
        f"It takes rows like those of the table: {program()} predict {path} FILE"
    )
