"""Margins of the benchmark of defaults: gaps to the float MLP, over sets and seeds.

A gap is a score minus the MLP's on the same set and seed, in points of accuracy or in R².  The mean
gap of each set is clipped before the mean over sets, so that no set decides alone.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["BEHIND", "CLIP", "margins", "over_seeds"]

CLIP = {"classification": 5.0, "regression": 0.1}
BEHIND = {"classification": 2.0, "regression": 0.05}
GROUP = ["kind", "task", "method", "bits"]
NUMBERS = [
    "score",
    "gap",
    "cpu_seconds",
    "proven_bits",
    "nonzeros",
    "n_train",
    "n_fit",
    "n_columns",
]


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per set, method and width: means, and sd as ``_sd``, over the seeds.

    ``gap`` is that to the MLP, and ``cpu_ratio`` the ratio of mean CPU seconds to the MLP's.
    """
    # Without rows of qnnprune there are no sizes of its networks.
    rows = _with_gaps(rows).reindex(columns=[*GROUP, "set", *NUMBERS])
    groups = rows.groupby([*GROUP, "set"], sort=False)
    found = groups[NUMBERS].mean().join(groups[["score", "gap"]].std().add_suffix("_sd"))
    found = found.assign(n_seeds=groups.size()).reset_index()
    mlp = found[found["method"] == "mlp"].set_index("set")["cpu_seconds"]
    return found.assign(cpu_ratio=found["cpu_seconds"] / found["set"].map(mlp))


def margins(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per kind of sets, task, method and width.

    Returns
    -------
    DataFrame
        ``gap``, the mean over sets of clipped gaps; ``gap_sd``, the sd over seeds of that mean;
        ``n_sets``; ``n_seeds``, of the set with fewest; ``behind``, the sets more than `BEHIND`
        below the MLP, worst first; ``cpu_seconds`` and ``cpu_ratio``, medians over the sets.
    """
    sets = over_seeds(rows)
    groups = sets.assign(gap=_clip(sets)).groupby(GROUP, sort=False)
    found = pd.DataFrame(
        {
            "gap": groups["gap"].mean(),
            "n_sets": groups.size(),
            "n_seeds": groups["n_seeds"].min(),
            "cpu_seconds": groups["cpu_seconds"].median(),
            "cpu_ratio": groups["cpu_ratio"].median(),
        }
    )
    found["gap_sd"] = _spread(rows, found["n_sets"])
    found["behind"] = sets.groupby(GROUP, sort=False)[["set", "task", "gap"]].apply(_behind)
    return found.reset_index()


def _with_gaps(rows):
    """Rows whose width is 0 instead of missing, with the gap to the MLP; none for the MLP."""
    keys = ["set", "seed"]
    mlp = rows[rows["method"] == "mlp"].set_index(keys)["score"]
    theirs = mlp.reindex(pd.MultiIndex.from_frame(rows[keys])).to_numpy()
    unit = np.where(rows["task"] == "regression", 1, 100)
    gap = ((rows["score"] - theirs) * unit).mask(rows["method"] == "mlp")
    return rows.assign(gap=gap, bits=rows["bits"].fillna(0).astype(int))


def _clip(rows):
    most = rows["task"].map(CLIP)
    return rows["gap"].clip(-most, most)


def _spread(rows, n_sets):
    """Sd over those seeds that all of the sets have."""
    rows = _with_gaps(rows)
    groups = rows.assign(gap=_clip(rows)).groupby([*GROUP, "seed"])["gap"]
    seeds = groups.agg(["mean", "count"]).reset_index("seed").join(n_sets)
    return seeds[seeds["count"] == seeds["n_sets"]].groupby(GROUP)["mean"].std()


def _behind(sets):
    task = sets["task"].iloc[0]
    digits = {"classification": 1, "regression": 3}[task]
    worst = sets[sets["gap"] < -BEHIND[task]].sort_values("gap")
    return ", ".join(
        f"{s} {g:+.{digits}f}" for s, g in zip(worst["set"], worst["gap"], strict=True)
    )
