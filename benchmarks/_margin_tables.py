"""Tables of the benchmark of defaults."""

from __future__ import annotations

import pandas as pd
from _margins import BEHIND, margins, over_seeds
from _summary import TASKS
from _tables import markdown, table, texts

__all__ = ["TITLES", "margin_tables"]

TITLES = {
    "linear": "linear",
    "mlp": "MLP (64, 64)",
    "hgb": "HistGradientBoosting",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "realmlp": "RealMLP-TD",
    "qnnprune": "qnnprune",
}


def margin_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Every table, by its name in the page."""
    found, sets, means = {}, _in_order(over_seeds(rows)), _in_order(margins(rows))
    for kind in sorted(rows["kind"].unique()):
        found[f"margins, {kind}"] = _margins(means[means["kind"] == kind])
        found[f"scores, {kind}"] = _wide(sets[sets["kind"] == kind], _score(sets))
        seconds = texts(sets, "{cpu_seconds:.3g}")
        found[f"seconds, {kind}"] = _wide(sets[sets["kind"] == kind], seconds, sizes=True)
    found["sizes"] = _sizes(sets[sets["bits"] > 0])
    return found


def _in_order(rows):
    """Rows by method and falling width, with a label of both."""
    order = list(TITLES)
    label = rows["method"].map(TITLES) + rows["bits"].map(lambda b: f", {b} bits" if b else "")
    place = rows["method"].map(order.index) * 100 - rows["bits"]
    return rows.assign(label=label, place=place).sort_values(["place", "task"], kind="stable")


def _margins(means) -> str:
    """Both tasks side by side; a row per method and width."""
    columns = [means[["place", "label"]].drop_duplicates().set_index("place")]
    columns[0].columns = ["method"]
    for task, (unit, digits) in TASKS.items():
        at = means[means["task"] == task].set_index("place")
        name = unit.split(",")[0]
        columns += [
            texts(at, f"{{gap:+.{digits}f}} ± {{gap_sd:.{digits}f}}").rename(f"{unit}"),
            texts(at, "{n_sets:.0f}").rename(f"{name}: sets"),
            at["behind"].rename(f"{name}: more than {BEHIND[task]:g} behind"),
            texts(at, "{cpu_ratio:.2g}").rename(f"{name}: CPU time × MLP"),
        ]
    return markdown(pd.concat(columns, axis=1))


def _score(sets):
    """Mean and sd, and the rows of a fit where it had not all."""
    score = texts(sets, "{score:.3f} ± {score_sd:.3f}")
    capped = texts(sets, " ({n_fit:,.0f} rows)").where(sets["n_fit"] < sets["n_train"], "")
    return score + capped


def _wide(sets, text, sizes=False) -> str:
    """Sets by methods; regression after classification."""
    sets = sets.assign(text=text.reindex(sets.index))
    wide = sets.pivot(index="set", columns="label", values="text")[sets["label"].unique()]
    first = sets.sort_values(["task", "set"]).drop_duplicates("set").set_index("set")
    if sizes:
        wide.insert(0, "rows", texts(first, "{n_train:,.0f}"))
        wide.insert(1, "columns", texts(first, "{n_columns:.0f}"))
    return markdown(wide.reindex(first.index).reset_index())


def _sizes(own) -> str:
    """Largest proven width and median number of weights, per width asked for."""
    groups = own.groupby(["kind", "bits"], sort=False)
    found = groups.agg(proven=("proven_bits", "max"), nonzeros=("nonzeros", "median"))
    columns = {"sets": "{kind}", "bits": "{bits}", "most proven bits": "{proven:.0f}"}
    return table(found.reset_index(), columns | {"weights, median": "{nonzeros:,.0f}"})
