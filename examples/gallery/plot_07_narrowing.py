"""
A search for the narrowest width
================================

``narrow_accumulator`` prunes a fitted network bit by bit, as long as the score on held-back rows stays
within a tolerance. The picture has the score and the weights that are left on the way down.
"""

from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier

X, y = load_wine(return_X_y=True)
X_train, X_valid, y_train, y_valid = train_test_split(X, y, test_size=0.4, random_state=0)
net = PrunedNeuralNetClassifier((48,), n_accum_bits=8, max_epochs=15, random_state=0)
net.fit(X_train, y_train)

curve = net.narrow_accumulator(
    X_train, y_train, tol=0.03, X_valid=X_valid, y_valid=y_valid, least=3, max_epochs=6
)
curve.plot()

# %%
# The estimator is now the network of the width that was taken:

print(f"{net.n_accum_bits} bits, accuracy {net.score(X_valid, y_valid):.3f}")
