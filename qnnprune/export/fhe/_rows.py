"""What a row looks up, by kind, and the precision that results need: what cost follows from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ...integer._operations import Add, MaxPool, Operation, Sums
from ._graph_lookups import Lookup, LookupGraph
from ._graph_widths import joint_parts
from ._lookups import LookupLayer, LookupNetwork

__all__ = ["LookupKind", "Row", "row_of_graph", "row_of_network"]

_SWITCH_BITS = 0.5  # a lookup on a sum adds noise of its own to it


@dataclass(frozen=True)
class LookupKind:
    """Equal lookups of one operation.

    Attributes
    ----------
    count : int
        Tables that are looked up.
    table_bits, n_removed_bits : int
        Width of what they look at, and low bits that are removed before, one lookup each.
    precision : float
        Width of the sums that noise of their results must not reach, and what weights make of that
        noise, in bits.
    source, target : int
        The parts of the row that they look at and that their results enter: what meets in sums, and so
        has one width and one size of ciphertexts.
    """

    count: int
    table_bits: int
    n_removed_bits: int
    precision: float
    source: int
    target: int


@dataclass(frozen=True)
class Row:
    """What a row takes.

    Attributes
    ----------
    kinds : tuple of LookupKind
    products : dict of int to int
        Products of weights and encrypted numbers, zeros among them, by the part of the numbers.
    n_sent, n_copies, n_returned : int
        Encrypted numbers of a copy of the input codes, such copies, and numbers that come back.
    last : int
        The part of what is sent back.
    n_bits : int
        Width of what is sent back.
    precision : float
        That of what is sent back, as in `LookupKind`.
    """

    kinds: tuple[LookupKind, ...]
    products: dict[int, int]
    n_sent: int
    n_copies: int
    n_returned: int
    last: int
    n_bits: int
    precision: float

    @property
    def neurons(self) -> tuple[int, ...]:
        """Lookups of each kind, and what is sent back."""
        return (*(kind.count for kind in self.kinds), self.n_returned)

    @property
    def sum_bits(self) -> tuple[int, ...]:
        """Width of what each kind begins with, and of what is sent back."""
        return (*(kind.table_bits + kind.n_removed_bits for kind in self.kinds), self.n_bits)


def row_of_network(lookups: LookupNetwork) -> Row:
    """The row of a fully connected network."""
    *hidden, output = lookups.layers
    kinds = [
        LookupKind(
            count=len(layer.weight),
            table_bits=layer.n_bits - layer.n_removed_bits,
            n_removed_bits=layer.n_removed_bits,
            precision=_precision(reader),
            source=part,
            target=part + 1,
        )
        for part, (layer, reader) in enumerate(zip(hidden, lookups.layers[1:], strict=True))
    ]
    return Row(
        kinds=tuple(kinds),
        products=dict(enumerate(map(_products, lookups.layers))),
        n_sent=len(lookups.inputs),
        n_copies=lookups.n_copies,
        n_returned=len(output.weight),
        last=len(hidden),
        n_bits=output.n_bits,
        precision=_precision(output),
    )


def _products(layer: LookupLayer) -> int:
    return layer.weight.size + layer.reads_inputs * layer.input_weight.size


def _precision(layer: LookupLayer) -> float:
    # Fresh ciphertexts have less noise than those of tables: they count where there are no others.
    weight = layer.weight if layer.weight.size else layer.input_weight
    squares = int((weight**2).sum(axis=1).max())
    return _bits_of(layer.n_bits, squares, layer.tables is not None)


def _bits_of(n_bits: int, squares: float, looked_up: bool) -> float:
    """Precision of the terms of a sum, from the sum of its squared weights."""
    return n_bits + math.log2(max(squares, 1)) / 2 + _SWITCH_BITS * looked_up


def row_of_graph(lookups: LookupGraph) -> Row:
    """The row of an integer graph."""
    graph, operations, n_bits = lookups.graph, lookups.operations, lookups.n_bits
    parts, squares = joint_parts(graph), _squares(operations)
    last = _bits_of(n_bits[-1], squares[-1], False)
    wanted = {parts[-1]: last}
    for operation in operations:
        found = _precision_of(operation, n_bits, squares)
        part = parts[operation.inputs[0]]
        wanted[part] = max(wanted.get(part, 0), found)
    places = [k for k, o in enumerate(operations, start=1) if isinstance(o, (Lookup, MaxPool))]
    kinds = [
        LookupKind(
            count=kind.count,
            table_bits=kind.n_bits - kind.n_removed_bits,
            n_removed_bits=kind.n_removed_bits,
            precision=wanted[parts[place]],
            source=parts[operations[place - 1].inputs[0]],
            target=parts[place],
        )
        for place, kind in zip(places, lookups.kinds, strict=True)
    ]
    products: Counter = Counter()
    for place, operation in enumerate(operations, start=1):
        if isinstance(operation, Sums):
            products[parts[place]] += operation.weight.size * prod(graph.shapes[place][1:])
    return Row(
        kinds=tuple(kinds),
        products=dict(products),
        n_sent=prod(graph.shapes[0]),
        n_copies=1,
        n_returned=prod(graph.shapes[-1]),
        last=parts[-1],
        n_bits=n_bits[-1],
        precision=last,
    )


def _squares(operations: Sequence[Operation]) -> list[float]:
    """At each place the largest sum of squared weights on results of lookups, or on inputs."""
    found = [1.0]
    for operation in operations:
        incoming = [found[i] for i in operation.inputs]
        if isinstance(operation, Lookup):
            found.append(1.0)
        elif isinstance(operation, Sums):
            weights = operation.matrix.astype(np.float64)
            found.append(incoming[0] * float((weights**2).sum(axis=1).max()))
        elif isinstance(operation, Add):
            pairs = zip(incoming, operation.factors, strict=True)
            found.append(sum(value * factor**2 for value, factor in pairs))
        elif isinstance(operation, MaxPool):
            found.append(incoming[0] + prod(operation.window.size) - 1)
        else:
            found.append(max(incoming))
    return found


def _precision_of(operation: Operation, n_bits, squares) -> float:
    """What the lookups of an operation ask of what they look at."""
    source = operation.inputs[0]
    if isinstance(operation, Lookup):
        return _bits_of(n_bits[source], squares[source], True)
    if isinstance(operation, MaxPool):  # on differences
        return _bits_of(n_bits[source], 2 * squares[source] + prod(operation.window.size), True)
    return 0.0
