"""Picture of the accuracy benchmark: mean gap to the float MLP at every width."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd
from _accuracy_tables import TITLES
from _summary import TASKS, summarise
from matplotlib.figure import Figure

__all__ = ["draw_gaps"]

COLORS = {"omega1": "#1f77b4", "omega4": "#ff7f0e", "a2q": "#2ca02c", "a2q+": "#9467bd"}
LOWEST = {"classification": -12, "regression": -0.25}


def draw_gaps(rows: pd.DataFrame, path: Path) -> None:
    """Write an SVG file, the same from run to run."""
    summary = summarise(rows)
    # Text as text, in one font, and the same names in every run: a small file that diffs well.
    look = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"], "svg.hashsalt": "qnnprune"}
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(8.5, 3.2), layout="constrained")
        for axes, (task, (unit, _)) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
            chosen = summary[(summary["set"] == task) & summary["bits"].notna()]
            _draw_task(axes, chosen.sort_values("bits"))
            low, _ = axes.get_ylim()
            axes.set_ylim(bottom=max(low, LOWEST[task]))
            axes.set(title=f"mean gap to the float MLP: {unit}", xlabel="accumulator, bits")
        axes.legend(fontsize=7)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_task(axes, rows):
    widths = sorted(rows["bits"].unique())
    for method, curve in rows.groupby("method", sort=False):
        look = {"color": COLORS.get(method, "#d62728"), "lw": 2.5 if method == "exact" else 1}
        places = [widths.index(bits) for bits in curve["bits"]]
        note = " (may overflow)" if method == "omega4" else ""
        axes.plot(places, curve["gap_mlp"], "o-", label=TITLES[method] + note, **look)
    axes.axhline(0, color="0.4", ls=":", label="MLP (64, 64), float")
    axes.set_xticks(range(len(widths)), [f"{bits:.0f}" for bits in widths])
