"""The accumulator report: limits, weights and proven widths, one row a layer."""

from __future__ import annotations

from html import escape

import numpy as np

from .._utils import Tabular, display, text_table
from ..accumulators import accumulator_bits
from ._simulation import layer_name

__all__ = ["AccumulatorReport", "accumulator_report"]

FEW_WEIGHTS = 4  # per neuron; with fewer hardly anything can be learned


class AccumulatorReport(Tabular):
    """A table with one row a layer, as text, as HTML and as data.

    Parameters
    ----------
    rows : list of dict
        One a layer, all with the same keys.
    summary : str
        What the table amounts to, in a sentence.
    n_accum_bits : int, optional
        Width of the accumulator that was asked for, in bits.
    """

    n_accum_bits: int | None = None  # of pickles from before it was known

    _titles = {
        "layer": "layer",
        "neurons": "neurons",
        "fan_in": "fan-in",
        "omega": "Ω",
        "budget": "budget",
        "nonzeros_min": "nonzeros min",
        "nonzeros_mean": "mean",
        "nonzeros_max": "max",
        "dead_neurons": "dead",
        "proven_bits": "proven bits",
        "proven_range": "proven range",
        "limit_bits": "limit",
        "observed_bits": "observed bits",
        "overflows": "overflows",
    }

    def __init__(self, rows: list[dict], summary: str, n_accum_bits: int | None = None):
        self.rows, self.summary, self.n_accum_bits = rows, summary, n_accum_bits

    def to_dict(self) -> dict[str, list]:
        """Columns as lists.

        Returns
        -------
        dict of str to list
            One entry per layer in each list.
        """
        return {key: [row[key] for row in self.rows] for key in self.rows[0]}

    def plot(self, *, ax=None):
        """Draw proven and observed widths beside the register; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        qnnprune.inspection.ProofDisplay
        """
        return display("ProofDisplay").from_report(self, ax=ax)

    def _cells(self) -> list[list[str]]:
        titles = [self._titles[key] for key in self.rows[0]]
        return [titles, *([_text(value) for value in row.values()] for row in self.rows)]

    def __repr__(self) -> str:
        return f"{text_table(self._cells())}\n{self.summary}"

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        rows = ["".join(f"<th>{escape(title)}</th>" for title in head)]
        rows += ["".join(f"<td>{escape(text)}</td>" for text in row) for row in body]
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table>{table}</table><p>{escape(self.summary)}</p>"


def _text(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, tuple):
        return f"{value[0]} .. {value[1]}"
    return str(value)


def accumulator_report(network, budgets, omegas, *, guarantee, observed=None) -> AccumulatorReport:
    """Tabulate an integer network.

    Parameters
    ----------
    network : IntegerNetwork
    budgets : sequence of int or None
        Most weights of a neuron of each layer; None where no count applies.
    omegas : sequence of int
        Ω of each layer.
    guarantee : bool
        Whether the widths were limited to ``network.n_accum_bits``.
    observed : SimulationResult, optional

    Returns
    -------
    AccumulatorReport
    """
    rows = []
    found = zip(network.layers, budgets, omegas, strict=True)
    for index, (layer, budget, omega) in enumerate(found):
        rows.append(_row(index, layer, budget, omega))
        if observed is not None:
            seen = np.stack([observed.accumulator_min[index], observed.accumulator_max[index]], 1)
            rows[-1]["observed_bits"] = int(accumulator_bits(seen).max())
            rows[-1]["overflows"] = int(observed.overflow_count[index].sum())
    widest = max(row["proven_bits"] for row in rows)
    summary = _summary(widest, network.n_accum_bits, guarantee)
    summary += _widths(network) + _several_sums(network.layers[-1])
    summary += _few_weights(network.layers, rows)
    return AccumulatorReport(rows, summary, network.n_accum_bits)


def _row(index, layer, budget, omega) -> dict:
    nonzeros = np.count_nonzero(layer.weight, axis=1)
    low, high = layer.accumulator_range.T
    return {
        "layer": layer_name(index, layer),
        "neurons": len(layer.weight),
        "fan_in": layer.weight.shape[1],
        "omega": omega,
        "budget": budget,
        "nonzeros_min": int(nonzeros.min()),
        "nonzeros_mean": float(nonzeros.mean()),
        "nonzeros_max": int(nonzeros.max()),
        "dead_neurons": int((nonzeros == 0).sum()),
        "proven_bits": int(layer.accumulator_bits.max()),
        "proven_range": (int(low.min()), int(high.max())),
    }


def _summary(widest: int, n_accum_bits: int, guarantee: bool) -> str:
    if widest <= n_accum_bits:
        return (
            f"Proven for every input: no sum needs more than {widest} bits (limit {n_accum_bits})."
        )
    reason = "" if guarantee else " (accumulator_guarantee=False)"
    return f"An overflow of {n_accum_bits} bits is possible: some sums can need {widest}{reason}."


def _widths(network) -> str:
    """Widths of the codes, which a fit may have chosen."""
    encoding = network.encoding
    found = f"weights of {network.n_w_bits} bits, inputs of {encoding.n_bits}"
    hidden = [layer for layer in network.layers if layer.thresholds is not None]
    if hidden:
        found += f", activations of {(hidden[0].thresholds.shape[1] + 1).bit_length() - 1}"
    n_segments = int(encoding.n_segments.max(initial=0))
    return f"\nCodes: {found}; up to {n_segments} input segments for each column."


def _several_sums(output) -> str:
    if output.n_sums == 1:
        return ""
    return (
        f"\nThe output layer has {output.n_sums} sums for each of {output.n_logits} outputs.  They are "
        "added up where scale and bias are applied, outside these registers."
    )


def _few_weights(layers, rows) -> str:
    means = [_mean_weights(layer) for layer in layers]
    few = [
        f"{row['layer']} ({mean:.1f} of {row['fan_in']})"
        for row, mean in zip(rows, means, strict=True)
        if mean < FEW_WEIGHTS < row["fan_in"]
    ]
    if not few:
        return ""
    return (
        f"\nFew weights are left per neuron: {', '.join(few)}.  A wider n_accum_bits, or narrower n_w_bits, "
        "n_a_bits and n_in_bits, would keep more."
    )


def _mean_weights(layer) -> float:
    """Weights of a neuron, averaged over those that do more than hand one code on."""
    nonzeros = np.count_nonzero(layer.weight, axis=1)
    if layer.thresholds is not None:
        nonzeros = nonzeros[~layer.passes_on]
    return float(nonzeros.mean()) if len(nonzeros) else np.inf
