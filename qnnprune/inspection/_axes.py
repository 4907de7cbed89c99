"""Axes to draw on, colours, and the import of matplotlib at the last moment."""

from __future__ import annotations

import numpy as np

from ..export._common import require

__all__ = [
    "BLUE", "GREEN", "GREY", "LIGHT", "ORANGE", "SKY",
    "finish", "legend_above", "panels", "whole_numbers",
]  # fmt: skip

# From the palette of M. Okabe and K. Ito, which colour-blind people tell apart.
BLUE, SKY, ORANGE, GREEN = "#0072B2", "#56B4E9", "#D55E00", "#009E73"
GREY, LIGHT = "#595959", "#E3E3E3"

_WIDTH = 6.0  # inches: a column of a page, and readable at the width of a phone


def panels(
    ax, n_rows: int, n_columns: int = 1, *, height: float = 2.0, height_ratios=None, sharex=False
) -> np.ndarray:
    """Axes for a picture of several panels.

    Parameters
    ----------
    ax : matplotlib Axes, array of them, or None
        None makes a figure.  One Axes gives its place to all panels; as many as there are panels
        are drawn on as they are.
    n_rows, n_columns : int
    height : float
        Of a row, in inches, where a figure is made.
    height_ratios : sequence of float, optional
        Of the rows; all the same by default.
    sharex : bool
        Whether all panels have one x axis.

    Returns
    -------
    array of Axes, of shape (n_rows, n_columns)

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `ax` holds another number of Axes than there are panels.
    """
    plt = require("matplotlib.pyplot", "plot")
    shape, n_panels = (n_rows, n_columns), n_rows * n_columns
    if ax is None:
        figure = plt.figure(figsize=(_WIDTH, height * n_rows + 0.8), layout="constrained")
        grid = figure.add_gridspec(*shape, height_ratios=height_ratios)
        return grid.subplots(squeeze=False, sharex=sharex)
    given = np.array(ax, dtype=object).ravel()
    if len(given) == n_panels:
        return given.reshape(shape)
    if len(given) != 1 or given[0].get_subplotspec() is None:
        raise ValueError(
            f"ax holds {len(given)} Axes, but the picture has {n_panels} panels: pass so many, or one "
            "Axes of a grid, or None."
        )
    ax = given[0]
    ax.set_axis_off()
    grid = ax.get_subplotspec().subgridspec(*shape, height_ratios=height_ratios)
    return grid.subplots(squeeze=False, sharex=sharex)


def finish(display, axes: np.ndarray, *, framed: bool = False):
    """Give a display the attributes that all have once they are drawn."""
    display.axes_ = axes
    display.figure_ = axes.flat[0].figure
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(framed)
    return display


def whole_numbers(axis) -> None:
    """Tick whole numbers alone."""
    ticker = require("matplotlib.ticker", "plot")
    axis.set_major_locator(ticker.MaxNLocator(integer=True, nbins=6, min_n_ticks=1))


def legend_above(panel, ncols: int = 2, y: float = 1.0) -> None:
    """A legend over the panel, where it hides nothing."""
    panel.legend(
        loc="lower right", bbox_to_anchor=(1, y), ncols=ncols, fontsize="small", frameon=False,
        borderaxespad=0.2, handlelength=1.5, columnspacing=1.0,
    )  # fmt: skip
