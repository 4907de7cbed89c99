"""Writes the network of these examples, ``flower/src/flower.h``, and its self-test.

python examples/microcontroller/export.py
"""

from pathlib import Path

from sklearn.datasets import load_iris

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.export import to_c

X, y = load_iris(return_X_y=True, as_frame=True)
X.columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
X = (X * 10).round().astype(int)  # a sensor's integers, in millimetres
names = load_iris().target_names[y]

net = PrunedNeuralNetClassifier((16,), max_epochs=60, random_state=0).fit(X, names)
header = to_c(
    net,
    Path(__file__).with_name("flower") / "src" / "flower.h",
    prefix="flower",
    input="uint8",
    optimize="size",
    test_vectors=X[::3],
)
print(header)
