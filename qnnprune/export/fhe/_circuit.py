"""Encrypted prediction: the integer network as a TFHE circuit of Concrete.

The circuit takes encrypted input codes and gives encrypted sums of the output layer, as they are
proven: the client adds up those of one logit after decryption, as their total is wider.
Every width in it comes from the weights, so no calibration rows are needed and no input
can overflow it.  Encoding, the last affine map and labels stay with the client, in the
clear.
"""

from __future__ import annotations

from functools import cached_property
from inspect import Parameter, Signature, signature
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ...integer import IntegerGraph
from .._common import integer_network_of, require
from ._client import FheClient
from ._cost import ADVICE_ON_GRAPHS, CircuitReport, key_sizes, warn_of_cost
from ._ends import Ends
from ._graph_circuit import graph_function
from ._graph_ends import GraphEnds
from ._graph_lookups import LookupGraph, lookup_graph
from ._lookups import LookupLayer, LookupNetwork, lookup_network
from ._messages import digest
from ._rows import Row, row_of_graph, row_of_network
from ._server import FheServer

__all__ = ["EncryptedNetwork", "compile_fhe", "compile_lookups"]

_MODES = ("clear", "simulate", "encrypted")


class EncryptedNetwork:
    """An integer network compiled for encrypted data, client and server in one.

    Made by `compile_fhe`.  Of an `IntegerGraph` rows are what its ``decision`` takes, and values have
    the shape of its output.

    Parameters
    ----------
    circuit : concrete.fhe.Circuit
    lookups : LookupNetwork or LookupGraph
        The same steps in numpy.
    ends : Ends or GraphEnds
        What happens in the clear, before and after.
    report : CircuitReport
        What a row costs, and the keys; known before there are any.
    """

    def __init__(
        self,
        circuit,
        lookups: LookupNetwork | LookupGraph,
        ends: Ends | GraphEnds,
        report: CircuitReport,
    ):
        self.circuit, self.lookups, self.ends, self.report = circuit, lookups, ends, report

    def keygen(self) -> None:
        """Make new keys.  `predict` makes them where there are none yet."""
        self.circuit.keygen(force=True)

    def predict(self, X, *, mode: str = "clear") -> np.ndarray:
        """Predict labels or target values.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
        mode : {"clear", "simulate", "encrypted"}
            "clear" runs the circuit's steps in numpy; "simulate" runs the circuit
            unencrypted, with the noise of encryption and its rare errors; "encrypted"
            encrypts every row, computes on ciphertexts and decrypts.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets
            What ``predict`` of the estimator gives.
        """
        return self.ends.predictions(self._sums(X, mode))

    def decision(self, X, *, mode: str = "clear") -> np.ndarray:
        """Logits or target values.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
        mode : {"clear", "simulate", "encrypted"}
            As in `predict`.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self.ends.decision(self._sums(X, mode))

    def _sums(self, X, mode) -> np.ndarray:
        if mode not in _MODES:
            raise ValueError(f"mode={mode!r} must be one of {_MODES}.")
        codes = self.ends.codes(X)
        if mode == "clear":
            return self.lookups.run(codes)
        run = self.circuit.simulate if mode == "simulate" else self.circuit.encrypt_run_decrypt
        sums = [run(*[row] * self.ends.n_copies) for row in codes]
        return np.array(sums, dtype=np.int64).reshape(len(codes), *self.ends.constant.shape)

    @cached_property
    def model_id(self) -> str:
        """Digest of all that client and server run: circuit, encoding, scale, bias, labels.

        Both folders carry it, and every message.  It is the same wherever the same network is
        compiled with the same versions of this package and of Concrete.
        """
        parts = [self.circuit.mlir.encode(), self.circuit.client.specs.serialize()]
        with TemporaryDirectory() as folder:
            self.ends.save(Path(folder))
            parts += [file.read_bytes() for file in sorted(Path(folder).iterdir())]
        return digest(*parts)

    def save_client(self, folder) -> None:
        """Write what a client needs: to encode, encrypt, decrypt and decode.

        Thresholds, categories, tables of codes and names of columns are among it, but no weight,
        only a digest of them all.  `FheClient.load` reads it.

        Parameters
        ----------
        folder : str or path-like
            Must not exist yet, or be empty.

        Raises
        ------
        OSError
            If the folder is there already or cannot be written; nothing is left then.
        """
        FheClient(self.ends, self.circuit.client.specs, self.model_id).save(folder)

    def save_server(self, folder) -> None:
        """Write what a server needs: the circuit.

        `FheServer.load` reads it on the kind of machine that it was compiled on.

        Parameters
        ----------
        folder : str or path-like
            Must not exist yet, or be empty.

        Raises
        ------
        OSError
            If the folder is there already or cannot be written; nothing is left then.
        """
        FheServer(self.circuit.server, self.model_id).save(folder)


def compile_fhe(model, *, p_error: float = 2.0**-40) -> EncryptedNetwork:
    """Compile a fitted estimator for encrypted prediction.

    Needs no calibration rows: every width comes from the weights, so no input can
    overflow.  Neurons that no input can switch, and those that nobody reads, cost no
    lookup; low bits that no threshold depends on are removed before it.

    Makes no keys yet.  ``report`` of what it returns says what they and a row will cost.

    Parameters
    ----------
    model : IntegerNetwork, PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, Pipeline or \
            IntegerGraph
        Fitted.  Other steps of a pipeline are folded into the network, so that clients take the
        pipeline's raw rows.  Convolutions of an `IntegerGraph` stay convolutions.
    p_error : float
        Bound on the chance that one table lookup errs, between 0 and 1.  At the default
        a network of 100 lookups errs once in ten thousand million rows.  At 2**-30 a row
        is a few percent faster; at 2**-20 by a fifth (tables of 4 bits) to a half (wider
        ones), and one row in ten thousand may differ from ``predict``.

    Returns
    -------
    EncryptedNetwork

    Raises
    ------
    ImportError
        If Concrete is missing; the message says how to install it.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If a sum is wider than the 16 bits that table lookups take, or `p_error` is not
        between 0 and 1.  Of an `IntegerGraph` the message names the layer.

    Warns
    -----
    EncryptedCostWarning
        If a server would need more than 1 GiB for each client's keys, or a row takes more
        than about a minute on one core.

    Examples
    --------
    >>> encrypted = compile_fhe(estimator)              # doctest: +SKIP
    >>> encrypted.predict(X_test[:3], mode="encrypted")  # doctest: +SKIP
    """
    if not 0 < p_error < 1:
        raise ValueError(f"p_error={p_error!r} must lie between 0 and 1.")
    if isinstance(model, IntegerGraph):
        encrypted = _compiled_graph(model, p_error)
        warn_of_cost(encrypted.report, stacklevel=2, advice=ADVICE_ON_GRAPHS)
        return encrypted
    encrypted = _compiled_network(model, p_error)
    warn_of_cost(encrypted.report, stacklevel=2)
    return encrypted


def _compiled_network(model, p_error: float) -> EncryptedNetwork:
    network = integer_network_of(model)
    lookups = lookup_network(network)
    circuit = compile_lookups(require("concrete.fhe", "fhe"), lookups, p_error)
    report = _report(circuit, row_of_network(lookups), network.proven_bits, p_error)
    return EncryptedNetwork(circuit, lookups, Ends.of(network, lookups), report)


def _compiled_graph(graph: IntegerGraph, p_error: float) -> EncryptedNetwork:
    lookups = lookup_graph(graph)
    fhe = require("concrete.fhe", "fhe")
    circuit = _circuit(fhe, graph_function(fhe, lookups), p_error)
    report = _report(circuit, row_of_graph(lookups), graph.proven_bits, p_error)
    return EncryptedNetwork(circuit, lookups, GraphEnds.of(graph, lookups), report)


def compile_lookups(fhe, lookups: LookupNetwork, p_error: float, **options):
    """The circuit of a fully connected network, with options of Concrete's configuration."""
    return _circuit(fhe, _network_function(fhe, lookups), p_error, **options)


def _circuit(fhe, function, p_error: float, **options):
    """The circuit, by Concrete's direct definition: all types are given, none is observed."""
    configuration = fhe.Configuration(
        p_error=p_error,
        compress_input_ciphertexts=True,
        compress_evaluation_keys=True,
        **options,
    )
    encrypted = dict.fromkeys(signature(function).parameters, "encrypted")
    return fhe.circuit(encrypted, configuration)(function)


def _network_function(fhe, lookups: LookupNetwork):
    """What Concrete compiles: a function of one row's codes, for each layer that reads them."""
    types = [getattr(fhe, f"int{layer.n_bits}") for layer in lookups.layers]
    tables = [_tables(fhe, *pair) for pair in zip(lookups.layers, types[1:], strict=False)]

    def network(**inputs):
        codes = None
        for name, layer, table in zip(names, lookups.layers, [*tables, None], strict=True):
            sums = _sums(layer, codes, inputs.get(name))
            if table is None:
                return sums
            if layer.n_removed_bits:
                sums = fhe.truncate_bit_pattern(sums, lsbs_to_remove=layer.n_removed_bits)
            codes = table[sums]

    # A sum is computed in the type of its terms, so codes have the type of the next sum.
    names = [f"codes_{index}" for index in range(len(types))]
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=fhe.tensor[one, len(lookups.inputs)])
        for name, one, layer in zip(names, types, lookups.layers, strict=True)
        if layer.reads_inputs
    ]
    network.__signature__ = Signature(parameters)
    return network


def _sums(layer: LookupLayer, codes, inputs):
    """Encrypted sums of a layer; `codes` or `inputs` may be None."""
    terms = [(codes, layer.weight), (inputs, layer.input_weight)]
    first, *others = [value @ weight.T for value, weight in terms if value is not None]
    constant = [layer.offset] if layer.offset.any() else []
    return sum([*others, *constant], start=first)


def _tables(fhe, layer, output_type):
    """One lookup table a neuron, of values in the order that Concrete counts in: 0 .. -1."""
    full = np.repeat(layer.tables, 2**layer.n_removed_bits, axis=1)
    full = np.roll(full, 2 ** (layer.n_bits - 1), axis=1)
    tables = fhe.LookupTable([fhe.LookupTable(row) for row in full])
    tables.output_dtype = output_type.dtype
    return tables


def _report(circuit, row: Row, proven_bits: int, p_error: float) -> CircuitReport:
    sent, held = key_sizes(circuit.client.specs)
    return CircuitReport(
        neurons=row.neurons,
        sum_bits=row.sum_bits,
        table_bits=tuple(kind.table_bits for kind in row.kinds),
        lookups=circuit.programmable_bootstrap_count,
        max_bits=circuit.graph.maximum_integer_bit_width(),
        proven_bits=proven_bits,
        p_error=p_error,
        complexity=circuit.complexity,
        sent_key_bytes=sent,
        held_key_bytes=held,
    )
