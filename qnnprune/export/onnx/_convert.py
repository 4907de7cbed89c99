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
from ..._utils import plain_labels
from ...integer import IntegerGraph, IntegerNetwork
from ...integer._consistency import check_network
from ...integer._simplify import simplify
from .._common import integer_network_of, require
from ._codes import add_codes
from ._graph import Graph, Tensor, attributes_of, element_type, model_proto
from ._graph_operators import add_decision
from ._inputs import Columns, Matrix, inputs_of
from ._operators import add_logits

__all__ = ["register_skl2onnx", "to_onnx"]

_OLDEST_OPSET = 13  # axes of Squeeze as an input


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
        shape (n_samples, n_classes); a regressor ``variable``, float32 of shape (n_samples,
        n_outputs).

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
    outputs = _add_outputs(graph, network.classes, logits, shape)
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
    logits = _add_network(graph, network, rows)
    return graph, network, logits, rows.inputs, (_n_logits(network),)


def _add_network(graph: Graph, network: IntegerNetwork, rows: Matrix | Columns) -> str:
    """The output layer's values: float64 of shape (n_samples, n_logits)."""
    encoding, simplified = network.encoding, simplify(network.layers)
    codes, ignored = simplified.inputs, encoding.is_ignored[encoding.feature]
    if ignored[codes].all() and not ignored.all():  # none is read, but one says how many rows
        codes = np.flatnonzero(~ignored)[:1]
    name, order = add_codes(graph, encoding, codes, rows)
    layers = simplified.layers_of_inputs(order)
    return add_logits(graph, layers, simplified.total_constant, name, encoding.n_bits)


def _add_outputs(graph: Graph, classes, logits: str, shape) -> dict[str, Tensor]:
    """Add what scikit-learn's converters put out; return type and shape of each."""
    float32 = np.dtype(np.float32)
    if classes is None:
        variable = graph.add("Cast", logits, to=float32, output="variable")
        return {variable: Tensor(float32, [None, *shape])}
    labels = _label_tensor(classes)
    binary = shape[0] < len(labels)
    label = _add_label(graph, logits, labels, binary, "label")
    scores = _add_probabilities(graph, logits, binary)
    probabilities = graph.add("Cast", scores, to=float32, output="probabilities")
    return {
        label: Tensor(labels.dtype, [None]),
        probabilities: Tensor(float32, [None, len(labels)]),
    }


def _n_logits(network: IntegerNetwork) -> int:
    return network.layers[-1].n_logits


def _label_tensor(classes) -> np.ndarray:
    """Labels as ONNX has them: int64, or str in an object array."""
    labels = plain_labels(classes)
    if labels is not None and labels.dtype.kind == "U":
        return labels.astype(object)
    if labels is None or not _are_whole(labels):
        raise ValueError(
            f"The labels {list(classes)[:5]} are neither whole numbers of at most 64 bits nor strings, "
            "and ONNX models have no others: fit on such labels, for example y.astype(str)."
        )
    return labels.astype(np.int64)


def _are_whole(labels: np.ndarray) -> bool:
    """Whether all are integers that int64 holds; the bounds are exact in Python's integers."""
    values = labels.tolist()
    whole = labels.dtype.kind != "f" or all(value.is_integer() for value in values)
    return whole and min(values) >= -(2**63) and max(values) < 2**63


def _add_label(graph: Graph, logits: str, labels: np.ndarray, binary: bool, output: str) -> str:
    if binary:
        positive = graph.add("Squeeze", graph.add("Greater", logits, np.float64(0)), np.array([1]))
        index = graph.add("Cast", positive, to=np.dtype(np.int64))
    else:
        index = graph.add("ArgMax", logits, axis=1, keepdims=0)
    return graph.add("Gather", labels, index, output=output)


def _add_probabilities(graph: Graph, logits: str, binary: bool) -> str:
    """Softmax in float64; the first of two classes has the logit 0, as in ``predict_proba``."""
    if binary:
        logits = graph.add("Pad", logits, np.array([0, 1, 0, 0]), np.float64(0))
    return graph.add("Softmax", logits, axis=1)


def register_skl2onnx() -> None:
    """Teach skl2onnx the two estimators, so that it converts pipelines that end in them.

    Called once, before ``skl2onnx.to_onnx``; calling it again changes nothing.  (It is not
    done by importing this module, which would then need skl2onnx.)  The options are those of
    scikit-learn's own classifiers: ``zipmap``, ``nocl``, ``output_class_labels`` and
    ``raw_scores``, which puts decision values where probabilities stand.

    Raises
    ------
    ImportError
        If skl2onnx is missing; the message says how to install it.

    Notes
    -----
    The estimator's part is as exact as that of `to_onnx`.  What stands before it is
    skl2onnx's: its scalers multiply where scikit-learn divides, and a value next to a
    threshold can change sides.  They divide, as scikit-learn does, with float64 features, and
    on float32 ones with the option ``{StandardScaler: {"div": "div"}}``.  Train and convert
    with features of one type: float64 features that come as float32 are other features.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from qnnprune import PrunedNeuralNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = PrunedNeuralNetClassifier((16,), max_epochs=2, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), net).fit(X, y)
    >>> register_skl2onnx()
    >>> proto = skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False})
    >>> [output.name for output in proto.graph.output]
    ['label', 'probabilities']
    """
    skl2onnx = require("skl2onnx", "onnx")
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    from ...estimators._classifier import PrunedNeuralNetClassifier
    from ...estimators._regressor import PrunedNeuralNetRegressor

    switch = [True, False]
    skl2onnx.update_registered_converter(
        PrunedNeuralNetClassifier,
        "QnnpruneClassifier",
        calculate_linear_classifier_output_shapes,
        _convert_classifier,
        options={
            "zipmap": [*switch, "columns"],
            "nocl": switch,
            "output_class_labels": switch,
            "raw_scores": switch,
        },
    )
    skl2onnx.update_registered_converter(
        PrunedNeuralNetRegressor, "QnnpruneRegressor", _regressor_shape, _convert_regressor
    )


def _convert_classifier(scope, operator, container) -> None:
    from skl2onnx.common.utils_classifier import get_label_classes

    network, graph, logits = _converted_logits(operator)
    label, probabilities = (variable.full_name for variable in operator.outputs)
    labels = _label_tensor(get_label_classes(scope, operator.raw_operator))
    binary = _n_logits(network) < len(labels)
    _add_label(graph, logits, labels, binary, label)
    options = container.get_options(operator.raw_operator, {"raw_scores": False})
    if not options["raw_scores"]:
        scores = _add_probabilities(graph, logits, binary)
    elif binary:
        scores = graph.add("Concat", graph.add("Neg", logits), logits, axis=1)
    else:
        scores = logits
    graph.add("Cast", scores, to=_float_type(operator.outputs[1]), output=probabilities)
    _add_to_container(graph, scope, operator, container)


def _convert_regressor(scope, operator, container) -> None:
    _, graph, logits = _converted_logits(operator)
    variable = operator.outputs[0]
    graph.add("Cast", logits, to=_float_type(variable), output=variable.full_name)
    _add_to_container(graph, scope, operator, container)


def _regressor_shape(operator) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.common.utils import check_input_and_output_numbers

    check_input_and_output_numbers(operator, input_count_range=1, output_count_range=1)
    source = operator.inputs[0]
    kind = DoubleTensorType if isinstance(source.type, DoubleTensorType) else FloatTensorType
    n_outputs = _n_logits(integer_network_of(operator.raw_operator))
    operator.outputs[0].set_type(kind([source.get_first_dimension(), n_outputs]))


def _converted_logits(operator):
    """The network, a graph that holds it, and the name of its logits there."""
    network = integer_network_of(operator.raw_operator)
    check_network(network)
    graph, source = Graph(), operator.inputs[0]
    x, dtype = source.full_name, _float_type(source)
    if type(source.type).__name__ not in ("FloatTensorType", "DoubleTensorType"):
        dtype = np.dtype(np.float64)  # holds the other numbers that skl2onnx knows
        x = graph.add("Cast", x, to=dtype)
    return network, graph, _add_network(graph, network, Matrix(network.encoding, x, dtype))


def _float_type(variable) -> np.dtype:
    from skl2onnx.common.data_types import DoubleTensorType

    return np.dtype(np.float64 if isinstance(variable.type, DoubleTensorType) else np.float32)


def _add_to_container(graph: Graph, scope, operator, container) -> None:
    """Hand the graph over to skl2onnx, under names that no other operator has."""
    from onnx import numpy_helper

    if container.target_opset < _OLDEST_OPSET:
        raise ValueError(
            f"target_opset={container.target_opset} is too old: this network needs "
            f"{_OLDEST_OPSET} or later."
        )
    made = [*graph.constants, *(node.output for node in graph.nodes)]
    outside = {variable.full_name for variable in operator.outputs}
    names = {name: scope.get_unique_variable_name(name) for name in made if name not in outside}
    for name, value in graph.constants.items():
        content = value.tolist() if value.dtype == object else numpy_helper.from_array(value)
        container.add_initializer(names[name], element_type(value.dtype), value.shape, content)
    for node in graph.nodes:
        container.add_node(
            node.op,
            [names.get(name, name) for name in node.inputs],
            names.get(node.output, node.output),
            name=scope.get_unique_operator_name(node.op),
            **attributes_of(node),
        )
