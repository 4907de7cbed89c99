"""What "auto" means: settings that follow from the size of the table."""

from __future__ import annotations

__all__ = ["auto_batch_size", "auto_max_epochs", "auto_n_input_segments"]

_SEGMENTS = 128  # of all features together
_MOST_SEGMENTS = 16
_STEPS = 2000
_FEWEST_EPOCHS, _MOST_EPOCHS = 20, 100


def auto_n_input_segments(n_graded: int) -> int:
    """Segments a feature gets, where `n_graded` features have more than two values.

    Few features need a fine encoding each; many share the accumulator between them.
    """
    return max(1, min(_MOST_SEGMENTS, _SEGMENTS // max(n_graded, 1)))


def auto_batch_size(n_rows: int) -> int:
    """Rows in a batch: about 20 batches an epoch, of 32 to 256 rows."""
    return min(256, max(32, n_rows // 20))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """Epochs that make about 2,000 steps, between 20 and 100."""
    n_batches = -(-n_rows // batch_size)
    return max(_FEWEST_EPOCHS, min(_MOST_EPOCHS, -(-_STEPS // n_batches)))
