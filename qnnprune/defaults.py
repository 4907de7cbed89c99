"""What "auto" means: settings that follow from the size of the table."""

from __future__ import annotations

__all__ = [
    "FEWEST_EPOCHS",
    "MANY_ROWS",
    "auto_batch_size",
    "auto_dropout",
    "auto_max_epochs",
    "auto_n_input_segments",
]

_SEGMENTS = 192  # of all features together
_MOST_SEGMENTS = 16
_STEPS = 2000
_MOST_EPOCHS = 40
_DROPOUT, _DROPOUT_OF_MANY_ROWS = 0.3, 0.1
_MANY_INPUTS = 64

FEWEST_EPOCHS = 20  # pruning and fine-tuning need some time
MANY_ROWS = 10_000  # noise hides less in so many


def auto_n_input_segments(n_graded: int) -> int:
    """Segments a feature gets, where `n_graded` features have more than two values.

    Few features need a fine encoding each; many share the accumulator between them.
    """
    return max(1, min(_MOST_SEGMENTS, _SEGMENTS // max(n_graded, 1)))


def auto_batch_size(n_rows: int) -> int:
    """Rows in a batch: about 20 batches an epoch, of 32 to 256 rows."""
    return min(256, max(32, n_rows // 20))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """Epochs that make about 2,000 steps; at least 20, at most 40."""
    return max(FEWEST_EPOCHS, min(_MOST_EPOCHS, -(-_STEPS // -(-n_rows // batch_size))))


def auto_dropout(n_rows: int, n_in: int) -> float:
    """Share of the input codes dropped: 0.3, of many rows 0.1, and less of few inputs."""
    most = _DROPOUT if n_rows <= MANY_ROWS else _DROPOUT_OF_MANY_ROWS
    return most * min(1.0, n_in / _MANY_INPUTS)
