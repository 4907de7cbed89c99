"""The integer network and its accumulators: numpy alone, no torch, no Brevitas.

A hidden neuron is ``y = output_low + #{t : acc >= threshold_t}``, a logit
``acc * scale + bias``, where acc is one proven sum or the exact total of several.  Sums run
through floating-point BLAS, which is exact: every product and every partial sum is an integer
far below the 2**24 (float32) or 2**53 (float64) up to which these types hold all integers, and
the proven ranges say so.
"""

from __future__ import annotations

from functools import cached_property
from typing import cast

import numpy as np

from .._files import write_whole
from .._utils import row_blocks, state_without_caches
from ..accumulators import omega, register_range
from ..encoding import InputEncoding
from ..encoding._columns import CodeColumns
from ._arrays import arrays_of, check_proof, parts_from
from ._columns import ColumnLayer
from ._consistency import check_network
from ._face import EstimatorFace
from ._folding import parts_of_pipeline
from ._layer import HiddenLayer, IntegerLayer, OutputLayer, Scratch
from ._outcome import decode, default_outcome
from ._products import many_rows
from ._report import AccumulatorReport, accumulator_report
from ._simulation import SimulationResult, Watch, check_register, layer_name
from ._steps import SteppedSums, checked_order, products_per_step
from ._storage import load_parsed, pack, unpack

__all__ = ["IntegerNetwork"]

# Codes of a block of rows: it bounds the memory of any batch, and outweighs the calls.  Powers of
# two are slower: there all rows of a matrix begin in the same few places of the cache.
_BLOCK_VALUES = 800_000
_WHOLE_ROWS = 16  # numbers of rows that products are fastest with are multiples of this


class IntegerNetwork(EstimatorFace):
    """A pruned network in integers: what is proven, predicted with and deployed.

    Takes raw rows: arrays, lists, dicts of columns, DataFrames of pandas, polars and pyarrow.
    Runs on numpy alone.  Estimators build it at the end of ``fit`` as ``integer_network_``;
    `load` reads a saved one where neither torch nor Brevitas is installed.  Where scikit-learn
    is, the network is a fitted estimator that `fit` and ``clone`` leave as it is.

    Parameters
    ----------
    encoding : InputEncoding
        Features to input codes.
    layers : sequence of HiddenLayer, and an OutputLayer at the end
    n_w_bits, n_accum_bits : int
        Width of the weights, and of the accumulator that was asked for, in bits.
    classes : array of shape (n_classes,), optional
        Labels of a classifier; None for a regressor.
    feature_names : array of str of shape (n_features,), optional
        Names of the columns that it was fitted on.
    outcome : {"class", "labels", "value", "log", "quantiles"}, optional
        What the values of the output layer stand for: logits of classes that exclude each other,
        or of labels that do not; target values, their logarithms, or quantiles that `predict`
        puts in ascending order.  "class" where there are classes, else "value", by default.

    Attributes
    ----------
    layers : tuple of HiddenLayer, and an OutputLayer at the end
    """

    def __init__(
        self, encoding, layers, *, n_w_bits, n_accum_bits, classes=None, feature_names=None,
        outcome=None,
    ):  # fmt: skip
        self.encoding: InputEncoding = encoding
        self.layers: tuple[HiddenLayer | OutputLayer, ...] = tuple(layers)
        self.n_w_bits, self.n_accum_bits = int(n_w_bits), int(n_accum_bits)
        self.classes = classes
        self.feature_names = feature_names
        self.outcome: str = default_outcome(classes) if outcome is None else outcome

    def __getstate__(self):
        return state_without_caches(self)

    def __repr__(self) -> str:
        sizes = [self.layers[0].weight.shape[1], *(len(layer.weight) for layer in self.layers)]
        return (
            f"IntegerNetwork({self.n_features_in} features, {' -> '.join(map(str, sizes))}, "
            f"n_w_bits={self.n_w_bits}, n_accum_bits={self.n_accum_bits})"
        )

    @property
    def n_features_in(self) -> int:
        """Number of columns that X must have."""
        return self.encoding.n_features

    @property
    def hidden_layer_sizes(self) -> tuple[int, ...]:
        """Neurons of each hidden layer, without those that pruning removed.

        Those that hand input codes on for a skip connection count.
        """
        return tuple(len(layer.weight) for layer in self.layers[:-1])

    @property
    def proven_bits(self) -> int:
        """Width of the widest accumulator, as proven for every input, in bits."""
        return int(max(layer.accumulator_bits.max() for layer in self.layers))

    @property
    def nonzeros(self) -> int:
        """Weights that are not 0, of all layers."""
        return sum(int(np.count_nonzero(layer.weight)) for layer in self.layers)

    @property
    def model_id(self) -> str:
        """SHA-256 of all that the network holds, as 64 hexadecimal digits."""
        return arrays_of(self)["model_id"].item()

    def quantize_input(self, X) -> np.ndarray:
        """Encode raw rows into the integer codes of the first layer.

        Parameters
        ----------
        X : array-like, DataFrame or dict of columns, of shape (n_samples, n_features)

        Returns
        -------
        int8 array of shape (n_samples, n_in)

        Raises
        ------
        ValueError
            If a column is not what was fitted.
        """
        return self.encoding.codes(
            self.encoding.levels(self.encoding.numbers(X, self.feature_names))
        )

    @cached_property
    def _steps(self) -> dict:
        """Codes of X, and layers that read them, by the type of X; filled as types come."""
        return {}

    def _steps_for(self, dtype) -> tuple[CodeColumns, list[ColumnLayer]]:
        """Codes of X, and the layers that read them; behind these the totals of the output."""
        dtype = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        if dtype not in self._steps:
            inputs = CodeColumns(self.encoding, dtype)
            first = self.layers[0].with_inputs(inputs.order)
            layers: list[IntegerLayer] = [first, *self.layers[1:]]
            layers.append(cast(OutputLayer, layers[-1]).totals)
            many = many_rows(layers)
            self._steps[dtype] = inputs, [ColumnLayer(layer, many) for layer in layers]
        return self._steps[dtype]

    def run(self, codes) -> np.ndarray:
        """Evaluate the network on input codes, with unbounded accumulators.

        Parameters
        ----------
        codes : integer array of shape (n_samples, n_in)
            Each within its ``input_range``.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
            The output layer's ``acc * scale + bias``, the sums of each logit added up: one
            logit for two classes, one a class or label otherwise; the target's own units, or
            logarithms, for regression.

        Raises
        ------
        ValueError
            If a code lies outside the range that the proof rests on.
        """
        codes = np.asarray(codes)
        low, high = self.layers[0].input_range.T
        if codes.ndim != 2 or codes.shape[1] != len(low):
            raise ValueError(
                f"codes has shape {codes.shape}, but this network expects (n, {len(low)})."
            )
        if codes.dtype.kind not in "iu" or ((codes < low) | (codes > high)).any():
            raise ValueError("codes must be integers within layers[0].input_range.")
        scratch, (inputs, layers) = Scratch(), self._steps_for(np.float64)
        blocks = [
            self._run_block(codes[s].T[inputs.order].astype(np.int8), layers, None, 0, scratch)
            for s in self._blocks(len(codes))
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, self._output.n_logits))

    @property
    def _output(self) -> OutputLayer:
        output = self.layers[-1]
        if not isinstance(output, OutputLayer):
            raise ValueError("The last layer of an IntegerNetwork must be an OutputLayer.")
        return output

    def _blocks(self, n_samples):
        most = _BLOCK_VALUES // max(max(layer.weight.shape) for layer in self.layers)
        most = max(1, most - most % _WHOLE_ROWS)
        # As many as it takes, and none much smaller than the others.
        rows = -(-n_samples // max(1, -(-n_samples // most)))
        return row_blocks(n_samples, 1, min(most, -(-rows // _WHOLE_ROWS) * _WHOLE_ROWS))

    def _run_block(self, codes, layers, watch, first_row, scratch):
        """Decisions from codes, whose rows are inputs and whose columns are rows of X."""
        *hidden, output, totals = layers
        for index, layer in enumerate(hidden):
            memory, sums, changed = f"codes {index % 2}", None, False
            if watch is not None:
                sums, changed = _held(watch, index, layer, codes, first_row, scratch)
            if changed:
                codes = layer.codes(sums, scratch, memory)
            else:
                codes = layer.outputs(codes, scratch, memory, sums)
        if watch is not None:
            sums, changed = _held(watch, len(hidden), output, codes, first_row, scratch)
            if changed:
                return self._output.decision(sums.T)
        return self._output.affine(totals.sums(codes, scratch).T)

    def decision(self, X) -> np.ndarray:
        """Output layer's values for raw features, in blocks of bounded memory.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self._decide(X)

    def _decide(self, X, watch=None, finish=np.asarray):
        """What `finish` makes of the decisions of each block, of all blocks."""
        sparse, names, scratch = hasattr(X, "toarray"), self.feature_names, Scratch()
        X = X.tocsr() if sparse else self.encoding.unchecked(X, names)
        none = finish(np.empty((0, self._output.n_logits)))
        result = np.empty((X.shape[0], *none.shape[1:]), none.dtype)
        inputs, layers = self._steps_for(X.dtype)
        for rows in self._blocks(X.shape[0]):
            block = self.encoding.unchecked(X[rows].toarray(), names) if sparse else X[rows]
            has_gaps = self.encoding.check(block, names)
            codes = inputs.codes(block, has_gaps, scratch)
            result[rows] = finish(self._run_block(codes, layers, watch, rows.start, scratch))
        return result

    def predict(self, X) -> np.ndarray:
        """Predict labels or target values for raw features.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets or labels
        """
        return self._decide(X, finish=self.decode)

    def decode(self, decision: np.ndarray) -> np.ndarray:
        """Predictions from the output layer's values.

        Parameters
        ----------
        decision : float64 array of shape (n_samples, n_logits)
            As `decision` and `run` return it.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets or labels
        """
        return decode(decision, self.classes, self.outcome)

    def _stepped(self, n_accum_bits, mode, per, order) -> list[SteppedSums] | None:
        """Registers that clip on the way; None where a sum is looked at once."""
        n_products = products_per_step(per, mode, order)
        if n_products is None:
            return None
        first, *others = checked_order(order, self.layers)
        inputs, layers = self._steps_for(np.float64)  # the order of inputs is that of any type
        orders = [np.argsort(inputs.order)[first], *others]
        return [
            SteppedSums(
                layer, register_range(layer.accumulator_range, n_accum_bits), each, n_products
            )
            for layer, each in zip([x.layer for x in layers[:-1]], orders, strict=True)
        ]

    def simulate(
        self,
        X,
        *,
        n_accum_bits: int | None = None,
        mode: str = "wrap",
        per: str | int = "sum",
        order=None,
    ) -> SimulationResult:
        """Run the network with accumulators of a given width.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
        n_accum_bits : int, optional
            Width of every register, 1 to 62 bits; the network's own by default.
        mode : {"wrap", "saturate", "raise"}
            What a sum does that leaves its register: two's-complement wrap-around,
            clipping, or an error.  Each sum of a logit has a register of its own; their
            addition is not in one.
        per : {"sum", "step"} or int, default="sum"
            When mode "saturate" clips: once, after the whole sum; after each addition; or after
            each so many products, as units do that add up 2 or 4 of them at once.
        order : sequence of one permutation or None per layer, optional
            With `per` other than "sum": the inputs of each layer in the order of its
            additions, pruned ones included; by default that of the columns of its weight.

        Returns
        -------
        SimulationResult

        Raises
        ------
        ValueError
            If a parameter has no such value, or `per` and `order` do not go with `mode`.
        AccumulatorOverflowError
            At the first overflow, in mode "raise".
        """
        bits = self.n_accum_bits if n_accum_bits is None else n_accum_bits
        check_register(bits, mode)
        names = [layer_name(index, layer) for index, layer in enumerate(self.layers)]
        ranges = [layer.accumulator_range for layer in self.layers]
        stepped = self._stepped(int(bits), mode, per, order)
        watch = Watch(names, ranges, int(bits), mode, stepped)
        decision = self._decide(X, watch)
        return SimulationResult(
            predictions=self.decode(decision),
            decision=decision,
            n_accum_bits=int(bits),
            mode=mode,
            overflow_count=tuple(watch.count),
            accumulator_min=tuple(watch.low),
            accumulator_max=tuple(watch.high),
            n_samples=len(decision),
            per=per,
        )

    def accumulator_report(self, X=None) -> AccumulatorReport:
        """Tabulate weights and proven widths, one row per layer.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features), optional
            Rows to observe: adds the width they need, and the overflows at `n_accum_bits`.

        Returns
        -------
        AccumulatorReport
            Without the budgets, which an estimator knows.
        """
        hidden = [x.thresholds for x in self.layers if x.thresholds is not None]
        widths = [self.encoding.n_bits, *(t.shape[1].bit_length() for t in hidden)]
        omegas = [omega(self.n_w_bits, n_in_bits, self.n_accum_bits) for n_in_bits in widths]
        return accumulator_report(
            self,
            [None] * len(self.layers),
            omegas,
            guarantee=self.proven_bits <= self.n_accum_bits,
            observed=None if X is None else self.simulate(X),
        )

    def save(self, path) -> None:
        """Write the network to one ``.npz`` file, without pickles.

        The same network gives the same bytes.

        Parameters
        ----------
        path : str or path-like
            Replaced only once the new file is whole.

        Raises
        ------
        ValueError
            If `load` would refuse the file: labels that are not bool, int, float or str, or
            a network that contradicts itself.
        OSError
            If the file cannot be written.  The old one is still there then.
        """
        data = pack(arrays_of(self))
        _parsed(data)
        write_whole(path, data)

    @staticmethod
    def from_pipeline(pipeline) -> IntegerNetwork:
        """Fold a fitted scikit-learn pipeline that ends in an estimator of this package.

        The network takes the pipeline's raw rows and predicts what the pipeline predicts.

        Parameters
        ----------
        pipeline : sklearn.pipeline.Pipeline
            Its steps may impute, scale, bin, encode and select: each column that they make must
            depend on one raw column.

        Returns
        -------
        IntegerNetwork
            Its features are the columns that the pipeline was fitted on.

        Raises
        ------
        TypeError
            If the pipeline does not end in a fitted estimator of this package.
        ValueError
            If a step cannot be folded; the message names it.
        """
        return IntegerNetwork(**parts_of_pipeline(pipeline))

    @staticmethod
    def load(path) -> IntegerNetwork:
        """Read a network written by `save`, and prove its accumulators anew.

        Parameters
        ----------
        path : str or path-like
            A file of this version, or of any before.

        Returns
        -------
        IntegerNetwork

        Raises
        ------
        OSError
            If the file cannot be opened; FileNotFoundError if there is none.
        InvalidNetworkFileError
            If the file is damaged, truncated, of another version or inconsistent.
        """
        return load_parsed(path, _parsed, "network")


def _held(watch, index, layer, codes, first_row, scratch):
    """Sums of a layer as its registers hold them, and whether these have changed any."""
    sums = layer.sums(codes, scratch).T
    held = watch.store(index, sums, first_row, codes=codes.T)
    return held.T, held is not sums


def _parsed(data: bytes) -> IntegerNetwork:
    arrays = unpack(data)
    network = IntegerNetwork(**parts_from(arrays))
    check_network(network)
    check_proof(network, arrays)
    return network
