"""Tables of the accuracy benchmark, from its finished cells: Markdown, mean ± sd over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import sets
from accuracy_plots import write_plots
from cells import FREE, LIMITED

__all__ = ["Results", "report", "title", "write_cells", "write_plots"]


def title(method: str) -> str:
    """A method's name in tables."""
    return (FREE | LIMITED).get(method, method.replace(",", ", ").replace(":", " "))


class Results:
    """Finished cells by set, method and width."""

    def __init__(self, records: Iterable[dict]):
        self._cells: dict[tuple, dict[int, dict]] = defaultdict(dict)
        self._regression: dict[str, bool] = {}
        for record in records:
            place = record["set"], record["method"], record["bits"]
            self._cells[place][record["seed"]] = record
            self._regression[record["set"]] = record["regression"]
        self.sets = sorted({name for name, _, _ in self._cells})
        self.methods = list(dict.fromkeys(method for _, method, _ in self._cells))
        order = [*FREE, *LIMITED]
        self.methods.sort(key=lambda m: order.index(m) if m in order else len(order))
        self.bits = sorted({bits for _, _, bits in self._cells if bits is not None}, reverse=True)

    def seeds(self, name, method, bits) -> dict[int, dict]:
        """Records by seed; those without a width stand at every width."""
        return self._cells.get((name, method, None if method in FREE else bits), {})

    def places(self, methods) -> list[tuple]:
        """Methods with each of their widths; one without a width stands once."""
        return [(m, b) for m in methods for b in (self.bits if m not in FREE else [None])]

    def values(self, name, method, bits, field) -> np.ndarray:
        """One value a seed, of the seeds that have it."""
        found = self.seeds(name, method, bits)
        return np.array([found[s][field] for s in sorted(found) if field in found[s]], float)

    def gaps(self, name, method, bits, to) -> dict[int, float]:
        """Score minus that of `to` on the same seed: points of accuracy, or R²."""
        mine, other = self.seeds(name, method, bits), self.seeds(name, to, bits)
        unit = 1 if self.is_regression(name) else 100
        both = [s for s in mine if "score" in mine[s] and s in other]
        return {s: unit * (mine[s]["score"] - other[s]["score"]) for s in both}

    def is_regression(self, name) -> bool:
        """Whether the set's score is R²."""
        return self._regression[name]

    def noise(self, name, method, other, bits) -> float:
        """Below this a difference of mean scores is a tie: one pooled sd, or one held-back row.

        One seed tells nothing about its spread: every difference is a tie.
        """
        both = [self.values(name, m, bits, "score") for m in (method, other)]
        if min(map(len, both)) < 2:
            return np.inf
        pooled = np.sqrt(np.mean([_sd(v) ** 2 for v in both]))
        if self.is_regression(name):
            return float(pooled)
        rows = next(iter(self.seeds(name, method, bits).values()))["n_held"]
        return float(max(pooled, 1 / rows))


def _sd(values) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _text(values, digits=3, signed=False) -> str:
    if not len(values):
        return ""
    sign = "+" if signed else ""
    spread = f" ± {_sd(values):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):{sign}.{digits}f}{spread}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def score_table(results: Results, methods, bits, field="score") -> str:
    """Sets by methods at one width; in bold what ties with the best of those with a width."""
    rows = []
    for name in results.sets:
        if field == "balanced" and results.is_regression(name):
            continue
        best = _best(results, name, methods, bits, field)
        rows.append([name, *(_score(results, name, m, bits, field, best) for m in methods)])
    return _table(["set", *map(title, methods)], rows)


def _score(results, name, method, bits, field, best) -> str:
    records = results.seeds(name, method, bits).values()
    values = results.values(name, method, bits, field)
    if not len(values):
        return "budget 0" if any("refused" in r for r in records) else ""
    text = _text(values)
    if field == "score" and best is not None and _proven(results, name, method, bits):
        within = results.noise(name, method, best, bits)
        behind = results.values(name, best, bits, field).mean() - values.mean()
        text = f"**{text}**" if behind <= within else text
    widest = max(r.get("proven_bits", 0) for r in records)
    if method == "unpruned":
        return f"{text} ({widest} bits)"
    return f"{text} ({widest} bits!)" if widest > bits else text


def _best(results, name, methods, bits, field):
    proven = [m for m in methods if _proven(results, name, m, bits)]
    return max(proven, key=lambda m: results.values(name, m, bits, field).mean(), default=None)


def _proven(results, name, method, bits) -> bool:
    """Whether the width holds for every seed's network."""
    records = results.seeds(name, method, bits).values()
    widths = [r["proven_bits"] for r in records if "proven_bits" in r]
    return method not in FREE and bool(widths) and max(widths) <= bits


# Methods and widths: rows of the table of gaps, and columns of the one with every set.
HEADLINE_GAPS = [
    ("linear", None), ("hgb", None), ("twin", None),
    ("exact", 16), ("exact", 8), ("exact", 7), ("exact", 6), ("exact", 5),
    ("omega1", 8), ("a2q+", 8),
]  # fmt: skip
HEADLINE_SETS = [
    ("linear", None), ("hgb", None), ("mlp", None), ("twin", None),
    ("exact", 16), ("exact", 8), ("exact", 6),
]  # fmt: skip


def headline_table(results: Results) -> str:
    """The default under proof beside float models: every set, and the mean gap to the MLP."""
    columns = [c for c in HEADLINE_SETS if any(len(results.seeds(n, *c)) for n in results.sets)]
    head = [title(m) + ("" if bits is None else f", {bits} bits") for m, bits in columns]
    rows = [
        [name, *(_text(results.values(name, *c, "score")) for c in columns)]
        for name in sorted(results.sets, key=results.is_regression)
    ]
    for regression, unit in ((False, "points"), (True, "R²")):
        gaps = [_gap_cells(results, *c, "mlp", regression)[0] for c in columns]
        if any(gaps):
            gaps = ["" if m == "mlp" else gap for (m, _), gap in zip(columns, gaps, strict=True)]
            rows.append([f"mean gap to the MLP, {unit}", *gaps])
    return _table(["set", *head], rows)


def summary_table(results: Results, places, to: str) -> str:
    """Mean gaps over the sets to `to`, and how many sets lie outside the noise.

    Rows are pairs of method and width.
    """
    rows = []
    for method, bits in places:
        row = [title(method), "" if bits is None else str(bits)]
        for regression in (False, True):
            row += _gap_cells(results, method, bits, to, regression)
        rows.append(row)
    counts = "sets: better / tie / worse"
    head = ["method", "bits", "accuracy, points", counts, "R²", counts]
    return _table(head, [row for row in rows if any(row[2:])])


def _gap_cells(results, method, bits, to, regression) -> list[str]:
    """Mean over sets with its sd over seeds, and the counts."""
    gaps, counts = {}, [0, 0, 0]
    for name in results.sets:
        found = results.gaps(name, method, bits, to)
        if results.is_regression(name) is not regression or not found:
            continue
        gaps[name] = found
        mean = np.mean(list(found.values())) / (1 if regression else 100)
        noise = results.noise(name, method, to, bits)
        counts[1 if abs(mean) <= noise else 0 if mean > 0 else 2] += 1
    if not gaps:
        return ["", ""]
    common = set.intersection(*(set(found) for found in gaps.values()))
    per_seed = [np.mean([found[s] for found in gaps.values()]) for s in sorted(common)]
    mean = np.mean([np.mean(list(found.values())) for found in gaps.values()])
    digits = 3 if regression else 2
    spread = f" ± {_sd(per_seed):.{digits}f}" if len(per_seed) > 1 else ""
    return [f"{mean:+.{digits}f}{spread}", " / ".join(map(str, counts))]


# Column, field of the record, factor, digits.
SIZES = [
    ("compression", "compression", 1, 1),
    ("speedup", "speedup", 1, 1),
    ("nonzeros per neuron", "nonzeros_mean", 1, 1),
    ("most", "nonzeros_max", 1, 0),
    ("proven bits", "proven_bits", 1, 1),
    ("neurons", "neurons", 1, 0),
    ("dead", "dead", 1, 1),
    (".npz, kB", "file_bytes", 1e-3, 1),
    ("packed weights, kB", "packed_bytes", 1e-3, 1),
    ("fit, s", "fit_seconds", 1, 1),
]


def size_table(results: Results, methods) -> str:
    """Medians over sets and seeds; of proven widths and counts per neuron, the largest."""
    rows = []
    for method, bits in results.places(methods):
        row = [title(method), "" if bits is None else str(bits)]
        for _, field, factor, digits in SIZES:
            every = [results.values(n, method, bits, field) for n in results.sets]
            values = np.concatenate(every) * factor if every else np.empty(0)
            of = np.max if field in ("nonzeros_max", "proven_bits") else np.median
            row.append(f"{of(values):.{digits}f}" if len(values) else "")
        rows.append(row)
    rows = [row for row in rows if any(row[2:])]
    return _table(["method", "bits", *(column for column, *_ in SIZES)], rows)


def cell_table(results: Results) -> str:
    """One row a set, method and width, with everything that is measured."""
    rows = [
        _cell_row(results, name, method, bits)
        for name in results.sets
        for method, bits in results.places(results.methods)
        if results.seeds(name, method, bits)
    ]
    head = ["set", "method", "bits", "score", "balanced", "gap to MLP", "gap to twin"]
    return _table(head + [column for column, *_ in SIZES], rows)


def _cell_row(results, name, method, bits) -> list[str]:
    digits = 3 if results.is_regression(name) else 2
    row = [name, title(method), "" if bits is None else str(bits)]
    row += [_text(results.values(name, method, bits, field)) for field in ("score", "balanced")]
    for to in ("mlp", "twin"):
        gaps = list(results.gaps(name, method, bits, to).values())
        row.append("" if method == to else _text(gaps, digits, signed=True))
    for _, field, factor, digits in SIZES:
        row.append(_text(factor * results.values(name, method, bits, field), digits))
    return row


def report(records, options) -> str:
    """All tables, with what they mean."""
    results = Results(records)
    pruning = [m for m in results.methods if m not in FREE | LIMITED]
    methods = [m for m in results.methods if m not in pruning]
    parts = [_introduction(records, options)]
    if any(m.startswith("a2q") for m in methods):
        parts.append(_AWARE_TEXT)
    if {"mlp", "exact"} <= set(methods):
        parts += ["## The default, proven, beside float models", _GAPS_TEXT]
        parts += [summary_table(results, HEADLINE_GAPS, "mlp"), headline_table(results)]
    for to in ("mlp", "twin"):
        if to in methods:
            others = results.places(m for m in results.methods if m != to)
            parts += [f"## Gap to the {title(to)}", summary_table(results, others, to)]
    if methods != ["exact"] or not pruning:
        parts += _widths_part(results, methods)
    if pruning:
        parts += pruning_part(results, pruning)
    return "\n\n".join(parts) + "\n"


_AWARE_TEXT = (
    "A2Q and A2Q+ stand for the recipe of `accumulator_aware.py`: 4-bit weights, from trained ones, "
    "every layer bounded, the output too.  From 7 bits down few weights a row are left and up to a "
    "third of the neurons are dead, as these methods round toward zero; other networks or "
    "schedules may do better."
)
_GAPS_TEXT = (
    "Gap to the float MLP with two layers of 64: mean over the sets, ± sd over seeds; and on how "
    "many sets it is beyond the noise.  The default of qnnprune is the exact range at 8 bits.  "
    "Below 8 bits the exact range trains longer than a count alone and than the float twin, so "
    "counts stand here at 8 bits only; `--methods pruning` compares them at equal training."
)


def _widths_part(results: Results, methods) -> list[str]:
    parts = []
    for bits in results.bits:
        parts += [f"## {bits} bits", score_table(results, methods, bits)]
    for bits in [b for b in (8, 6) if b in results.bits]:
        table = score_table(results, methods, bits, "balanced")
        parts += [f"## Balanced accuracy at {bits} bits", table]
    return [*parts, "## Sizes and times", _SIZES_TEXT, size_table(results, methods)]


_SIZES_TEXT = (
    "Medians over sets and seeds, but the largest of proven bits and of the weights in a neuron.  "
    "Compression ratio: numbers that the dense network holds (weights, thresholds, output scales "
    "and biases) over those left.  Speedup: multiply-adds of the dense network over those left; "
    "a bound for hardware that skips zeros, not a measured time.  Dead neurons give the same "
    "output over their whole range of sums.  Fit times: one thread, other processes beside it."
)


_COUNTED = "multiplier:1"
_COUNTED_TEXT = (
    'Gap to the default schedule and criterion, "gradual" and "l1", at a count of 1 × Ω.  The other '
    "schedules and criteria may keep as many weights: 1 × Ω a neuron, or 2 × Ω where half of the "
    "neurons are removed.  They keep fewer where training leaves weights at zero, or where removed "
    'neurons take others with them that nothing reads.  "exact range" has no count and keeps more.'
)


def pruning_part(results: Results, methods) -> list[str]:
    """Pruning schedules and criteria at equal proven width, and what they keep."""
    compared = ["exact", *methods] if "exact" in results.methods else methods
    parts = ["## Pruning methods at equal proven width"]
    if _COUNTED in methods:
        others = results.places(m for m in compared if m != _COUNTED)
        parts += [_COUNTED_TEXT, summary_table(results, others, _COUNTED)]
    for bits in results.bits:
        parts += [f"### {bits} bits", score_table(results, compared, bits)]
        rows = []
        for name in results.sets:
            nonzeros = [results.values(name, m, bits, "nonzeros") for m in compared]
            rows.append([name, *(_text(values, 0) for values in nonzeros)])
        parts += ["Nonzero weights:", _table(["set", *map(title, compared)], rows)]
    return [*parts, "### Sizes and times", _SIZES_TEXT, size_table(results, compared)]


def _introduction(records, options) -> str:
    part = "a quarter of the training part" if options.validation else "the test part"
    seeds = sorted({record["seed"] for record in records})
    rows = f"  At most {options.max_rows} training rows." if options.max_rows else ""
    versions = ", ".join(sorted({record["version"] for record in records}))
    caps = sorted({f"{r['method']} on {r['set']}: {r['rows']}" for r in records if "rows" in r})
    capped = f"  Fewer training rows: {'; '.join(caps)}." if caps else ""
    return (
        f"# Accuracy at proven accumulator widths\n\nAccuracy, or R² for regression, on {part}; "
        f"mean ± sd over {len(seeds)} seed(s).  qnnprune {versions}, on {sets.machine()}.{rows}"
        f"{capped}\n\n"
        "Bold: the best of the methods whose width holds for every input, and those within the "
        "noise of it: one pooled sd over seeds or, for labels, one held-back row; with one seed all "
        "are ties.  Where a set fixes its test part, seeds vary training alone, and what another "
        "test part would change comes on top.  "
        '"(9 bits!)": the worst case of that network needs more bits than the column allows, so '
        "it may overflow; scores are those of unbounded sums."
    )


def write_cells(records, path) -> None:
    """The table of all cells, in a file of its own."""
    path.write_text(f"# All cells\n\n{cell_table(Results(records))}\n", encoding="utf-8")
