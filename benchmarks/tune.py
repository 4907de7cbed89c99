"""Which settings help: candidates on validation splits, beside the defaults and a float MLP.

How defaults are chosen:

1. Add what differs from the defaults to `CANDIDATES`, by a name that was never measured.
2. Each candidate is fitted on three quarters of the training part of each set and scored on the
   last quarter.  Each seed draws another quarter.  Test parts are not used.
3. A candidate becomes a default only if its difference to the defaults, paired by set and
   averaged over the sets, is more than twice its standard error; or if it scores the same and
   costs less.
4. Test parts are looked at once, at the end, with benchmarks/accuracy.py.
"""

from __future__ import annotations

from functools import partial

import _data
from _cells import measure as measure_cell
from _runner import arguments, run
from accuracy import PACKAGES

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


def measure(set, method, bits, seed, *, folder, max_rows) -> dict:
    """A candidate, by its name, or the MLP, on a validation split."""
    common = {"folder": folder, "max_rows": max_rows, "validation": True}
    found = measure_cell(set, method, bits, seed, parameters=CANDIDATES.get(method), **common)
    return {name: found[name] for name in ("task", "score", "fit_seconds")}


def main() -> None:
    """Measure what is missing."""
    parser = arguments(__doc__, "tune")
    names = list(CANDIDATES)
    parser.add_argument("--candidates", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--max-rows", type=int, default=5000, help="training rows, at most")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time, one thread each")
    options = parser.parse_args()
    methods = [("mlp", None)] + [
        (name, bits)
        for name in dict.fromkeys(["default", *options.candidates])
        for bits in options.bits
    ]
    wanted = [
        {"set": name, "method": method, "bits": bits, "seed": seed}
        for seed in range(options.seeds)
        for name in _data.names(options.data, options.sets)
        for method, bits in methods
    ]
    one = partial(measure, folder=options.data, max_rows=options.max_rows)
    run(one, wanted, options.output, PACKAGES, options.jobs)


if __name__ == "__main__":
    main()
