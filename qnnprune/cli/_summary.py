"""What the main job prints: the nets side by side, and the check of the proof."""

from __future__ import annotations

import shlex

import numpy as np

from .._utils import text_table
from .._version import __version__

__all__ = ["net_name", "print_check", "print_head", "print_layers", "print_next", "print_table"]

_FEWER_BITS = 2  # than proven, to show overflows with
_LAYERS = """
Ω: weights of full size that cannot overflow, by the usual rule, which counts; the exact range
  that is used here has room for more
budget: the most weights that a neuron may keep by count; - where the exact range alone decides
nonzeros: weights that a neuron kept, of those in fan-in; the others are 0 and cost nothing
dead: neurons that kept no weight; many of them say that the register is too narrow
proven: the range of sums over every possible input, and the bits of a register that holds it
observed: the bits that the rows held back needed; other rows may need more, up to those proven"""


def net_name(key) -> str:
    """Name of a net: a number of bits, or "float"."""
    return "float twin" if key == "float" else f"{key:>2}-bit accumulator"


def print_head(table, net, n_train: int, seed: int) -> None:
    """Say what is trained on which rows."""
    in_bits = net.n_a_bits if net.n_in_bits == "auto" else net.n_in_bits
    given = [
        f"{bits}-bit {codes}"
        for codes, bits in (("activations", net.n_a_bits), ("inputs", in_bits))
        if bits != "auto"
    ]
    lines = [*table.description, f"{n_train} rows to train on, {len(table.y) - n_train} held back"]
    print(f"qnnprune {__version__}: what a narrow accumulator costs\n")
    print("Rows  " + "\n      ".join(lines))
    print(f"Nets  {', '.join([f'{net.n_w_bits}-bit weights', *given, f'seed {seed}'])};")
    print("      each fit chooses what is not given, such as the widths of its codes\n", flush=True)


def print_table(nets: dict, X, y, task: str) -> None:
    """One row a net: its score on the rows held back, and its size."""
    classification = task == "classification"
    score = "accuracy" if classification else "R²"
    rows = [["net", score, "codes", "nonzeros a neuron", "proven bits", "weights left", "bytes"]]
    for key, net in nets.items():
        reached = net.score(X, y)
        reached = f"{reached:.1%}" if classification else f"{reached:.3f}"
        rows.append([net_name(key), reached, *_sizes(net)])
    print(text_table(rows, n_left=1))
    if classification:
        most_frequent = np.unique(y, return_counts=True)[1].max() / len(y)
        meaning = f"right answers; always giving the most frequent label: {most_frequent:.1%}"
        wrong = 1 - nets["float"].score(X, y)
        chance = f"{200 * (wrong * (1 - wrong) / len(y)) ** 0.5:.1f} points"
    else:
        meaning, chance = "1 is perfect, 0 is no better than the mean", "some hundredths"
    print(f"""
{score}: on the rows held back; {meaning}
float twin: the same network and training in floats, with all its weights. Nets may be above it:
  few bits and weights hold back overfitting; and on {len(y)} rows, differences of less than
  {chance} may be chance
codes: bits of the inputs, and of the activations
nonzeros a neuron: weights that are not zero, mean over all neurons
proven bits: no sum of any neuron can need more, whatever the input; where they stay below
  the accumulator's, its limit cost nothing
bytes: nonzero weights x their width / 8, plus the thresholds at their neuron's proven width;
  where the weights sit is not counted; the float twin has 4 bytes a weight""")


def _sizes(net) -> list[str]:
    """Widths of codes, nonzeros a neuron, proven bits, share of weights left, and bytes."""
    if not hasattr(net, "integer_network_"):  # the float twin
        weights = [linear.weight for linear in net.module_.linears]
        count, neurons = sum(w.numel() for w in weights), sum(len(w) for w in weights)
        return ["-", f"{count / neurons:.1f}", "-", f"{1:.1%}", f"{4 * count:,}"]
    network = net.integer_network_
    layers, left = network.layers, network.nonzeros
    neurons = sum(len(layer.weight) for layer in layers)
    threshold_bits = sum(
        int(layer.accumulator_bits.sum()) * layer.thresholds.shape[1] for layer in layers[:-1]
    )
    n_bytes = -(-(left * net.n_w_bits + threshold_bits) // 8)
    share = left / sum(layer.weight.size for layer in layers)
    codes = f"{net.n_in_bits_}, {net.n_a_bits_}"
    return [
        codes,
        f"{left / neurons:.1f}",
        str(network.proven_bits),
        f"{share:.1%}",
        f"{n_bytes:,}",
    ]


def print_layers(net, bits: int, X) -> None:
    """The report of one net, observed on rows, and what its columns are."""
    print(f"\nThe {bits}-bit net, layer by layer, observed on the rows held back\n")
    print(net.accumulator_report(X))
    print(_LAYERS)


def print_next(program: str, argv: list[str], args, bits: int) -> None:
    """Three commands to go on with.

    Parameters
    ----------
    program : str
        The command that the user gave.
    argv : list of str
        What followed it.
    args : argparse.Namespace
        The same, parsed.
    bits : int
        Width of the net that is saved.
    """
    path = args.save or "net.npz"
    again = (
        [*argv, "--save", path]
        if args.file
        else ["TABLE.csv", "--target", "COLUMN", "--save", path]
    )
    ways = [
        (again, "the same, and keep the net" if args.file else "your own table"),
        (["inspect", path], "what the net takes, and its proof"),
        (["predict", path, "ROWS.csv"], "predictions for other rows"),
        (["prove", path, "--accum-bits", str(bits)], "the proof again, from the file alone"),
    ]
    ways = ways[1:] if args.save else ways[:3]
    print("\nGo on with")
    for words, meaning in ways:
        print(f"  {program} {shlex.join(words)}\n      {meaning}")


def print_check(net, X, X_test) -> bool:
    """Compare registers of the proven width with exact sums, also far from the data.

    Parameters
    ----------
    net : fitted estimator
    X, X_test : arrays or DataFrames
        All rows, and those held back.

    Returns
    -------
    bool
        Whether no sum overflowed and no output differed.
    """
    bits = net.integer_network_.proven_bits
    print(f"\nCheck: registers of {bits} bits that wrap around, against exact sums\n")
    passed = True
    factors = {"all rows": 1, "all rows, times 3": 3, "all rows, times -100": -100}
    for name, factor in factors.items():
        result = net.simulate(_times(X, factor), n_accum_bits=bits, mode="wrap")
        overflows = sum(int(count.sum()) for count in result.overflow_count)
        exact = net.integer_network_.decision(_times(X, factor))
        different = int((result.decision != exact).any(axis=1).sum())
        passed = passed and overflows == 0 and different == 0
        print(
            f"{name:<21} {result.n_samples} rows  {overflows} overflows  "
            f"{different} predictions differ"
        )
    print("passed" if passed else "FAILED: please report this")
    if bits > _FEWER_BITS:
        result = net.simulate(X_test, n_accum_bits=bits - _FEWER_BITS, mode="wrap")
        changed = float((result.predictions != net.predict(X_test)).mean())
        print(
            f"For contrast, with {bits - _FEWER_BITS} bits {result.overflow_rate:.1%} of the sums "
            f"overflow\nand {changed:.1%} of the predictions change (rows held back)."
        )
    return passed


def _times(X, factor: int):
    """The rows with all numbers times a factor; dates and categories stay."""
    if not hasattr(X, "columns"):
        return X * factor
    return X.assign(**{name: X[name] * factor for name in X if X[name].dtype.kind == "f"})
