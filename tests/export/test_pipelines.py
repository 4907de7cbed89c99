"""Whole pipelines as arguments of the exports."""

import numpy as np
import pytest
from pipelines import EveryCode, around_thresholds
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from qnnprune import IntegerNetwork
from qnnprune.export import compile_fhe, to_c, to_onnx, to_qonnx
from qnnprune.export._common import integer_network_of

X, Y = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(StandardScaler(), PowerTransformer(), EveryCode()).fit(X, Y)


def test_onnx_computes_with_the_pipelines_thresholds(pipeline):
    """In float32 they are not those of float64 rounded up."""
    runtime = pytest.importorskip("onnxruntime")
    network = integer_network_of(pipeline)
    assert network.encoding.single_thresholds is not None
    for dtype in (np.float32, np.float64):
        model = to_onnx(pipeline, dtype=np.dtype(dtype).name)
        session = runtime.InferenceSession(model.SerializeToString())
        rows = around_thresholds(network, dtype)
        (found, *_) = session.run(None, {session.get_inputs()[0].name: rows})
        np.testing.assert_array_equal(found, network.predict(rows))


def test_c_and_qonnx_take_what_the_network_takes(pipeline):
    network = IntegerNetwork.from_pipeline(pipeline)
    assert to_c(pipeline, input="double") == to_c(network, input="double")
    pytest.importorskip("qonnx")
    assert to_qonnx(pipeline) == to_qonnx(network)


@pytest.mark.parametrize("export", [to_c, to_onnx, to_qonnx, compile_fhe])
def test_a_step_that_cannot_be_folded_is_named(export):
    pipeline = make_pipeline(StandardScaler(), PCA(2), EveryCode()).fit(X)
    with pytest.raises(ValueError, match=r"step pca \(PCA\)"):
        export(pipeline)
