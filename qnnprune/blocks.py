"""Rows in blocks, so that memory is bounded by the block and not by the table."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["row_blocks"]


def row_blocks(n_rows: int, n_columns: int, most_values: int = 2**22) -> Iterator[slice]:
    """Slices that cover `n_rows` rows, each of `most_values` values at most, or of one row.

    Examples
    --------
    >>> list(row_blocks(5, n_columns=10, most_values=20))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, most_values // max(n_columns, 1))
    return (slice(i, min(i + rows, n_rows)) for i in range(0, n_rows, rows))
