"""Picture of the device benchmark: score against bytes of flash, with the Pareto front of each set."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

__all__ = ["draw_devices", "front"]

LOOKS = {"qnnprune": ("#d62728", "o"), "forest": ("#2ca02c", "^"), "MLP": ("#1f77b4", "s")}


def kind_of(model: pd.Series) -> pd.Series:
    """The kind of a model, by the first word of its name."""
    return model.str.split().str[0]


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that no other one beats in score and in flash, by rising flash."""
    rows = rows.sort_values(["flash", "score"], ascending=[True, False])
    best_before = np.maximum.accumulate(rows["score"].to_numpy(dtype=float))
    return rows[np.append(True, best_before[1:] > best_before[:-1])]


def draw_devices(rows: pd.DataFrame, path: Path) -> None:
    """Write an SVG file, the same from run to run."""
    sets = rows["set"].unique()
    look = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"], "svg.hashsalt": "qnnprune"}
    with matplotlib.rc_context(look):
        n_lines = -(-len(sets) // 4)
        figure = Figure(figsize=(11, 2.6 * n_lines), layout="constrained")
        panels = np.ravel(figure.subplots(n_lines, 4, squeeze=False))
        for axes, name in zip(panels, sets, strict=False):
            _draw_set(axes, rows[rows["set"] == name])
            axes.set_title(name, fontsize=9)
        for axes in panels[len(sets) :]:
            axes.axis("off")
        panels[0].legend(fontsize=7)
        figure.supxlabel("flash on a Cortex-M3, bytes", fontsize=9)
        figure.supylabel("accuracy", fontsize=9)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_set(axes, rows: pd.DataFrame) -> None:
    best = front(rows)
    axes.step(best["flash"], best["score"], where="post", color="0.7", zorder=0)
    for kind, (color, marker) in LOOKS.items():
        points = rows[kind_of(rows["model"]) == kind]
        axes.scatter(points["flash"], points["score"], s=22, c=color, marker=marker, label=kind)
    axes.set_xscale("log")
    axes.set_xticks([500, 1_000, 2_000, 5_000, 10_000], ["500", "1k", "2k", "5k", "10k"])
    axes.set_xticks([], minor=True)
    axes.set_xlim(400, 14_000)
    axes.tick_params(labelsize=7)
