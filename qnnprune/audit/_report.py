"""The result of an audit: one row per layer, widths, verdicts and witnesses."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from ..integer._report import AccumulatorReport

__all__ = ["AccumulatorProof", "Proof", "Unknown", "Witness"]


@dataclass(frozen=True, eq=False)
class Witness:
    """An input at which a sum reaches the end of its range.

    Attributes
    ----------
    neuron : int
        Output channel, counted over all groups.
    position : tuple of (int, int)
        Of the sum: in the batch, and among the layer's output positions in C order.
    bound : int
        What is reached: the sum of all terms of one sign, or what a lane holds.
    total : int
        The finished sum, bias included, at this input.
    codes : int64 array
        Input of the layer: stored codes, zero point included.
    zero_point : int
        What is subtracted from `codes`.
    inputs : dict of str to array, or None
        An input of the whole model at which this layer leaves its register, found by search and
        verified by evaluating the model; None where none was found or looked for.
    input_bound : int or None
        What the register would have to hold at `inputs`.
    """

    neuron: int
    position: tuple[int, int]
    bound: int
    total: int
    codes: np.ndarray
    zero_point: int
    inputs: dict[str, np.ndarray] | None = None
    input_bound: int | None = None

    def to_dict(self) -> dict:
        """All of it in plain lists and numbers.

        Returns
        -------
        dict
            With the attributes as keys.
        """
        inputs = self.inputs and {name: array.tolist() for name, array in self.inputs.items()}
        return {**vars(self), "codes": self.codes.tolist(), "inputs": inputs}


@dataclass(frozen=True, eq=False)
class AccumulatorProof:
    """What is proven about the sums of one layer.

    Attributes
    ----------
    name, op : str
        Of the node or module, and its operator.
    n_terms : int
        Products per sum.
    input_range : tuple of (int, int)
        Codes that enter, zero point subtracted.
    sum_range, partial_range : int64 arrays of shape (neurons, 2)
        Exact ranges of the finished sums, and of all partial sums in any order of the terms.
        Bias included where the register starts from it.
    bits : int64 array of shape (neurons,)
        Width that holds `partial_range`: unsigned where nothing is negative.
    register_range : int64 array of shape (neurons, 2), or None
        What the register that was asked for would have to hold: `partial_range`, or the fullest
        lane of a kernel with lanes.
    overflowing : integer array
        Neurons that can leave that register.
    holds : bool or None
        Whether none can.  None without a register, or where the kernel cannot take the codes.
    witness : Witness
        Of the neuron that needs most.
    """

    name: str
    op: str
    n_terms: int
    input_range: tuple[int, int]
    sum_range: np.ndarray
    partial_range: np.ndarray
    bits: np.ndarray
    register_range: np.ndarray | None
    overflowing: np.ndarray
    holds: bool | None
    witness: Witness

    def to_dict(self) -> dict:
        """All of it in plain lists and numbers.

        Returns
        -------
        dict
            With the attributes as keys.
        """
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}
        return {**plain, "input_range": list(self.input_range), "witness": self.witness.to_dict()}


@dataclass(frozen=True)
class Unknown:
    """A node that may sum products and was not understood.

    Attributes
    ----------
    name, op : str
    reason : str
    """

    name: str
    op: str
    reason: str = field(default="")


class Proof(AccumulatorReport):
    """The audit of a model: a table with one row per layer, as text, as HTML and as data.

    Parameters
    ----------
    accumulators : list of AccumulatorProof
    unknown : list of Unknown
        Nodes that may sum products and were not understood, with the reason.
    register : str or None
        Name of the register that was asked for.

    Attributes
    ----------
    accumulators, unknown, register : as above
    rows : list of dict
        The table.
    """

    _titles = {
        "node": "node",
        "op": "op",
        "neurons": "neurons",
        "terms": "terms",
        "input_codes": "input codes",
        "sum_range": "sums",
        "partial_range": "partial sums",
        "bits": "bits",
        "overflowing": "overflowing",
        "verdict": "verdict",
    }

    def __init__(self, accumulators, unknown, register=None):
        self.accumulators, self.unknown, self.register = accumulators, unknown, register
        super().__init__([*map(_row, accumulators), *map(_unknown_row, unknown)], self._summary())

    @property
    def holds(self) -> bool | None:
        """Whether no sum can leave its register.

        False where one can; None where no register was asked for, or where no sum is known to
        leave it and one is unknown.
        """
        verdicts = [proof.holds for proof in self.accumulators] + [None] * len(self.unknown)
        return False if False in verdicts else None if None in verdicts else True

    @property
    def bits(self) -> int:
        """Width of the widest sum that is known, in bits."""
        return max((int(proof.bits.max()) for proof in self.accumulators), default=0)

    def to_json(self, **options) -> str:
        """The whole audit, witnesses included, as JSON.

        Parameters
        ----------
        **options
            Of ``json.dumps``.

        Returns
        -------
        str
        """
        content = {
            "holds": self.holds,
            "register": self.register,
            "bits": self.bits,
            "summary": self.summary,
            "accumulators": [proof.to_dict() for proof in self.accumulators],
            "unknown": [vars(unknown) for unknown in self.unknown],
        }
        return json.dumps(content, **options)

    def _summary(self) -> str:
        unknown = ""
        if self.unknown:
            reasons = "; ".join(f"{u.name} ({u.op}): {u.reason}" for u in self.unknown)
            unknown = f"\nUnknown, so nothing is proven about {len(self.unknown)}: {reasons}."
        if not self.accumulators:
            return f"Nothing is proven: no sum is known.{unknown}"
        if self.register is None:
            return f"The widest known sum needs {self.bits} bits.{unknown}"
        refused = [p.name for p in self.accumulators if p.holds is None]
        if refused:
            unknown += f"\n{self.register} cannot take the codes of {', '.join(refused)}."
        failing = [p for p in self.accumulators if p.holds is False]
        if not failing:
            start = "Proven" if self.holds else "Proven where the sums are known"
            return f"{start} for every input: no sum leaves {self.register}.{unknown}"
        found = [p.name for p in failing if p.witness.inputs is not None]
        names = ", ".join(p.name for p in failing)
        shown = f"found by search for {', '.join(found)}" if found else "not found by search"
        return (
            f"An overflow of {self.register} is possible in {names}.\n"
            f"An input of the whole model that overflows: {shown}.{unknown}"
        )


_VERDICTS = {True: "holds", False: "overflows", None: "-"}


def _row(proof: AccumulatorProof) -> dict:
    verdict = _VERDICTS[proof.holds]
    return {
        "node": proof.name,
        "op": proof.op,
        "neurons": len(proof.bits),
        "terms": proof.n_terms,
        "input_codes": proof.input_range,
        "sum_range": _hull(proof.sum_range),
        "partial_range": _hull(proof.partial_range),
        "bits": int(proof.bits.max()),
        "overflowing": None if proof.holds is None else len(proof.overflowing),
        "verdict": "input found" if proof.witness.inputs is not None else verdict,
    }


def _hull(ranges: np.ndarray) -> tuple[int, int]:
    return int(ranges[:, 0].min()), int(ranges[:, 1].max())


def _unknown_row(unknown: Unknown) -> dict:
    return {
        **dict.fromkeys(Proof._titles),
        "node": unknown.name,
        "op": unknown.op,
        "verdict": "unknown",
    }
