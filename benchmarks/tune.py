"""Which settings help: candidates on validation splits, beside the defaults and a float MLP.

    python benchmarks/tune.py [--data FOLDER] [--sets ...] [--candidates ...] [--bits 8 6]
        [--seeds 2] [--max-rows 8000] [--processes 2] [--results FILE.jsonl] [--output FILE.md]
        [--report-only]

The procedure by which defaults are chosen:

1. Edit `CANDIDATES`: what differs from the defaults, by a name.
2. Every candidate is fitted on three quarters of the training part of every set and scored on the
   last quarter; each seed draws another quarter, and the initial weights.  Test parts are not used.
3. A candidate becomes a default only if its paired difference to the defaults, averaged over the
   sets, is larger than twice its standard error, or if it scores the same and costs less.
4. Test parts are looked at once, at the end, by benchmarks/accuracy.py without --validation.

Results go to --results as in benchmarks/accuracy.py, by all the parameters of an estimator and
not by a candidate's name: a candidate that has become the default is not measured again.  What
"auto" comes to is not seen there, nor are other changes of the code: start a new file after them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sets
from cells import Cell
from cells import measure as measure_cell
from resumable import arguments, key, read, run

_PLAIN = {"max_epochs": 40, "dropout": 0.3}  # without the choice that "auto" makes
CANDIDATES: dict[str, dict] = {
    "default": {},
    "40 epochs, dropout 0": {"max_epochs": 40, "dropout": 0.0},
    "40 epochs, dropout 0.2": {"max_epochs": 40, "dropout": 0.2},
    "40 epochs, dropout 0.3": _PLAIN,
    "40 epochs, dropout 0.5": {"max_epochs": 40, "dropout": 0.5},
    "20 epochs, dropout 0.3": {"max_epochs": 20, "dropout": 0.3},
    "20 epochs, dropout 0.5": {"max_epochs": 20, "dropout": 0.5},
    "100 epochs, dropout 0": {"max_epochs": 100, "dropout": 0.0},
    "100 epochs, dropout 0.3": {"max_epochs": 100, "dropout": 0.3},
    "40, 0.3, lr 5e-3": _PLAIN | {"lr": 5e-3},
    "40, 0.3, lr 2e-2": _PLAIN | {"lr": 2e-2},
    "40, 0.3, alpha 0.1": _PLAIN | {"alpha": 0.1},
    "40, 0.3, hidden 256, 128": _PLAIN | {"hidden_layer_sizes": (256, 128)},
    "40, 0.3, hidden 1024, 256": _PLAIN | {"hidden_layer_sizes": (1024, 256)},
    "40, 0.3, 8 segments": _PLAIN | {"n_input_segments": 8},
    "40, 0.3, inputs of 1 bit": _PLAIN | {"n_in_bits": 1},
    "40, 0.3, weights of 3 bits": _PLAIN | {"n_w_bits": 3},
    "40, 0.3, one shot": _PLAIN | {"pruning_schedule": "one_shot"},
}


def cells(options) -> dict[str, list[Cell]]:
    """Cells of the MLP, and of every candidate at every width; quick sets first."""
    common = {"folder": options.data, "validation": True, "max_rows": options.max_rows}
    places = [
        (name, seed)
        for seed in range(options.seeds)
        for name in sets.quick_first(options.sets, options.data)
    ]
    return {"mlp": [Cell(name, "mlp", None, seed, **common) for name, seed in places]} | {
        f"{candidate} @ {bits}": [
            Cell(name, "exact", bits, seed, changed=CANDIDATES[candidate], **common)
            for name, seed in places
        ]
        for bits in options.bits
        for candidate in options.candidates
    }


def in_turns(groups: dict[str, list[Cell]]) -> list[Cell]:
    """Set by set, all candidates on each, so that partial results compare."""
    return [cell for turn in zip(*groups.values(), strict=True) for cell in turn]


def differences(group: list[Cell], other: list[Cell], done: dict) -> dict[bool, dict]:
    """Mean difference over seeds of each set that both have: points of accuracy, or R².

    Returns
    -------
    dict
        By whether the set is a regression, then by its name.
    """
    found: dict[bool, dict[str, list[float]]] = {False: {}, True: {}}
    for mine, theirs in zip(group, other, strict=True):
        pair = [done.get(key(cell.identity()), {}) for cell in (mine, theirs)]
        if all("score" in record for record in pair):
            unit = 1 if pair[0]["regression"] else 100
            gap = unit * (pair[0]["score"] - pair[1]["score"])
            found[pair[0]["regression"]].setdefault(mine.set, []).append(gap)
    return {task: {n: float(np.mean(v)) for n, v in by.items()} for task, by in found.items()}


def report(groups: dict[str, list[Cell]], done: dict) -> str:
    """Markdown: gaps to the MLP, paired differences to the defaults at the same width, times."""
    lines = [
        "| candidate @ bits | gap to MLP: accuracy, points | R² | change: accuracy, points | sets "
        "up / down | R² | sets up / down | fit, s |",
        "|---" * 8 + "|",
    ]
    for name, group in groups.items():
        if name == "mlp":
            continue
        base = groups.get(f"default @ {name.split(' @ ')[1]}")
        gaps = differences(group, groups["mlp"], done)
        row = [_mean(gaps[False], 2), _mean(gaps[True], 3)]
        for task, digits in ((False, 2), (True, 3)):
            change = {} if base in (None, group) else differences(group, base, done)[task]
            row += [_mean(change, digits), _ups(change)]
        lines.append(f"| {name} | " + " | ".join([*row, _seconds(group, done)]) + " |")
    return "\n".join(lines)


def _mean(by_set, digits) -> str:
    """Mean over sets and its standard error."""
    values = list(by_set.values())
    if not values:
        return ""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{np.mean(values):+.{digits}f} ± {error:.{digits}f}"


def _ups(by_set) -> str:
    signs = np.sign(list(by_set.values()))
    return f"{int((signs > 0).sum())} / {int((signs < 0).sum())}" if len(signs) else ""


def _seconds(group, done) -> str:
    found = [done.get(key(cell.identity()), {}).get("fit_seconds") for cell in group]
    found = [seconds for seconds in found if seconds is not None]
    return f"{np.median(found):.1f}" if found else ""


def set_table(groups: dict[str, list[Cell]], done: dict) -> str:
    """One row a set: the gap of every candidate to the MLP."""
    gaps = {n: differences(g, groups["mlp"], done) for n, g in groups.items() if n != "mlp"}
    names = sorted({name for by_task in gaps.values() for by in by_task.values() for name in by})
    lines = ["| set | " + " | ".join(gaps) + " |", "|---" * (len(gaps) + 1) + "|"]
    for name in names:
        row = []
        for by_task in gaps.values():
            both = by_task[False] | by_task[True]
            digits = 3 if name in by_task[True] else 2
            row.append(f"{both[name]:+.{digits}f}" if name in both else "")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Options, with what they leave open filled in."""
    parser = arguments(__doc__, "tune.jsonl")
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES))
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6])
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    options.sets = options.sets or sets.names(options.data)
    options.candidates = list(dict.fromkeys(["default", *options.candidates]))
    unknown = set(options.candidates) - set(CANDIDATES)
    if unknown:
        parser.error(f"candidates {sorted(unknown)} are none of {list(CANDIDATES)}")
    return options


def main() -> None:
    """Measure what is missing, then report."""
    options = parse()
    groups = cells(options)
    if not options.report_only:
        run(in_turns(groups), measure_cell, options.results, options.processes)
    done = read(options.results)
    rows = f", at most {options.max_rows} training rows" if options.max_rows else ""
    text = (
        "# Settings on validation splits\n\nThree quarters of every training part to fit, the last "
        f"quarter to score; {options.seeds} seeds{rows}.  Means over {len(options.sets)} sets ± their "
        "standard error; changes are to the default at the same width, paired by set and seed.\n\n"
        f"{report(groups, done)}\n\nGap to the MLP (64, 64), set by set, in points or R²:\n\n"
        f"{set_table(groups, done)}\n"
    )
    print(text)
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
