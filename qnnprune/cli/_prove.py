"""The command ``qnnprune prove``: an audit of one model file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ._arguments import command_parser, width
from ._errors import InputError

__all__ = ["prove_file"]

_DESCRIPTION = """\
Prove what the accumulators of an integer model can reach, for every input: ONNX, QONNX, or a
network that IntegerNetwork.save wrote. Needs onnx for the first two.
"""
_EPILOG = """\
exit codes: 0 if all sums are known and none can leave the register; 1 if one can, or is unknown;
2 after a mistake in the arguments or the file

examples:
  %(prog)s model.onnx
  %(prog)s model.onnx --accum-bits 16
  %(prog)s model.onnx --accum-bits maddubs --input-range uint8 --json
"""


def prove_file(argv: list[str]) -> int:
    """Audit one file and print the table or JSON.

    Parameters
    ----------
    argv : list of str
        Arguments after the word "prove".

    Returns
    -------
    int
        Exit code: 0 if everything is proven, else 1.

    Raises
    ------
    InputError
        After a mistake in the arguments, or with a file that cannot be read.
    """
    args = _parser().parse_args(argv)
    if not Path(args.model).is_file():
        raise InputError(f"{args.model!r} is no file: name a model to read.")
    from ..audit import prove

    try:
        proof = prove(
            args.model,
            args.accum_bits,
            input_range=_input_range(args.input_range),
            input_shape=args.input_shape,
            n_tries=args.tries,
            random_state=args.seed,
        )
    except (ValueError, ImportError) as error:
        raise InputError(str(error)) from error
    print(proof.to_json(indent=2) if args.json else proof)
    proven = proof.holds if args.accum_bits is not None else not proof.unknown
    return 0 if proven else 1


def _register(text: str):
    return int(text) if text.isdecimal() else text


def _input_range(words):
    if words is None or len(words) == 1:
        return words and words[0]
    try:
        low, high = map(float, words)
    except ValueError as error:
        raise InputError(
            f"--input-range {' '.join(words)} is no pair of numbers, nor one type."
        ) from error
    return low, high


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("prove", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("model", metavar="MODEL", help="file: .onnx or .npz")
    add(
        "--accum-bits", type=_register, metavar="N",
        help="register to prove the sums against: a width from 1 to 62, int8, int16, int32, "
        "uint8, uint16, uint32, or a kernel's: maddubs, bitnet_i2",
    )  # fmt: skip
    add(
        "--input-range", nargs="+", metavar="X",
        help="smallest and largest number of the model's inputs, or an integer type such as uint8",
    )  # fmt: skip
    add("--input-shape", nargs="+", type=width(1, 10**9), metavar="N", help="shape of open inputs")
    add(
        "--tries", type=width(0, 10**9), default=4000, metavar="N",
        help="evaluations in search of an input that overflows, per layer (default: 4000)",
    )  # fmt: skip
    add("--seed", type=width(0, 2**32 - 1), default=0, metavar="N", help="default: 0")
    add("--json", action="store_true", help="print JSON, with every range and witness")
    return parser
