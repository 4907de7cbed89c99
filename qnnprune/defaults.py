"""What "auto" means: settings that follow from the size of the table."""

from __future__ import annotations

__all__ = ["auto_batch_size", "auto_max_epochs", "auto_n_input_segments"]

_STEPS = 2000  # optimizer steps that a small table gets
_MOST_EPOCHS, _FEWEST_EPOCHS = 300, 20


def auto_n_input_segments(n_samples: int, n_features: int) -> int:
    """Segments a feature gets: fewer for wide tables and for short ones."""
    return max(1, min(16, 1024 // max(n_features, 1), n_samples // 16))


def auto_batch_size(n_rows: int) -> int:
    """Rows in a batch: about 20 batches an epoch, of 32 to 256 rows."""
    return min(256, max(32, n_rows // 20))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """Epochs that make about 2,000 steps, between 20 and 300."""
    n_batches = -(-n_rows // batch_size)
    return max(_FEWEST_EPOCHS, min(_MOST_EPOCHS, -(-_STEPS // n_batches)))
