"""Defaults beside defaults: qnnprune at proven widths, boosted trees, RealMLP and the float MLP.

Nothing is set but the width and the seed.  Sets are those of --data and the synthetic families.
Of a synthetic family each seed draws another table.  Every model has one thread.

A run adds what the CSV lacks, and --only, --sets, --seeds and --bits name a part of it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import _data
from _anchors import ANCHORS, LEFT_OUT, OWN
from _default_cells import measure
from _runner import arguments, merge, run
from _synthetic import FAMILIES

PACKAGES = ("scikit-learn", "lightgbm", "catboost", "pytabkit", "torch", "numpy")
WIDTHS = [16, 8, 7, 6, 5, 4]


def cells(sets, methods, widths, seeds) -> list[dict]:
    """Seed after seed, so that partial results compare; all methods of a set together."""
    return [
        {"set": name, "method": method, "bits": bits, "seed": seed}
        for seed in seeds
        for name in sets
        for method in methods
        for bits in (widths if method == OWN else [None])
        if (method, name) not in LEFT_OUT
    ]


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "defaults")
    methods = [*ANCHORS, OWN]
    parser.add_argument("--only", nargs="+", default=methods, choices=methods, metavar="METHOD")
    parser.add_argument("--bits", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    note = "take over rows of other CSV files, and measure nothing"
    parser.add_argument("--merge", nargs="+", type=Path, metavar="CSV", help=note)
    options = parser.parse_args()
    if options.merge:
        return merge(options.merge, options.output, ["set", "method", "bits", "seed"])
    families = [name for name in options.sets or FAMILIES if name in FAMILIES]
    chosen = [name for name in options.sets or [] if name not in FAMILIES]
    real = _data.names(options.data, chosen or None) if chosen or not options.sets else []
    wanted = cells([*families, *real], options.only, options.bits, options.seeds)
    one = partial(measure, folder=options.data)
    run(one, wanted, options.output, PACKAGES, options.jobs, own_version=False)


if __name__ == "__main__":
    main()
