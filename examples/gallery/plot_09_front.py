"""
What does a better score cost?
==============================

Networks of several widths and sizes, by score and by three costs: bits of the register, bytes of C, and
table lookups of encrypted prediction. The line is the front. No network beats one on it in score
without costing more.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import ParetoDisplay

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

nets = [
    PrunedNeuralNetClassifier((size,), n_accum_bits=bits, max_epochs=10, random_state=0)
    for bits, size in [(4, 8), (4, 32), (5, 16), (6, 8), (6, 32), (8, 16)]
]
for net in nets:
    net.fit(X_train, y_train)

labels = [f"{net.n_accum_bits} bits, {net.hidden_layer_sizes[0]}" for net in nets]
ParetoDisplay.from_estimators(nets, X_test, y_test, labels=labels)
