"""What "auto" means: settings that follow from the size of the table."""

from __future__ import annotations

__all__ = ["auto_batch_size", "auto_dropout", "auto_max_epochs", "auto_n_input_segments"]

_SEGMENTS = 192  # of all features together
_MOST_SEGMENTS = 16
_STEPS = 2000


def auto_n_input_segments(n_graded: int) -> int:
    """Segments a feature gets, where `n_graded` features have more than two values.

    Few features need a fine encoding each; many share the accumulator between them.
    """
    return max(1, min(_MOST_SEGMENTS, _SEGMENTS // max(n_graded, 1)))


def auto_batch_size(n_rows: int) -> int:
    """Rows in a batch: about 20 batches an epoch, of 32 to 256 rows."""
    return min(256, max(32, n_rows // 20))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """Epochs that make about 2,000 steps; at least 20, at most 100, and fewer for few rows.

    Going over few rows again and again fits their noise.
    """
    n_batches = -(-n_rows // batch_size)
    most = min(100, max(40, n_rows // 12))
    return max(20, min(most, -(-_STEPS // n_batches)))


def auto_dropout(n_rows: int, n_features: int, n_in: int) -> float:
    """Share of the input codes dropped: up to a tenth, or to three tenths of few rows.

    Only as far as features have several of the `n_in` codes: none is lost altogether.
    """
    return (1 - n_features / n_in) * min(0.3, max(0.1, 100 / n_rows))
