"""Accuracy at proven accumulator widths, beside float models and other ways to narrow sums.

The test part of a folder's set never changes, and seeds vary what training draws.  Of
scikit-learn's own sets, which run without --data, each seed draws its own split.

Methods: linear, hgb, mlp, twin, unpruned, omega1, omega4, a2q, a2q+ and exact ("all"), and every
pruning schedule and criterion under the exact range ("pruning").
"""

from __future__ import annotations

from functools import partial

import _data
from _cells import FLOAT, FREE, LIMITED, PRUNING, measure
from _runner import arguments, run

PACKAGES = ("scikit-learn", "torch", "brevitas", "numpy")
GROUPS = {"all": [*FLOAT, *FREE, *LIMITED], "pruning": list(PRUNING)}


def cells(sets, methods, widths, seeds) -> list[dict]:
    """Seed after seed, so that partial results compare; all methods of a set together."""
    return [
        {"set": name, "method": method, "bits": bits, "seed": seed}
        for seed in range(seeds)
        for name in sets
        for method in methods
        for bits in ([None] if method in (*FLOAT, *FREE) else widths)
    ]


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "accuracy")
    known = [*GROUPS, *dict.fromkeys(GROUPS["all"] + GROUPS["pruning"])]
    parser.add_argument("--methods", nargs="+", default=["all"], choices=known, metavar="METHOD")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 12, 10, 8, 7, 6, 5])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    options = parser.parse_args()
    methods = dict.fromkeys(m for name in options.methods for m in GROUPS.get(name, [name]))
    sets = _data.names(options.data, options.sets)
    wanted = cells(sets, methods, options.bits, options.seeds)
    run(partial(measure, folder=options.data), wanted, options.output, PACKAGES, options.jobs)


if __name__ == "__main__":
    main()
