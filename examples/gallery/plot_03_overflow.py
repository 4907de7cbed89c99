"""
Which neurons overflow?
=======================

The same network in registers that are two bits narrower than it was made for. Each cell is a neuron,
and its colour is the share of rows whose sum leaves the register.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import OverflowDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
net = PrunedNeuralNetClassifier((64, 32), n_accum_bits=7, max_epochs=12, random_state=0)
net.fit(X_train, y_train)

result = net.simulate(X_test, n_accum_bits=5, mode="wrap")
OverflowDisplay.from_simulation(result)

# %%
# What that does to the predictions:

print(f"accuracy at 7 bits, proven:    {net.score(X_test, y_test):.3f}")
print(f"accuracy at 5 bits, wrapped:   {(result.predictions == y_test).mean():.3f}")
