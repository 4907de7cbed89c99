"""Tables of the accuracy benchmark, from a summary with one row per cell."""

from __future__ import annotations

import pandas as pd
from _summary import SIZES, TASKS, summarise
from _tables import markdown, table, texts

__all__ = ["TITLES", "accuracy_tables"]

TITLES = {
    "linear": "linear",
    "hgb": "HistGradientBoosting",
    "mlp": "MLP (64, 64)",
    "twin": "float twin",
    "unpruned": "quantized, unpruned",
    "omega1": "count, 1 × Ω",
    "omega4": "count, 4 × Ω",
    "a2q": "A2Q",
    "a2q+": "A2Q+",
    "exact": "exact range",
}
# Methods and widths of the first two tables; 0 stands for no width.
FIRST_SETS = [("linear", 0), ("hgb", 0), ("mlp", 0), ("twin", 0)]
FIRST_SETS += [("exact", 16), ("exact", 8), ("exact", 6)]
FIRST_GAPS = [*FIRST_SETS, ("exact", 7), ("exact", 5), ("omega1", 8), ("a2q+", 8)]
MOST_COLUMNS = 10


def accuracy_tables(rows: pd.DataFrame) -> dict[str, str]:
    """Every table, by its name in the pages."""
    summary = _prepare(summarise(rows))
    cells = summary[summary["n_seeds"].notna()]
    sizes = {name: f"{{{size}:.{digits}f}}" for size, (name, digits) in SIZES.items()}
    found = {}
    for reference in ("mlp", "twin", "counted"):
        if f"gap_{reference}" in summary:
            found[f"gaps to {reference}"] = _gap_table(summary, reference)
    if "gap_mlp" in summary:
        found["first gaps"] = _gap_table(_among(summary, FIRST_GAPS), "mlp")
        found["sets"] = _set_table(_among(summary, FIRST_SETS))
    for bits, group in cells.groupby("width"):
        for measure, digits in (("score", 3), ("balanced", 3), ("nonzeros", 0)):
            if measure in group:
                found[f"{measure} at {bits or 'any'} bits"] = _scores(group, measure, digits)
    every = summary[summary["set"] == "all"]
    found["sizes"] = table(every, {"method": "{name}", "bits": "{width}"} | sizes)
    return found


def _prepare(summary):
    """All rows in the order of the tables, with names; no width becomes 0."""
    summary = summary.fillna({"bits": 0})
    order = [*TITLES, *summary["method"].unique()]
    summary = summary.assign(
        name=summary["method"].map(lambda method: TITLES.get(method, method)),
        width=summary["bits"].map(lambda bits: f"{bits:.0f}" if bits else ""),
        place=summary["method"].map(order.index) * 100 - summary["bits"],
    )
    return summary.sort_values(["place", "task", "set"])


def _among(rows, places):
    """Rows whose method and width are among the places."""
    return rows[[place in places for place in zip(rows["method"], rows["bits"], strict=True)]]


def _gap(name, task) -> str:
    digits = TASKS[task][1]
    return f"{{gap_{name}:+.{digits}f}} ± {{gap_{name}_sd:.{digits}f}}"


def _gap_table(summary, reference) -> str:
    """Mean gaps over the sets, and the sets beyond the noise; a row per method and width."""
    rows = summary[summary["set"].isin(TASKS) & summary[f"gap_{reference}"].notna()]
    rows = rows.set_index("place")
    columns = [rows[["name", "width"]].drop_duplicates().set_axis(["method", "bits"], axis=1)]
    for task, (unit, _) in TASKS.items():
        found = rows[rows["set"] == task]
        columns.append(texts(found, _gap(reference, task)).rename(unit))
        counts = f"{unit.split(',')[0]}: sets better / tie / worse"
        columns.append(found[f"sets_{reference}"].rename(counts))
    return markdown(pd.concat(columns, axis=1))


def _set_table(rows) -> str:
    """Every set, and the mean gap to the MLP."""
    label = rows["name"] + rows["width"].map(lambda width: f", {width} bits" if width else "")
    text = texts(rows, "{score:.3f} ± {score_sd:.3f}")
    for task in TASKS:
        text = text.where(rows["set"] != task, texts(rows, _gap("mlp", task)))
    rows = rows.assign(label=label, text=text)[rows["set"] != "all"]
    names = rows[rows["n_seeds"].notna()].sort_values(["task", "set"])["set"].unique()
    wide = rows.pivot(index="set", columns="label", values="text")[rows["label"].unique()]
    units = {task: f"mean gap to the MLP, {TASKS[task][0].split(', ')[-1]}" for task in TASKS}
    return markdown(wide.reindex([*names, *TASKS]).rename(index=units).reset_index())


def _scores(rows, measure, digits) -> str:
    """Sets by methods at one width; the other way round if there are many methods."""
    note = texts(rows, " ({proven_bits_max:.0f} bits" + ("!)" if rows["bits"].any() else ")"))
    overflows = (rows["proven_bits_max"] > rows["bits"]) & (measure != "nonzeros")
    bold = (rows["best"].map(str) == "True") & (measure == "score")
    rows = rows.assign(bold=bold.map({True: "**", False: ""}), note=note.where(overflows, ""))
    value = f"{{{measure}:.{digits}f}} ± {{{measure}_sd:.{digits}f}}"
    rows = rows.assign(text=texts(rows, f"{{bold}}{value}{{bold}}{{note}}"))
    rows = rows[rows[measure].notna()]
    wide = rows.pivot(index="set", columns="name", values="text")[rows["name"].unique()]
    if len(wide.columns) > MOST_COLUMNS:
        wide = wide.T.rename_axis("method")
    return markdown(wide.reset_index())
