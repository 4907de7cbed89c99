"""
Weights before and after
========================

Weight matrices of a network, before and after it is pruned from 8 to 5 bits. White is 0. Every row is a
neuron, and every row loses what its register has no room for.
"""

from copy import deepcopy

from sklearn.datasets import load_diabetes

from qnnprune import PrunedNeuralNetRegressor
from qnnprune.inspection import WeightDisplay

X, y = load_diabetes(return_X_y=True)
wide = PrunedNeuralNetRegressor((48, 24), n_accum_bits=8, max_epochs=15, random_state=0)
wide.fit(X, y)
narrow = deepcopy(wide).prune(X, y, n_accum_bits=5, max_epochs=10)

WeightDisplay.from_estimators(wide, narrow)

# %%
# Weights that are left, and the score on the training rows:

for net in (wide, narrow):
    print(
        f"{net.n_accum_bits} bits: {net.integer_network_.nonzeros} weights, R² {net.score(X, y):.2f}"
    )
