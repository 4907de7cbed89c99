"""Accuracy at proven accumulator widths, beside float models and other ways to narrow sums.

    python benchmarks/accuracy.py [--data FOLDER] [--sets ...] [--methods ...]
        [--bits 16 12 10 8 7 6 5] [--seeds 3] [--processes 2] [--results FILE.jsonl]
        [--validation] [--max-rows N] [--output FILE.md] [--report-only]

FOLDER holds ``load.py`` and the sets; without it scikit-learn's own run.  A folder fixes the test
part, and seeds vary what training draws; of scikit-learn's own sets each seed draws its own split.
With --validation a quarter of the training part is held back instead, drawn by the seed, and the
test part is left alone: settings are chosen that way (benchmarks/tune.py).

Every finished cell is a line of --results; an interrupted run goes on where it was.  A cell counts
as finished only for the settings that it was measured with, the defaults of the estimators
included.  Not included is what "auto" comes to: after a change of that start a new file.  A network
that no weights can push to its limits is the unpruned one, and not trained again.

Methods: linear, hgb, mlp, twin, unpruned, omega1, omega4, a2q, a2q+ and exact; and, under the
exact range, other pruning methods, named by their parts:
``schedule:one_shot``, ``schedule:one_shot,criterion:random``, ``criterion:l1,multiplier:1`` (a
count of 1 × Ω on top).  "all" stands for the ten, "pruning" for every schedule and every
criterion that the library has, with counts that leave equally many weights.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import sets
from cells import FREE, LIMITED, PARTS, Cell, is_unlimited, pruning_methods
from cells import measure as measure_cell
from resumable import append, arguments, key, read, run

BITS = [16, 12, 10, 8, 7, 6, 5]
# Partial results are most useful in this order.
BITS_FIRST = [8, 6, 16, 7, 5, 10, 12]


def cells(options) -> list[Cell]:
    """All cells in the order in which they run: width, then seed, then set, quick ones first."""
    free = [m for m in options.methods if m in FREE]
    limited = [m for m in options.methods if m not in FREE]
    order = {bits: place for place, bits in enumerate(BITS_FIRST)}
    widths = sorted(options.bits, key=lambda bits: order.get(bits, len(order)))
    common = {
        "folder": options.data,
        "validation": options.validation,
        "max_rows": options.max_rows,
    }
    found = []
    for place, bits in enumerate(widths):
        for seed in range(options.seeds):
            for name in sets.quick_first(options.sets, options.data):
                if place == 0:
                    found += [Cell(name, m, None, seed, **common) for m in free]
                found += [Cell(name, m, bits, seed, **common) for m in limited]
    return found


def already_known(wanted: list[Cell], done: dict[str, dict]) -> list[dict]:
    """Records of the cells that an unpruned one settles, as no weights reach their limits."""
    found = []
    for cell in wanted:
        unpruned = done.get(key(replace(cell, method="unpruned", bits=None).identity()))
        name = key(cell.identity())
        if unpruned and name not in done and is_unlimited(cell, unpruned["fan_in"]):
            found.append(unpruned | cell.identity() | {"key": name})
    return found


def method_names(wanted: list[str]) -> list[str]:
    """Spell out "all" and "pruning", once each and in the order of the tables."""
    groups = {"all": [*FREE, *LIMITED], "pruning": pruning_methods()}
    names = [name for w in wanted for name in groups.get(w, [w])]
    for name in names:
        parts = name.split(",")
        if name not in FREE | LIMITED and not all(p.split(":")[0] in PARTS for p in parts):
            raise SystemExit(f"Unknown method {name!r}: see --help.")
    return list(dict.fromkeys(names))


def parse() -> argparse.Namespace:
    """Options, with what they leave open filled in."""
    parser = arguments(__doc__, "accuracy.jsonl")
    parser.add_argument("--methods", nargs="+", default=["all"])
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--validation", action="store_true")
    options = parser.parse_args()
    options.methods = method_names(options.methods)
    known = sets.names(options.data)
    options.sets = options.sets or known
    unknown = set(options.sets) - set(known)
    if unknown:
        parser.error(f"sets {sorted(unknown)} are none of {known}")
    return options


def main() -> None:
    """Measure what is missing, then report."""
    options = parse()
    wanted = cells(options)
    if not options.report_only:
        append(options.results, already_known(wanted, read(options.results)))
        run(wanted, measure_cell, options.results, options.processes)
    from accuracy_report import report, write_cells, write_plots

    done = read(options.results)
    records = [done[k] for k in (key(cell.identity()) for cell in wanted) if k in done]
    if not records:
        raise SystemExit(f"{options.results} has no finished cell of these settings.")
    text = report(records, options)
    print(text)
    if options.output:
        output = Path(options.output)
        output.write_text(text, encoding="utf-8")
        write_cells(records, output.with_name(f"{output.stem}_cells.md"))
        write_plots(records, output)


if __name__ == "__main__":
    main()
