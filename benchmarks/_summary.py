"""One row per cell instead of one per seed: mean and sd over seeds, and gaps to other methods.

A summary also has rows over several sets, whose ``set`` is "classification" or "regression" (mean
gaps), or "all" (sizes).  CSV files of runs whose single seeds were not kept hold a summary.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["SIZES", "TASKS", "summarise", "summarise_rounds", "summarise_searches"]
__all__ += ["summarise_tuning"]

CELL = ["set", "task", "method", "bits"]
TASKS = {"classification": ("accuracy, points", 2), "regression": ("R²", 3)}  # unit, digits
MLP = "scikit-learn MLP"
REFERENCES = {"mlp": "mlp", "twin": "twin", "counted": "multiplier 1"}
# Title and digits in tables.
SIZES = {
    "compression": ("compression", 1),
    "speedup": ("speedup", 1),
    "nonzeros_mean": ("nonzeros per neuron", 1),
    "nonzeros_max": ("most", 0),
    "proven_bits": ("proven bits", 1),
    "neurons": ("neurons", 0),
    "dead": ("dead", 1),
    "file_kb": (".npz, kB", 1),
    "packed_kb": ("packed weights, kB", 1),
    "fit_seconds": ("fit, s", 1),
}
LARGEST = ["nonzeros_max", "proven_bits"]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Summary of the accuracy benchmark; one that is a summary already stays as it is."""
    if "n_seeds" in rows:
        return rows
    references = {k: m for k, m in REFERENCES.items() if m in set(rows["method"])}
    for name, method in references.items():
        rows = rows.assign(**{f"gap_{name}": _gap(rows, method)})
    cells = over_seeds(rows, CELL)
    groups = rows.groupby(CELL, dropna=False, sort=False)
    cells["proven_bits_max"] = groups["proven_bits"].max().to_numpy()
    cells["best"] = _ties_with_best(cells)
    found = [cells, _sizes_over_sets(rows)]
    if references:
        gaps = [_gaps_over_sets(rows, cells, *reference) for reference in references.items()]
        gaps = pd.concat(gaps, axis=1).reset_index()
        found.append(gaps.assign(set=gaps["task"]))
    return pd.concat(found, ignore_index=True)


def over_seeds(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Mean and sd of every number over the seeds, and their count."""
    groups = rows.groupby(keys, dropna=False, sort=False)
    values = rows.columns.difference([*keys, "seed", "task"], sort=False)
    mean, sd = groups[values].mean(), groups[values].std()
    found = mean.join(sd.add_suffix("_sd"))
    found.insert(0, "n_seeds", groups.size())
    return found.reset_index()


def _gap(rows, method):
    """Score minus that of `method` on the same set and seed: points of accuracy, or R²."""
    keys = ["set", "seed"]
    other = rows[rows["method"] == method]
    if other["bits"].notna().all():
        keys.append("bits")
    theirs = rows[keys].merge(other[[*keys, "score"]], how="left", on=keys)["score"]
    gap = (rows["score"] - theirs.to_numpy()) * np.where(rows["task"] == "regression", 1, 100)
    return gap.mask(rows["method"] == method)


def _noise(sd, other_sd, cells):
    """Below this a difference of mean scores is a tie: one pooled sd, or one row's label.

    One seed tells nothing about its spread: every difference is a tie.
    """
    pooled = np.sqrt((sd**2 + other_sd**2) / 2)
    one_row = (1 / cells["n_test"]).where(cells["task"] == "classification", 0)
    return np.maximum(pooled, one_row).fillna(np.inf)


def _ties_with_best(cells):
    """Whether a cell is proven, and within the noise of the best proven one of its set and width."""
    proven = cells["proven_bits_max"] <= cells["bits"]
    ranked = cells[proven.fillna(False)].sort_values("score", ascending=False, kind="stable")
    best = ranked.groupby(["set", "bits"]).first()[["score", "score_sd"]]
    best = cells[["set", "bits"]].merge(best, how="left", on=["set", "bits"])
    noise = _noise(cells["score_sd"], best["score_sd"], cells)
    return (proven & (best["score"] - cells["score"] <= noise)).fillna(False)


def _gaps_over_sets(rows, cells, name, method):
    """Mean gap over sets with its sd over seeds, and the sets beyond the noise."""
    gap, keys = f"gap_{name}", ["task", "method", "bits"]
    n_sets = cells.groupby("task")["set"].nunique()
    per_seed = rows.dropna(subset=[gap]).groupby([*keys, "seed"], dropna=False)[gap]
    per_seed = per_seed.agg(["mean", "size"]).reset_index()
    per_seed = per_seed[per_seed["size"] == per_seed["task"].map(n_sets)]  # seeds of all sets
    groups = per_seed.groupby(keys, dropna=False)["mean"]
    found = pd.DataFrame({gap: groups.mean(), f"{gap}_sd": groups.std()})
    found[f"sets_{name}"] = _better_tie_worse(cells, gap, method).reindex(found.index)
    return found


def _better_tie_worse(cells, gap, method):
    other = cells.loc[cells["method"] == method, ["set", "score_sd"]]
    other = cells[["set"]].merge(other.drop_duplicates("set"), how="left", on="set")["score_sd"]
    unit = np.where(cells["task"] == "regression", 1, 100)
    beyond = (cells[gap] / unit).abs() > _noise(cells["score_sd"], other, cells)
    sign = np.sign(cells[gap]).where(beyond, 0)
    groups = sign.groupby([cells[k] for k in ("task", "method", "bits")], dropna=False)
    return groups.apply(lambda s: " / ".join(str(int((s == side).sum())) for side in (1, 0, -1)))


def _sizes_over_sets(rows):
    """Medians over sets and seeds; of proven widths and of weights per neuron, the largest."""
    sizes = [name for name in SIZES if name in rows]
    of = {name: "max" if name in LARGEST else "median" for name in sizes}
    found = rows.groupby(["method", "bits"], dropna=False)[sizes].agg(of)
    return found.reset_index().assign(set="all")


def summarise_tuning(rows: pd.DataFrame) -> pd.DataFrame:
    """Summary of the settings benchmark; one that is a summary already stays as it is.

    ``gap`` is that to the MLP and ``change`` that to the defaults at the same width, each with
    its standard error over the sets as ``_sd`` and the sets that are better or worse.
    """
    if "n_seeds" in rows:
        return rows
    rows = rows.assign(gap=_gap(rows, "mlp"), change=_gap(rows, "default"))
    cells = over_seeds(rows, CELL)
    keys = ["task", "method", "bits"]
    groups, found = cells.groupby(keys, dropna=False), {}
    for name in ("gap", "change"):
        found |= {name: groups[name].mean(), f"{name}_sd": groups[name].sem()}
    found["sets_change"] = groups["change"].apply(
        lambda change: f"{(change > 0).sum()} / {(change < 0).sum()}"
    )
    means = pd.DataFrame(found).reset_index()
    means.loc[means["method"] == "default", "sets_change"] = None
    times = rows.groupby(keys[1:], dropna=False)["fit_seconds"].median().reset_index()
    return pd.concat([cells, means.assign(set=means["task"]), times.assign(set="all")])


def summarise_rounds(rows: pd.DataFrame, keys: list[str], times: list[str]) -> pd.DataFrame:
    """Median and range over the rounds, and the ratio to the MLP; a summary stays as it is."""
    if "n_rounds" in rows:
        return rows
    groups = rows.groupby(keys, sort=False)
    found = groups.median(numeric_only=True).drop(columns="round").assign(n_rounds=groups.size())
    for name in times:
        found[f"{name}_min"], found[f"{name}_max"] = groups[name].min(), groups[name].max()
        mlp = found[name].where(found.index.get_level_values("tool") == MLP)
        found[f"{name}_ratio"] = found[name] / mlp.groupby(level=keys[:-1]).transform("max")
    return found.reset_index()


def summarise_searches(rows: pd.DataFrame) -> pd.DataFrame:
    """The first round apart from the later ones; a summary stays as it is."""
    if "n_rounds" in rows:
        return rows
    keys = ["jobs", "tool"]
    later = summarise_rounds(rows[rows["round"] > 0], keys, ["seconds"])
    first = rows[rows["round"] == 0].set_index(keys)["seconds"]
    return later.join(first.rename("first"), on=keys)
