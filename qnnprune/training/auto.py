"""How long to train and how much of the input to drop out, chosen on rows held back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .rows import TrainingTable

__all__ = ["Recipe", "auto_recipes", "choose_recipe", "hold_back", "whole_training"]

_STEPS = 2000
MOST_EPOCHS = 40
_DROPOUT, _DROPOUT_OF_MANY_ROWS = 0.3, 0.1
_MANY_INPUTS = 64
FEWEST_EPOCHS = 20  # pruning and fine-tuning need some time
MANY_ROWS = 10_000  # noise hides less in so many
_FRACTION = 0.2  # of the rows are held back to choose by
_LEAST_ROWS = 200  # of fewer, too few are held back to tell recipes apart
_WIDE_BITS = 8
_LONGER = 2.5


@dataclass(frozen=True)
class Recipe:
    """Epochs, and the share of the input codes that each step leaves out."""

    max_epochs: int
    dropout: float


def auto_recipes(
    n_rows: int, batch_size: int, n_in: int, n_accum_bits: int | None = None
) -> list[Recipe]:
    """The usual recipe; for 200 to 10,000 rows also 20 epochs, and no dropout.

    The noisier the targets, the more the second helps; the third is for exact ones.  Guaranteed
    accumulators of fewer than 8 bits take longer to prune to, and leave the second out.
    """
    usual = Recipe(auto_max_epochs(n_rows, batch_size), auto_dropout(n_rows, n_in))
    if not _LEAST_ROWS <= n_rows <= MANY_ROWS:
        return [usual]
    shorter, without = replace(usual, max_epochs=FEWEST_EPOCHS), replace(usual, dropout=0.0)
    return [usual, without] if _is_narrow(n_accum_bits) else [usual, shorter, without]


def whole_training(recipe: Recipe, n_accum_bits: int | None) -> Recipe:
    """The final training: below 8 guaranteed bits 2.5 times the epochs of the trial."""
    if not _is_narrow(n_accum_bits):
        return recipe
    return replace(recipe, max_epochs=int(_LONGER * recipe.max_epochs))


def _is_narrow(n_accum_bits) -> bool:
    return n_accum_bits is not None and n_accum_bits < _WIDE_BITS


def choose_recipe(
    recipes: list[Recipe], table: TrainingTable, seed: int, squared_error: Callable
) -> Recipe:
    """Take the recipe with the smallest squared error on a fifth of the rows.

    Parameters
    ----------
    recipes : list of Recipe
        The first of equals is taken; so it is where one is alone, or rows cannot be held back.
    table : TrainingTable
    seed : int
        Draws the rows.
    squared_error : callable
        Trains on a table by a recipe and returns the mean squared error on another one:
        ``squared_error(recipe, table, held_back)``.  The error of class probabilities is
        theirs (Brier's score): unlike the rate of wrong labels it sees overconfidence, and
        unlike the log loss a few rows cannot decide.
    """
    if len(recipes) == 1:
        return recipes[0]
    parts = table.split(_FRACTION, seed)
    if parts is None:  # almost every row has a label of its own
        return recipes[0]
    kept, held = parts
    return min(recipes, key=lambda recipe: squared_error(recipe, kept, held))


def hold_back(
    table: TrainingTable, fraction: float, seed: int
) -> tuple[TrainingTable, TrainingTable]:
    """Split a table at random.

    Raises
    ------
    ValueError
        If too few rows are left to train on.
    """
    parts = table.split(fraction, seed)
    if parts is None:
        raise ValueError(
            f"validation_fraction={fraction} of {len(table)} different rows leaves too few to train "
            "on: pass more rows, or early_stopping=False."
        )
    return parts


def auto_batch_size(n_rows: int) -> int:
    """Rows in a batch: about 20 batches an epoch, of 32 to 256 rows."""
    return min(256, max(32, n_rows // 20))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """Epochs that make about 2,000 steps; at least 20, at most 40."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, -(-_STEPS // -(-n_rows // batch_size))))


def auto_dropout(n_rows: int, n_in: int) -> float:
    """Share of the input codes dropped: 0.3, of many rows 0.1, and less of few inputs."""
    most = _DROPOUT if n_rows <= MANY_ROWS else _DROPOUT_OF_MANY_ROWS
    return most * min(1.0, n_in / _MANY_INPUTS)
