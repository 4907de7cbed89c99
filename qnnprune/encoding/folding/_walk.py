"""The walk over the steps of a fitted pipeline: which raw column every column comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ._rules import effect_of, known_class

__all__ = ["Column", "Mark", "Notes", "walk"]

Evaluate = Callable[[Any], Any]


@dataclass(frozen=True)
class Column:
    """A column somewhere between two steps.

    Attributes
    ----------
    source : int
        The raw column that it comes from.
    changed_by : str
        Name of the first step that made other values of it; "" where they are still the raw
        ones, but for gaps.
    """

    source: int
    changed_by: str = ""

    @property
    def is_raw(self) -> bool:
        """Whether its values are still the raw ones, but for gaps."""
        return not self.changed_by

    def after(self, path: str) -> Column:
        """The column after a step that makes other values of it."""
        return replace(self, changed_by=self.changed_by or path)


@dataclass(frozen=True)
class Mark:
    """Values of a column at which what a step makes of it may jump, or that it refuses.

    Attributes
    ----------
    evaluate : callable
        Raw rows to the step's input.
    position : int
        Of the column in that input.
    accepts : callable or None
        Which values of a float64 array raise no error; None where all are fine.
    is_closed : bool
        Whether all other values raise one.
    path : str
        Name of the step.
    """

    column: Column
    evaluate: Evaluate
    position: int
    values: list
    accepts: Callable | None
    is_closed: bool
    path: str


@dataclass(frozen=True)
class Notes:
    """What the walk finds out about raw columns, in the order in which it meets it.

    Attributes
    ----------
    marks : list of Mark
    blocks : list of sets of int
        Raw columns that one step gets in one array, hence in one type.
    """

    marks: list[Mark] = field(default_factory=list)
    blocks: list[set[int]] = field(default_factory=list)


def walk(step, columns: list[Column], evaluate: Evaluate, notes: Notes, path: str):
    """Follow the columns through a fitted step.

    Parameters
    ----------
    step : transformer, "passthrough" or None
    columns : list of Column
        Those that come in.
    evaluate : callable
        Raw rows to the step's input.
    notes : Notes
        Those about the step are added.
    path : str
        The step's name, after the names of those that contain it.

    Returns
    -------
    columns : list of Column
        Those that go out.
    evaluate : callable
        Raw rows to the step's output.

    Raises
    ------
    ValueError
        If the step cannot be folded.
    """
    if step is None or _is_text(step, "passthrough"):
        return columns, evaluate
    container = _CONTAINERS.get(known_class(step))
    if container is not None:
        return container(step, columns, evaluate, notes, path)
    effect = effect_of(step, len(columns))
    if effect is None:
        raise ValueError(
            f"The step {path} ({type(step).__name__}) cannot be folded: for it there is no rule "
            "by which each of its columns comes from a single one. Leave it and what comes before "
            "it outside the network: of the estimator's integer_network_, predict(...) takes what "
            "pipeline[:-1].transform(X) returns."
        )
    notes.blocks.append({column.source for column in columns})
    for i, column in enumerate(columns):
        if i in effect.marks or i in effect.accepts:
            of_step = list(effect.marks.get(i, ())), effect.accepts.get(i), effect.is_closed
            notes.marks.append(Mark(column, evaluate, i, *of_step, path))
    made = [
        columns[i] if keeps else columns[i].after(path)
        for i, keeps in zip(effect.inputs, effect.keeps, strict=True)
    ]
    return made, _then(evaluate, step.transform)


def _then(first: Evaluate, second: Evaluate) -> Evaluate:
    return lambda rows: second(first(rows))


def _is_text(step, text: str) -> bool:
    return isinstance(step, str) and step == text


def _pipeline(pipeline, columns, evaluate, notes, path):
    for name, step in pipeline.steps:
        columns, evaluate = walk(step, columns, evaluate, notes, f"{path}{_AFTER}{name}")
    return columns, evaluate


def _feature_union(union, columns, evaluate, notes, path):
    made = []
    for name, step in union.transformer_list:
        if not _is_text(step, "drop"):
            part, _ = walk(step, columns, evaluate, notes, f"{path}{_AFTER}{name}")
            made += _weighted(part, union, name, path)
    return made, _then(evaluate, union.transform)


def _column_transformer(transformer, columns, evaluate, notes, path):
    slices, inputs = transformer.output_indices_, transformer._transformer_to_input_indices
    made: list = [None] * max((s.stop for s in slices.values()), default=0)
    for name, step, _ in transformer.transformers_:
        chosen = list(inputs[name])
        if _is_text(step, "drop") or not chosen:
            continue
        part, _ = walk(
            step,
            [columns[i] for i in chosen],
            _then(evaluate, _selection(chosen)),
            notes,
            f"{path}{_AFTER}{name}",
        )
        made[slices[name]] = _weighted(part, transformer, name, path)
    return made, _then(evaluate, transformer.transform)


def _table_vectorizer(vectorizer, columns, evaluate, notes, path):
    """Each raw column goes through steps of its own; the last of them are by name of what is made."""
    _check_rows_can_be_made(vectorizer, path)
    made: list = [None] * len(vectorizer.all_outputs_)
    places = {name: place for place, name in enumerate(vectorizer.all_outputs_)}
    for i, name in enumerate(vectorizer.feature_names_in_):
        of_column = f"{path}{_AFTER}{name}"
        steps = vectorizer.all_processing_steps_[name]
        *inner, last = steps if hasattr(steps[-1], "items") else [*steps, {}]
        _check_no_text_becomes_numbers(inner, of_column)
        part, before = [columns[i]], _then(evaluate, _selection([i]))
        for step in inner:
            part, _ = walk(step, part, before, notes, of_column)
            before = _then(before, _of_one_column(step))
        outputs = vectorizer.input_to_outputs_[name] if part else []  # else it was dropped
        for output, column in zip(outputs, part, strict=True):
            (made[places[output]],), _ = walk(last.get(output), [column], before, notes, of_column)
    return made, _then(evaluate, vectorizer.transform)


def _check_rows_can_be_made(vectorizer, path: str) -> None:
    """Refuse a vectorizer that takes no rows in pandas under the names that it tells."""
    (check, *_) = vectorizer._preprocessors
    if check.module_name_ != "pandas" or check.feature_names_in_ != check.feature_names_out_:
        raise ValueError(
            f"The step {path} (TableVectorizer) cannot be folded: it was fitted on a frame of "
            f"{check.module_name_} with the columns {list(map(str, check.feature_names_in_))}. Fit it "
            "on a frame of pandas whose columns have texts, all different, as names."
        )


def _check_no_text_becomes_numbers(steps, path: str) -> None:
    """Refuse a column that is read as text first and cast to numbers later."""
    names = [known_class(step) for step in steps]
    if "CleanNullStrings" in names and "ToFloat" in names:
        raise ValueError(
            f"The step {path} (ToFloat) cannot be folded: it makes numbers of a column of texts or "
            "Python objects. Make that column numbers before the pipeline, as pandas.to_numeric "
            "does, in the training rows too."
        )


def _of_one_column(step) -> Evaluate:
    """What a step makes of a table of one column, as a table."""

    def transform(table):
        if not hasattr(step, "__single_column_transformer__"):
            return step.transform(table)
        made = step.transform(table.iloc[:, 0])
        return made.to_frame() if hasattr(made, "to_frame") else made

    return transform


def _weighted(columns, container, name, path):
    """The columns, no longer raw where they are multiplied by a weight."""
    weights = container.transformer_weights or {}
    return [column.after(path) for column in columns] if name in weights else columns


def _selection(chosen: list[int]) -> Evaluate:
    return lambda rows: rows.iloc[:, chosen] if hasattr(rows, "iloc") else rows[:, chosen]


def _frozen(step, columns, evaluate, notes, path):
    return walk(step.estimator, columns, evaluate, notes, path)


_AFTER = " > "
_CONTAINERS = {
    "Pipeline": _pipeline,
    "FeatureUnion": _feature_union,
    "ColumnTransformer": _column_transformer,
    "FrozenEstimator": _frozen,
    "TableVectorizer": _table_vectorizer,
}
