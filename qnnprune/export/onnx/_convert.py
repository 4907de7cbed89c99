"""ONNX: the integer network in standard operators, raw rows in; pipelines through skl2onnx.

What the graph computes is exact, not close: codes and accumulators are integers (see
`qnnprune.export.operators`), several sums of one logit are added up in integers, and the affine
map of the output layer is float64, in the order of `IntegerNetwork.decision`.  So labels are equal, and decision values equal to the last bit.
The only rounding is that of ``probabilities`` and ``variable`` to float32, the type that
scikit-learn's converters give them.

Features are float32, as there.  A threshold of the network is float64; a float32 x reaches
it if and only if it reaches the smallest float32 not below it, and that one is in the graph.
So ``predict`` of a float32 array and the graph agree on every value, those on a threshold
included.  Float64 features that are cast to float32 on the way in are other features:
where one lies within half a float32 step of a threshold it can change sides.
``dtype="float64"`` makes a graph that takes them as they are.
"""

from __future__ import annotations

import numpy as np

from ..._files import write_whole
from ...integer import IntegerGraph, IntegerNetwork
from ...integer._consistency import check_network
from ...integer._outcome import default_outcome
from ...integer._simplify import simplify
from .._common import integer_network_of, require
from ._codes import add_codes
from ._graph import Graph, Tensor, model_proto
from ._graph_operators import add_decision
from ._inputs import Columns, Matrix, inputs_of
from ._operators import add_logits
from ._results import add_outputs

__all__ = ["add_network", "n_logits", "to_onnx"]


def to_onnx(model, path=None, *, dtype: str = "float32", decision: bool = False):
    """Convert a fitted estimator to an ONNX model that predicts the same.

    Parameters
    ----------
    model : PrunedNeuralNetClassifier, PrunedNeuralNetRegressor, IntegerNetwork, Pipeline or \
            IntegerGraph
        Fitted.  Other steps of a pipeline are folded into the network; where they cannot be, see
        `register_skl2onnx`.  Convolutions of an `IntegerGraph` become ``Conv`` of integers in
        float32, which is exact.
    path : str or path-like, optional
        Where to write the model as well; replaced only once the new file is whole.
    dtype : {"float32", "float64"}, default="float32"
        Type of the features that are numbers.
    decision : bool, default=False
        Whether to add the output ``decision``: the output layer's values, float64 of shape
        (n_samples, n_logits), with the bits of `IntegerNetwork.decision`.

    Returns
    -------
    onnx.ModelProto
        Opset 17 of the standard operators, IR version 8: ONNX Runtime 1.15 to 1.31 run it.
        Gives what scikit-learn's converters give, for any number of rows: a classifier
        ``label``, int64 or string of shape (n_samples,), and ``probabilities``, float32 of
        shape (n_samples, n_classes); of several labels a row, both of shape (n_samples,
        n_labels), ``label`` of 0 and 1; a regressor ``variable``, float32 of shape (n_samples,
        n_outputs), several quantiles in ascending order.

        Where all features are numbers, takes ``X`` of shape (n_samples, n_features).  Else
        every feature is an input of its own, of shape (n_samples, 1), under its name, or
        ``x0``, ``x1`` and so on where there are no names:

        ================================  ===========================  ==================
        feature                           type                         a gap is
        ================================  ===========================  ==================
        number                            `dtype`                      NaN
        text                              string                       the empty text [1]_
        categories that are no text       float64                      NaN
        date                              float64, days since 1970     NaN
        ================================  ===========================  ==================

        A column that may hold anything, as no code depends on it, has no input.  An output whose
        name a column has gets an underscore at its end.

        .. [1] Where the empty text is a category, ``<missing>`` is a gap.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ImportError
        If onnx is missing; the message says how to install it.
    ValueError
        If labels are neither integers, booleans, whole floats nor strings, if the network
        contradicts itself, if a sum could leave int32, if two columns have one name, or if
        categories are integers beyond 2**53.
    OSError
        If `path` cannot be written to.  No part of a file is left.

    Notes
    -----
    Boolean and whole float labels become int64, as scikit-learn's converters have it.  Sums
    are held exactly, as under ``accumulator_mode="exact"``.  Infinity, which ``predict``
    refuses, is not refused: it is beyond every threshold.  Neither is NaN where ``predict``
    refuses it, which only networks of old files and some pipelines do: it is below every
    threshold.  At a category that a pipeline refuses, ONNX Runtime raises an error.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), max_epochs=2, random_state=0).fit(X, y)
    >>> [output.name for output in to_onnx(net).graph.output]
    ['label', 'probabilities']
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r} must be 'float32' or 'float64'.")
    graph, network, logits, inputs, shape = _converted(model, dtype)
    require("onnx", "onnx")
    outcome = getattr(network, "outcome", default_outcome(network.classes))
    outputs = add_outputs(graph, network.classes, logits, shape, outcome)
    if decision:
        name = graph.add("Identity", logits, output="decision")
        outputs[name] = Tensor(np.dtype(np.float64), [None, *shape])
    proto = model_proto(graph, inputs, outputs)
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def _converted(model, dtype: str):
    """A graph, the network, the name of its values, the inputs, and the shape of a row of values."""
    if isinstance(model, IntegerGraph):
        if dtype != "float32":
            raise ValueError("An IntegerGraph takes float32, as its module does: dtype='float32'.")
        graph = Graph()
        inputs = {"X": Tensor(np.dtype(dtype), [None, *model.input.shape])}
        return graph, model, add_decision(graph, model, "X"), inputs, model.shapes[-1]
    network = integer_network_of(model)
    check_network(network)
    rows = inputs_of(network.encoding, network.feature_names, np.dtype(dtype))
    graph = Graph(rows.inputs)
    logits = add_network(graph, network, rows)
    return graph, network, logits, rows.inputs, (n_logits(network),)


def add_network(graph: Graph, network: IntegerNetwork, rows: Matrix | Columns) -> str:
    """The output layer's values: float64 of shape (n_samples, n_logits)."""
    encoding, simplified = network.encoding, simplify(network.layers)
    codes, ignored = simplified.inputs, encoding.is_ignored[encoding.feature]
    if ignored[codes].all() and not ignored.all():  # none is read, but one says how many rows
        codes = np.flatnonzero(~ignored)[:1]
    name, order = add_codes(graph, encoding, codes, rows)
    layers = simplified.layers_of_inputs(order)
    return add_logits(graph, layers, simplified.total_constant, name, encoding.n_bits)


def n_logits(network: IntegerNetwork) -> int:
    """Values of the output layer, a count."""
    return network.layers[-1].n_logits
