"""The integer graph of a convolutional or branching network: numpy alone.

Codes go through sums, thresholds, pools and branches, and one affine map makes values of the
last integers.  Weights are shared by all positions, as in the module that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

import numpy as np

from .._files import write_whole
from .._utils import row_blocks, state_without_caches
from ..accumulators import accumulator_bits
from ._graph_arrays import arrays_of, check_proof, parts_from
from ._graph_checks import check_graph
from ._inputs import CodedInput
from ._operations import Operation, Sums, Weights
from ._outcome import decode, scaled
from ._simulation import SimulationResult, Watch, check_register
from ._storage import load_parsed, pack, unpack

__all__ = ["IntegerGraph"]

_BLOCK_VALUES = 2**20  # numbers in the windows of one operation, of a block of rows


class IntegerGraph:
    """A network in integers with convolutions, pools and branches.

    `qnnprune.nn.to_integer_network` makes it of a torch module.  It runs on numpy alone.

    Parameters
    ----------
    input : CodedInput
        What comes in, and how it becomes codes.
    operations : sequence of Operation
        In the order of evaluation; the last one is the output.
    scale, bias : float64 arrays of shape (n_channels,)
        ``integer * scale + bias`` are the values that the module puts out.
    classes : array of shape (n_classes,), optional
        Labels; None where values are predicted as they are.

    Attributes
    ----------
    operations : tuple of Operation
    """

    def __init__(
        self, input: CodedInput, operations: Sequence[Operation], *, scale, bias, classes=None
    ):
        self.input = input
        self.operations: tuple[Operation, ...] = tuple(operations)
        self.scale, self.bias = np.asarray(scale, np.float64), np.asarray(bias, np.float64)
        self.classes = None if classes is None else np.asarray(classes)
        check_graph(self)

    def __getstate__(self):
        return state_without_caches(self)

    def __repr__(self) -> str:
        layers = sum(isinstance(operation, Sums) for operation in self.operations)
        return (
            f"IntegerGraph({' x '.join(map(str, self.input.shape))} inputs, {layers} layers of sums, "
            f"{prod(self.shapes[-1])} outputs, proven_bits={self.proven_bits})"
        )

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of one row of the input and of every operation's result, channels first."""
        found = [tuple(self.input.shape)]
        for operation in self.operations:
            found.append(operation.shape([found[i] for i in operation.inputs]))
        return tuple(found)

    @cached_property
    def ranges(self) -> tuple[np.ndarray, ...]:
        """Range per channel of the input and of every result, inclusive: the proof."""
        found = [self.input.range]
        for operation in self.operations:
            places = operation.inputs
            ranges = [found[i] for i in places]
            found.append(operation.range(ranges, [self.shapes[i] for i in places]))
        return tuple(found)

    @property
    def sums(self) -> dict[str, int]:
        """Place of every operation that adds up, by the name of its layer."""
        return {
            operation.name: place
            for place, operation in enumerate(self.operations, start=1)
            if isinstance(operation, Weights)
        }

    @property
    def accumulator_bits(self) -> dict[str, np.ndarray]:
        """Proven width of every neuron or filter, in bits, by the name of its layer."""
        return {name: accumulator_bits(self.ranges[place]) for name, place in self.sums.items()}

    @property
    def proven_bits(self) -> int:
        """Width of the widest accumulator, as proven for every input, in bits."""
        return max((int(bits.max()) for bits in self.accumulator_bits.values()), default=1)

    @property
    def nonzeros(self) -> int:
        """Weights that are not 0, each counted once whatever the number of positions."""
        sums = [o for o in self.operations if isinstance(o, Sums)]
        return sum(int(np.count_nonzero(operation.weight)) for operation in sums)

    def quantize_input(self, X) -> np.ndarray:
        """Codes of inputs; see `CodedInput.codes`.

        Parameters
        ----------
        X : array of real numbers of shape (n_rows, ...)

        Returns
        -------
        int32 array of shape (n_rows, ...)
        """
        return self.input.codes(X)

    def run(self, codes) -> np.ndarray:
        """Evaluate the network on input codes, with unbounded accumulators.

        Parameters
        ----------
        codes : integer array of shape (n_rows, ...)
            Each within ``input.range``.

        Returns
        -------
        float64 array of shape (n_rows, n_channels, ...)
            ``integer * scale + bias``.

        Raises
        ------
        ValueError
            If a code lies outside the range that the proof rests on.
        """
        return self._decide(self.input.checked(codes), None)

    def decision(self, X) -> np.ndarray:
        """What the module puts out for inputs as it takes them.

        Parameters
        ----------
        X : array of real numbers of shape (n_rows, ...)

        Returns
        -------
        float64 array of shape (n_rows, n_channels, ...)
        """
        return self.run(self.quantize_input(X))

    def predict(self, X) -> np.ndarray:
        """Labels where there are classes, else values.

        Parameters
        ----------
        X : array of real numbers of shape (n_rows, ...)

        Returns
        -------
        array of shape (n_rows,), or that of `decision`
        """
        return self._decoded(self.decision(X))

    def _decoded(self, decision):
        return decision if self.classes is None else decode(decision, self.classes)

    def _decide(self, codes, watch) -> np.ndarray:
        result = np.empty((len(codes), *self.shapes[-1]))
        for rows in row_blocks(len(codes), self._widest, _BLOCK_VALUES):
            values = self.values(codes[rows], watch, rows.start)[-1]
            result[rows] = scaled(values, self.scale, self.bias)
        return result

    @property
    def _widest(self) -> int:
        sizes = [prod(shape) for shape in self.shapes]
        for place in self.sums.values():
            operation = self.operations[place - 1]
            if isinstance(operation, Sums):
                positions = prod(self.shapes[place][1:])
                sizes.append(positions * operation.groups * operation.matrix.shape[1])
        return max(sizes)

    def values(self, codes: np.ndarray, watch: Watch | None = None, first_row: int = 0) -> list:
        """Integers at every place of the network.

        Parameters
        ----------
        codes : integer array of shape (n_rows, ...)
        watch : Watch, optional
            Registers that sums go through.
        first_row : int
            Number of the first row, for errors of the registers.

        Returns
        -------
        list of arrays of shape (n_rows, n_channels, ...)
            The codes, and the result of every operation.
        """
        values, order = [codes], list(self.sums.values())
        for place, operation in enumerate(self.operations, start=1):
            result = operation.apply([values[i] for i in operation.inputs])
            if watch is not None and place in order:
                result = _stored(watch, order.index(place), result, first_row)
            values.append(result)
        return values

    def simulate(self, X, *, n_accum_bits: int, mode: str = "wrap") -> SimulationResult:
        """Run the network with accumulators of a given width.

        Parameters
        ----------
        X : array of real numbers of shape (n_rows, ...)
        n_accum_bits : int
            Width of every register, 1 to 62 bits.
        mode : {"wrap", "saturate", "raise"}
            What a sum does that leaves its register; see `IntegerNetwork.simulate`.

        Returns
        -------
        SimulationResult
            One entry per layer of sums, in the order of `sums`.

        Raises
        ------
        AccumulatorOverflowError
            At the first overflow, in mode "raise".
        """
        check_register(n_accum_bits, mode)
        places = list(self.sums.values())
        watch = Watch(list(self.sums), [self.ranges[i] for i in places], int(n_accum_bits), mode)
        decision = self._decide(self.quantize_input(X), watch)
        return SimulationResult(
            predictions=self._decoded(decision),
            decision=decision,
            n_accum_bits=int(n_accum_bits),
            mode=mode,
            overflow_count=tuple(watch.count),
            accumulator_min=tuple(watch.low),
            accumulator_max=tuple(watch.high),
            n_samples=len(decision),
            positions=tuple(prod(self.shapes[i][1:]) for i in places),
            names=tuple(self.sums),
        )

    def save(self, path) -> None:
        """Write the network to one ``.npz`` file, without pickles.

        Parameters
        ----------
        path : str or path-like
            Replaced only once the new file is whole.

        Raises
        ------
        ValueError
            If `load` would refuse the file.
        OSError
            If the file cannot be written.  The old one is still there then.
        """
        data = pack(arrays_of(self))
        _parsed(data)
        write_whole(path, data)

    @staticmethod
    def load(path) -> IntegerGraph:
        """Read a network written by `save`, and prove its accumulators anew.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        IntegerGraph

        Raises
        ------
        OSError
            If the file cannot be opened; FileNotFoundError if there is none.
        InvalidNetworkFileError
            If the file is damaged, truncated, of another version or inconsistent.
        """
        return load_parsed(path, _parsed, "integer graph")


def _parsed(data: bytes) -> IntegerGraph:
    arrays = unpack(data)
    graph = IntegerGraph(**parts_from(arrays))
    check_proof(graph, arrays)
    return graph


def _stored(watch: Watch, index: int, sums: np.ndarray, first_row: int) -> np.ndarray:
    """Sums of any number of positions, after their registers."""
    rows = np.moveaxis(np.asarray(sums, np.float64), 1, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    if not len(flat):
        return sums
    kept = watch.store(index, flat, first_row, len(flat) // len(rows))
    return np.moveaxis(kept.reshape(rows.shape), -1, 1)
