"""CSV files in, Markdown tables out."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path

import pandas as pd

__all__ = ["markdown", "read", "table", "texts"]


def read(path: str | Path) -> tuple[str, pd.DataFrame]:
    """First line of a CSV, which says where it was measured, and its rows."""
    with open(path, encoding="utf-8") as file:
        where = file.readline().removeprefix("# ").rstrip()
        return where, pd.read_csv(file)


def texts(rows: pd.DataFrame, template: str) -> pd.Series:
    """One text per row, by a template such as ``"{score:.3f} ± {score_sd:.3f}"``.

    A missing spread is left out.  A missing number makes the text empty.
    """
    found = []
    for row in rows.to_dict("records"):
        text = template.format_map(defaultdict(lambda: math.nan, row)).replace(" ± nan", "")
        found.append("" if re.search(r"\bnan\b", text) else text)
    return pd.Series(found, rows.index, dtype=object)


def table(rows: pd.DataFrame, columns: dict[str, str]) -> str:
    """A Markdown table from a template for each title; columns without a text are left out."""
    frame = pd.DataFrame({title: texts(rows, template) for title, template in columns.items()})
    return markdown(frame.loc[:, (frame != "").any()])


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table of texts; missing ones are empty."""
    return frame.astype(object).fillna("").to_markdown(index=False, disable_numparse=True)
