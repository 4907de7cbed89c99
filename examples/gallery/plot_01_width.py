"""
Which width do I need?
======================

Score against the width of the register. The line is one network that was trained for 8 bits, run in
narrower registers that wrap around. Below its proven width sums overflow, and predictions break. The
other points are networks pruned to a width: nothing overflows there. Codes of 1 bit leave room for many
weights in a narrow register.
"""

from copy import deepcopy

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from qnnprune import PrunedNeuralNetClassifier
from qnnprune.inspection import AccumulatorWidthDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

net = PrunedNeuralNetClassifier(
    (64,), n_accum_bits=8, n_in_bits=1, n_a_bits=1, max_epochs=15, random_state=0
)
net.fit(X_train, y_train)

# %%
# Pruning goes on from the network that is fitted: some weights go, and the others learn on.

pruned = [net]
for bits in (6, 5, 4):
    narrower = deepcopy(pruned[-1])
    pruned.append(narrower.prune(X_train, y_train, n_accum_bits=bits, max_epochs=15))

picture = AccumulatorWidthDisplay.from_estimator(net, X_test, y_test, pruned=pruned)

# %%
# The share of sums that overflow, at each width of the lower panel:

for bits, rate in zip(picture.n_accum_bits, picture.overflow_rate, strict=True):
    print(f"{bits} bits: {rate:.1%}")
