"""What "auto" stands for: recipes, and a race between them on held-back rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from joblib import Parallel, delayed

from ..accumulators import ordinary_weights
from ..encoding._fit import auto_n_input_segments
from .rows import TrainingTable

__all__ = [
    "DENSE",
    "FEWEST_EPOCHS",
    "MOST_EPOCHS",
    "Recipe",
    "auto_batch_size",
    "auto_max_epochs",
    "auto_recipes",
    "auto_sums",
    "hold_back",
    "race",
    "trial_recipe",
]

_STEPS = 2000
MOST_EPOCHS = 40
FEWEST_EPOCHS = 20  # pruning and fine-tuning need some time
_MANY_INPUTS = 64  # of fewer, fewer are left out
_FRACTION = 0.2  # of the rows are held back to choose by
_LEAST_ROWS = 200  # of fewer, too few are held back to tell recipes apart
_MOST_ROWS = 10_000  # that a race looks at
_WIDE_BITS, _NARROW_BITS = 8, 6
_SHORTER = 0.5  # a trial; not where registers are narrow
_SUMS, _MORE_SUMS = 4, 16
_MEMBERS = 4
_USUAL, _MORE = (256, 256), (512, 512)  # hidden layers
# Few weights do not make up for the many that went away late.
DENSE, _SPARSE = "gradual", "set"


@dataclass(frozen=True)
class Recipe:
    """What `fit` can choose.  Of what an estimator asks for, "auto" are those that it may.

    Attributes
    ----------
    n_input_segments : int or {"coarse", "fine"}
        Resolution of the input encoding.
    n_in_bits, n_a_bits : int, or None of a float network's activations
        Widths of the codes, in bits.
    activation : str
    n_output_sums : int
    n_members : int
        Networks beside each other that its neurons make up.
    hidden_layer_sizes : tuple of int
    max_epochs : int
    dropout : float
        Share of the input codes that each step leaves out.
    pruning_schedule : str
        When weights go.
    """

    n_input_segments: Any = "auto"
    n_in_bits: Any = "auto"
    n_a_bits: Any = "auto"
    activation: Any = "auto"
    n_output_sums: Any = "auto"
    n_members: Any = "auto"
    hidden_layer_sizes: Any = "auto"
    max_epochs: Any = "auto"
    dropout: Any = "auto"
    pruning_schedule: Any = "auto"

    def given(self, asked: Recipe) -> Recipe:
        """The recipe with what is asked for, where that is not "auto"."""
        pairs = {field.name: getattr(asked, field.name) for field in fields(self)}
        return replace(self, **{k: value for k, value in pairs.items() if value != "auto"})

    def at(self, n_graded: int) -> Recipe:
        """The recipe with a number for its resolution, of that many features to share it."""
        if not isinstance(self.n_input_segments, str):
            return self
        n_segments = auto_n_input_segments(n_graded, self.n_input_segments)
        return replace(self, n_input_segments=n_segments)

    @property
    def resolution(self) -> tuple:
        """What the input encoding depends on: segments and bits."""
        return self.n_input_segments, self.n_in_bits


# No hidden layer: a sum of functions of one column each, which noise cannot lead far astray.  Its
# many sums grade the weights.
_ADDITIVE = Recipe("coarse", 2, 2, n_output_sums=_MORE_SUMS, hidden_layer_sizes=(), dropout=0.3)

# Of many inputs, dropout is less of fewer.
_COARSE, _FINE = Recipe("coarse", 2, 2, dropout=0.3), Recipe("fine", 2, 2, dropout=0.0)
# Codes of 1 bit let three times as many weights into a register.
_ONE_BIT = Recipe("fine", 1, 1, dropout=0.15)

# The first is taken where nothing is tried.
_WIDE = (_COARSE, _FINE)
_NARROW = (_FINE, _ONE_BIT, _COARSE)
_NARROWEST = (_ONE_BIT, Recipe("fine", 1, 1, dropout=0.0), _FINE, _COARSE)


def auto_recipes(asked: Recipe, n_accum_bits: int | None) -> list[Recipe]:
    """Recipes to choose from, each with what is asked for; no two alike.

    Parameters
    ----------
    asked : Recipe
    n_accum_bits : int or None
        Guaranteed width of the accumulators, in bits.

    Returns
    -------
    list of Recipe
        Epochs are "auto", dropout is that of many inputs, whatever is asked for: `settled` and
        `Recipe.given` see to them.  Sums may be "auto".
    """
    usual = _WIDE
    if is_narrow(n_accum_bits):
        usual = _NARROW if n_accum_bits >= _NARROW_BITS else _NARROWEST
    asked = replace(asked, max_epochs="auto", dropout="auto")
    if asked.hidden_layer_sizes == "auto":
        usual = (*usual, _ADDITIVE)
    given = [_with_shape(recipe.given(asked), n_accum_bits) for recipe in usual]
    return list(dict.fromkeys(given))


def _with_shape(recipe: Recipe, n_accum_bits: int | None) -> Recipe:
    """A recipe whose activation, schedule and sizes are those that go with its widths."""
    narrow, free = is_narrow(n_accum_bits), recipe.hidden_layer_sizes == "auto"
    found = Recipe(
        # A single threshold splits the middle of a window best, and relu's is one-sided.
        activation="tanh" if recipe.n_a_bits == 1 else "relu",
        pruning_schedule=_SPARSE if narrow else DENSE,
        # The fewer weights each neuron has, the more neurons it takes.
        hidden_layer_sizes=_MORE if narrow else _USUAL,
        n_output_sums=_MORE_SUMS if narrow and free else "auto",
    ).given(recipe)
    sums = _MEMBERS if found.n_output_sums == "auto" else found.n_output_sums
    return replace(found, n_members=math.gcd(_MEMBERS, sums) if free else 1).given(recipe)


def is_narrow(n_accum_bits: int | None) -> bool:
    """Whether accumulators of a guaranteed width are narrower than 8 bits."""
    return n_accum_bits is not None and n_accum_bits < _WIDE_BITS


def auto_sums(
    n_last: int, n_w_bits: int, n_a_bits: int, n_accum_bits: int | None, n_members: int = 1
) -> int:
    """Sums per output: 4, or 1 where a sum has room for the last hidden layer 4 times over.

    Members share them equally, so there may be more.

    Parameters
    ----------
    n_last : int
        Neurons of that layer.
    n_w_bits, n_a_bits : int
        Widths of weights and activations, in bits.
    n_accum_bits : int or None
        Guaranteed width of a sum, in bits.
    n_members : int
        Networks beside each other.
    """
    enough = n_accum_bits is None
    if not enough:
        enough = ordinary_weights(n_w_bits, n_a_bits, n_accum_bits) >= _SUMS * n_last
    return -(-(1 if enough else _SUMS) // n_members) * n_members


def trial_recipe(recipe: Recipe, asked: Recipe, n_accum_bits: int | None) -> Recipe:
    """The recipe of a trial: half of the epochs, and half of the neurons if not asked for.

    These are half of the members, which are as large as they will be.  Smaller members put many
    of them at a disadvantage: on 46 sets the choice was worth .03 points less at 8 bits.  Fewer
    neurons choose no worse: on 47 sets the choice was worth .1 points more at 8 bits (two seeds)
    and at 6 (one).  All epochs are trained below 8 guaranteed bits, as shorter trials put fine
    inputs at a disadvantage there.
    """
    if not is_narrow(n_accum_bits):
        recipe = replace(recipe, max_epochs=math.ceil(_SHORTER * recipe.max_epochs))
    if asked.hidden_layer_sizes == "auto":
        recipe = replace(
            recipe,
            hidden_layer_sizes=tuple(n // 2 for n in recipe.hidden_layer_sizes),
            n_members=recipe.n_members // 2 if recipe.n_members % 2 == 0 else recipe.n_members,
        )
    return recipe


def race(
    recipes: list[Recipe],
    table: TrainingTable,
    seed: int,
    row_errors: Callable,
    held: TrainingTable | None = None,
    n_jobs: int | None = None,
) -> Recipe:
    """Take the recipe with the smallest squared error on a fifth of the rows, or on others.

    A rule that leaves a plain recipe only for one that is better by a standard error chose no
    better: on 47 sets the smallest error was worth .1 points more at 8 bits (two seeds) and at 6.

    Parameters
    ----------
    recipes : list of Recipe
        The first is taken where it is alone, or rows cannot be held back.
    table : TrainingTable
        Of more than 10,000 rows so many are drawn.
    seed : int
        Draws the rows.
    row_errors : callable
        Trains on a table by a recipe and returns the squared error of every row of another one:
        ``row_errors(recipe, table, held_back)``.  The error of class probabilities is
        theirs (Brier's score): unlike the rate of wrong labels it sees overconfidence, and
        unlike the log loss a few rows cannot decide.
    held : TrainingTable, optional
        Rows to choose by, instead of a fifth of `table`.
    n_jobs : int or None
        Trials beside each other, as in joblib.
    """
    parts = None if len(recipes) == 1 else _parts(table, held, seed)
    if parts is None:
        return recipes[0]
    kept, held = parts
    share = held.weight / held.weight.sum()
    trials = Parallel(n_jobs)(delayed(row_errors)(recipe, kept, held) for recipe in recipes)
    means = [share @ error for error in trials]
    return recipes[means.index(min(means))]


def _parts(table, held, seed) -> tuple[TrainingTable, TrainingTable] | None:
    """Rows to try recipes on, and rows to choose by; None where there are too few."""
    if held is None:
        # No split where almost every row has a label of its own.
        return None if len(table) < _LEAST_ROWS else _drawn(table, seed).split(_FRACTION, seed)
    n_held = _FRACTION * _LEAST_ROWS
    if len(held) < n_held or len(table) < _LEAST_ROWS - n_held:
        return None
    return _drawn(table, seed), _drawn(held, seed)


def _drawn(table, seed) -> TrainingTable:
    if len(table) <= _MOST_ROWS:
        return table
    sample = table.split(_MOST_ROWS / len(table), seed)
    return table if sample is None else sample[1]


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


def auto_batch_size(
    n_rows: int, n_accum_bits: int | None, *, trial: bool = False, once: bool = False
) -> int:
    """Rows in a batch: a tenth of all; a twentieth below 8 guaranteed bits, or for one epoch alone.

    They are 32 to 256.  Where a tenth is the rule, trials have up to 512.

    A tenth instead of a twentieth takes .7 of the time.  At 8 bits it was worth .2 ± .3 points and
    .001 ± .001 of R² more (18 tables of 640 to 2,560 rows, fine and coarse inputs).  Where registers
    are narrower, weights swap places while they train, and fewer steps lose: .4 ± .4 points and .004 ±
    .003 of R² at 6 bits (17 tables, fine inputs).  One epoch is too short for few steps.

    Trials at 8 bits with a tenth, 64 to 512, instead of a twentieth, 32 to 256, chose as well (1.70
    points instead of 1.75, 46 tables of at most 5,000 rows) in two thirds of their time; twice as many
    rows again chose worse (1.63).

    Parameters
    ----------
    n_rows : int
    n_accum_bits : int or None
        Guaranteed width of the accumulators, in bits.
    trial, once : bool
        Whether it is for a trial, and for one epoch, as in `partial_fit`.
    """
    if is_narrow(n_accum_bits) or once:
        return min(256, max(32, n_rows // 20))
    return min(512 if trial else 256, max(32, n_rows // 10))


def auto_max_epochs(n_rows: int, batch_size: int) -> int:
    """As many epochs as make 2,000 steps, but at least 20 and at most 40."""
    return max(FEWEST_EPOCHS, min(MOST_EPOCHS, -(-_STEPS // -(-n_rows // batch_size))))


def auto_dropout(share: float, n_in: int) -> float:
    """Share of the input codes dropped, where it is `share` of many inputs: less of few."""
    return share * min(1.0, n_in / _MANY_INPUTS)
