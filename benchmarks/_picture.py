"""Pictures of the benchmarks of accuracy and of defaults: mean gap to the float MLP at every width."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import matplotlib
import pandas as pd
from _accuracy_tables import TITLES
from _margin_tables import TITLES as MODELS
from _margins import margins
from _summary import TASKS, summarise
from matplotlib.figure import Figure

__all__ = ["draw_gaps", "draw_margins"]

COLORS = {"omega1": "#1f77b4", "omega4": "#ff7f0e", "a2q": "#2ca02c", "a2q+": "#9467bd"}
LOWEST = {"classification": -12, "regression": -0.25}
OWN = "#d62728"
ANCHORS = {"hgb": "#8c564b", "lightgbm": "#2ca02c", "catboost": "#1f77b4", "realmlp": "#9467bd"}


def draw_gaps(rows: pd.DataFrame, path: Path) -> None:
    """Accuracy: a curve per method.  Write an SVG file, the same from run to run."""
    summary = summarise(rows)
    with _figure(path, height=3.2) as figure:
        for axes, (task, (unit, _)) in zip(figure.subplots(1, 2), TASKS.items(), strict=True):
            chosen = summary[(summary["set"] == task) & summary["bits"].notna()]
            _draw_task(axes, chosen.sort_values("bits"))
            low, _ = axes.get_ylim()
            axes.set_ylim(bottom=max(low, LOWEST[task]))
            axes.set(title=f"mean gap to the float MLP: {unit}", xlabel="accumulator, bits")
        axes.legend(fontsize=7)


def draw_margins(rows: pd.DataFrame, path: Path) -> None:
    """Defaults: a curve for qnnprune, a line for each float model but the linear ones."""
    means = margins(rows)
    kinds = sorted(means["kind"].unique())
    with _figure(path, height=3.2 * len(kinds)) as figure:
        panels = figure.subplots(len(kinds), 2, squeeze=False)
        for line, kind in zip(panels, kinds, strict=True):
            for axes, (task, (unit, _)) in zip(line, TASKS.items(), strict=True):
                _draw_margins(axes, means[(means["kind"] == kind) & (means["task"] == task)])
                axes.set_title(f"{kind} sets, mean gap to the float MLP: {unit}", fontsize=9)
                axes.set_xlabel("accumulator, bits", fontsize=8)
        panels[0, 0].legend(fontsize=7)


@contextmanager
def _figure(path, height):
    """A figure that is written at the end."""
    # Text as text, in one font, and the same names in every run: a small file that diffs well.
    look = {"svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"], "svg.hashsalt": "qnnprune"}
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(8.5, height), layout="constrained")
        yield figure
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_task(axes, rows):
    widths = sorted(rows["bits"].unique())
    for method, curve in rows.groupby("method", sort=False):
        look = {"color": COLORS.get(method, OWN), "lw": 2.5 if method == "exact" else 1}
        places = [widths.index(bits) for bits in curve["bits"]]
        note = " (may overflow)" if method == "omega4" else ""
        axes.plot(places, curve["gap_mlp"], "o-", label=TITLES[method] + note, **look)
    axes.axhline(0, color="0.4", ls=":", label="MLP (64, 64), float")
    axes.set_xticks(range(len(widths)), [f"{bits:.0f}" for bits in widths])


def _draw_margins(axes, means):
    means = means.set_index("method")
    for method, color in ANCHORS.items():
        if method in means.index:
            axes.axhline(means.loc[method, "gap"], color=color, ls="--", lw=1, label=MODELS[method])
    axes.axhline(0, color="0.4", ls=":", label="MLP (64, 64), float")
    own = means[means["bits"] > 0].sort_values("bits")
    if len(own):
        spread = own["gap_sd"].fillna(0)
        axes.errorbar(range(len(own)), own["gap"], spread, fmt="o-", color=OWN, label="qnnprune")
        axes.set_xticks(range(len(own)), own["bits"])
