"""
How many weights does a neuron keep?
====================================

Nonzero weights of each neuron, sorted. Ω is what the usual counting rule would allow: a number of
full-scale weights that cannot overflow, whatever their signs. The exact range of the weights that are
there has room for more.
"""

from sklearn.datasets import load_digits

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import NonzerosDisplay

X, y = load_digits(return_X_y=True)
net = PrunedNeuralNetClassifier((64, 32), n_accum_bits=6, max_epochs=12, random_state=0)
net.fit(X, y)

NonzerosDisplay.from_estimator(net)
