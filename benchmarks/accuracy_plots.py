"""Pareto plots of the accuracy benchmark, as SVG files that are the same from run to run."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from cells import FREE
from matplotlib.ticker import MaxNLocator

__all__ = ["write_plots"]

_LEVELS = {"mlp": ("0.4", ":"), "twin": ("0.4", "--")}
_COLORS = ["blue", "orange", "green", "purple", "brown", "pink", "gray", "olive", "cyan"]


def write_plots(records, output) -> None:
    """Score against the worst-case width and against nonzero weights, a panel a set; mean gaps."""
    from accuracy_report import Results

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "qnnprune"
    results = Results(records)
    axes = {
        "width": ("proven_bits", "proven accumulator, bits"),
        "nonzeros": ("nonzeros", "nonzero weights"),
    }
    figures = {s: _panels(results, field, label) for s, (field, label) in axes.items()}
    if "mlp" in results.methods and any(results.bits):
        figures["gap"] = _gap_figure(results)
    for suffix, figure in figures.items():
        path = output.with_name(f"{output.stem}_{suffix}.svg")
        figure.savefig(path, metadata={"Date": None})


def _color(method: str, place: int) -> str:
    return "tab:red" if method == "exact" else f"tab:{_COLORS[place % len(_COLORS)]}"


def _gap_figure(results):
    """Mean gap to the float MLP over the sets, by width; only where every set has finished."""
    from accuracy_report import title
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    tasks = {False: "accuracy, points", True: "R²"}
    bits = results.bits[::-1]
    for axes, (regression, label) in zip(figure.subplots(1, 2), tasks.items(), strict=True):
        names = [name for name in results.sets if results.is_regression(name) is regression]
        for place, method in enumerate(m for m in results.methods if m not in FREE):
            gaps = [[_mean(results.gaps(n, method, b, "mlp")) for n in names] for b in bits]
            look = {"color": _color(method, place), "lw": 2.5 if method == "exact" else 1}
            axes.plot(range(len(bits)), np.mean(gaps, axis=1), "o-", label=title(method), **look)
        axes.axhline(0, color="0.4", ls=":", label="MLP (64, 64), float")
        axes.set(title=f"mean gap to the float MLP: {label}", xlabel="accumulator, bits")
        axes.set_xticks(range(len(bits)), bits)
        if names:
            low = np.nanmin([line.get_ydata() for line in axes.get_lines()[:-1]])
            axes.set_ylim(bottom=max(low, -12 if not regression else -0.25))
    axes.legend(fontsize=7)
    return figure


def _mean(gaps) -> float:
    return float(np.mean(list(gaps.values()))) if gaps else np.nan


def _panels(results, field, label):
    from matplotlib.figure import Figure

    columns = min(4, len(results.sets))
    rows = math.ceil(len(results.sets) / columns)
    figure = Figure(figsize=(3.2 * columns, 2.5 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, results.sets, strict=False):
        _panel(axes, results, name, field)
    for axes in panels[len(results.sets) :]:
        axes.set_visible(False)
    figure.supxlabel(label)
    figure.supylabel("accuracy, or R²")
    handles = {}
    for axes in panels[: len(results.sets)]:
        handles |= {
            text: handle for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5, fontsize=8)
    return figure


def _panel(axes, results, name, field):
    """Curves over the widths; float models as levels."""
    from accuracy_report import title

    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=7)
    for method, (color, style) in _LEVELS.items():
        values = results.values(name, method, None, "score")
        if len(values):
            axes.axhline(values.mean(), color=color, ls=style, lw=1, label=title(method))
    limited = [m for m in results.methods if m not in FREE]
    for place, method in enumerate(limited):
        x, score, spread = _curve(results, name, method, field)
        look = {"color": _color(method, place), "marker": "o", "ms": 2.5, "lw": 1}
        axes.errorbar(x, score, spread, label=title(method), **look)
    if field == "nonzeros":
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter("")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _curve(results, name, method, field):
    """Mean position, score and sd at every width that was asked for."""
    points = []
    for bits in results.bits:
        scores = results.values(name, method, bits, "score")
        if len(scores):
            x = results.values(name, method, bits, field).mean()
            sd = np.std(scores, ddof=1) if len(scores) > 1 else 0.0
            points.append((x, scores.mean(), sd))
    return np.array(points).reshape(-1, 3).T
