"""
A training, epoch by epoch
==========================

Loss, score on held-back rows, and the share of weights that are left. Weights go in the shaded epochs.
In those after it, the weights that are left learn on, and every sum fits its register.
"""

from sklearn.datasets import load_digits

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import TrainingDisplay

X, y = load_digits(return_X_y=True)
net = PrunedNeuralNetClassifier(
    (64, 32),
    n_accum_bits=5,
    max_epochs=25,
    early_stopping=True,
    n_iter_no_change=25,
    random_state=0,
)
net.fit(X, y)

TrainingDisplay.from_estimator(net)
