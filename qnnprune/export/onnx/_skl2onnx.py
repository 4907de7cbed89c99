"""The two estimators for skl2onnx, which converts pipelines that end in them."""

from __future__ import annotations

import numpy as np

from ...integer._consistency import check_network
from .._common import integer_network_of, require
from ._convert import add_network, n_logits
from ._graph import Graph, attributes_of, element_type
from ._inputs import Matrix
from ._results import add_label, add_labels, add_probabilities, add_values, label_tensor

__all__ = ["register_skl2onnx"]

_OLDEST_OPSET = 13  # axes of Squeeze as an input


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
    from ...estimators._classifier import PrunedNeuralNetClassifier
    from ...estimators._regressor import PrunedNeuralNetRegressor

    switch = [True, False]
    skl2onnx.update_registered_converter(
        PrunedNeuralNetClassifier,
        "QnnpruneClassifier",
        _classifier_shape,
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


def _classifier_shape(operator) -> None:
    from skl2onnx.common.data_types import Int64TensorType
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    calculate_linear_classifier_output_shapes(operator)
    network = integer_network_of(operator.raw_operator)
    if network.outcome == "labels":
        shape = [operator.inputs[0].get_first_dimension(), n_logits(network)]
        operator.outputs[0].set_type(Int64TensorType(shape))


def _convert_classifier(scope, operator, container) -> None:
    network, graph, logits = _converted_logits(operator)
    label, probabilities = (variable.full_name for variable in operator.outputs)
    options = container.get_options(operator.raw_operator, {"raw_scores": False})
    float_type = _float_type(operator.outputs[1])
    if network.outcome == "labels":
        add_labels(graph, logits, label)
        scores = logits if options["raw_scores"] else graph.add("Sigmoid", logits)
    else:
        scores = _add_class(graph, scope, operator, logits, label, options["raw_scores"])
    graph.add("Cast", scores, to=float_type, output=probabilities)
    _add_to_container(graph, scope, operator, container)


def _add_class(graph: Graph, scope, operator, logits: str, label: str, raw_scores: bool) -> str:
    """Add the label of the class, under that name; return what stands for probabilities."""
    from skl2onnx.common.utils_classifier import get_label_classes

    network = integer_network_of(operator.raw_operator)
    labels = label_tensor(get_label_classes(scope, operator.raw_operator))
    binary = n_logits(network) < len(labels)
    add_label(graph, logits, labels, binary, label)
    if not raw_scores:
        return add_probabilities(graph, logits, binary)
    if binary:
        return graph.add("Concat", graph.add("Neg", logits), logits, axis=1)
    return logits


def _convert_regressor(scope, operator, container) -> None:
    network, graph, logits = _converted_logits(operator)
    variable = operator.outputs[0]
    values = add_values(graph, logits, network.outcome, n_logits(network))
    graph.add("Cast", values, to=_float_type(variable), output=variable.full_name)
    _add_to_container(graph, scope, operator, container)


def _regressor_shape(operator) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.common.utils import check_input_and_output_numbers

    check_input_and_output_numbers(operator, input_count_range=1, output_count_range=1)
    source = operator.inputs[0]
    kind = DoubleTensorType if isinstance(source.type, DoubleTensorType) else FloatTensorType
    n_outputs = n_logits(integer_network_of(operator.raw_operator))
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
    return network, graph, add_network(graph, network, Matrix(network.encoding, x, dtype))


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
    made = [*graph.constants, *(name for node in graph.nodes for name in node.outputs)]
    outside = {variable.full_name for variable in operator.outputs}
    names = {name: scope.get_unique_variable_name(name) for name in made if name not in outside}
    for name, value in graph.constants.items():
        content = value.tolist() if value.dtype == object else numpy_helper.from_array(value)
        container.add_initializer(names[name], element_type(value.dtype), value.shape, content)
    for node in graph.nodes:
        container.add_node(
            node.op,
            [names.get(name, name) for name in node.inputs],
            [names.get(name, name) for name in node.outputs],
            name=scope.get_unique_operator_name(node.op),
            **attributes_of(node),
        )
