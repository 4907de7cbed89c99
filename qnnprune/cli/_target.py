"""The target of a table: labels or values, and why."""

from __future__ import annotations

import numpy as np

from ._columns import Column
from ._errors import InputError

__all__ = ["labels_or_values"]

FEW_INTEGERS = 20  # distinct integers up to which a target is taken for labels


def labels_or_values(column: Column, known, name: str, task: str | None):
    """What the column says of the rows in which it has a value.

    Parameters
    ----------
    column : Column
    known : bool Series
        The rows.
    name : str
    task : {"classification", "regression"} or None

    Returns
    -------
    y : array of shape (n_rows,)
        int64 or str labels, or float64 values.
    task : {"classification", "regression"}
    why : str
        Why it is that task.

    Raises
    ------
    InputError
        If nothing can be learned, or not this task.
    """
    y = column.values[known]
    numbers, n_distinct = column.is_numeric, y.nunique()
    if n_distinct < 2:
        raise InputError(f"The target {name!r} has only one value, {y.iloc[0]}.")
    integers = numbers and bool((y % 1 == 0).all())
    if task is None:
        task, why = _usual_task(n_distinct, len(y), numbers, integers)
    else:
        why = f"{n_distinct} distinct values, as --task says"
    doubt = "".join(f" ({doubt})" for doubt in column.doubts)
    if task == "regression":
        if not numbers:
            raise InputError(
                f"The target {name!r} is not numeric{doubt}: --task regression cannot use it."
            )
        return y.to_numpy(np.float64), task, why
    if n_distinct > len(y) // 2:
        raise InputError(
            f"The target {name!r} has {n_distinct} different labels in {len(y)} rows{doubt}: too "
            "many to learn. Choose another column" + (", or --task regression." if numbers else ".")
        )
    # Fixed-width text, not objects: a saved network holds no pickles.
    return y.to_numpy(np.int64 if integers else np.str_), task, why


def _usual_task(n_distinct: int, n_rows: int, numbers: bool, integers: bool) -> tuple[str, str]:
    if not numbers:
        return "classification", f"{n_distinct} labels"
    if integers and (n_distinct == 2 or n_distinct <= min(FEW_INTEGERS, n_rows // 10)):
        why = f"{n_distinct} distinct integers (--task regression treats them as amounts)"
        return "classification", why
    why = f"{n_distinct} distinct numbers (--task classification treats them as labels)"
    return "regression", why
