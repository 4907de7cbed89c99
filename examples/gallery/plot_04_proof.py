"""
The proof at a glance
=====================

Proven width of each layer beside its register, and the width that the test rows needed. The proven
width is what counts: other rows may need more than these did, but none needs more than is proven.
"""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
net = PrunedNeuralNetClassifier((64, 32), n_accum_bits=6, max_epochs=12, random_state=0)
net.fit(X_train, y_train)

report = net.accumulator_report(X_test)
report.plot()

# %%
# The same as a table:

print(report)
