"""
Where are the sums?
===================

Histograms of the exact sums of all rows and neurons, layer by layer. The proven range holds every sum
that any input can cause. The register holds the proven range. Rows use only its middle, which is why
widths that are merely observed look smaller than they may be.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import AccumulatorHistogramDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
net = PrunedNeuralNetClassifier((64, 32), n_accum_bits=7, max_epochs=12, random_state=0)
net.fit(X_train, y_train)

picture = AccumulatorHistogramDisplay.from_estimator(net, X_test)

# %%
# The proven ranges as numbers, smallest and largest sum of each layer:

print(picture.proven_range)
