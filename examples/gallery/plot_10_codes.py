"""
How a number becomes codes
==========================

A feature enters the network as several codes, one per segment of its range. Each code is a ramp of a
few steps that rises in its own segment. So a small weight can say where in the range something happens.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

from qnnprune import PrunedNeuralNetRegressor

X, y = load_diabetes(return_X_y=True, scaled=False)
bmi = X[:, [2]]
net = PrunedNeuralNetRegressor((8,), n_input_segments=4, max_epochs=5, random_state=0).fit(bmi, y)

values = np.linspace(bmi.min(), bmi.max(), 400)
codes = net.integer_network_.quantize_input(values[:, None])

figure, axes = plt.subplots(
    codes.shape[1], sharex=True, figsize=(6, 1.1 * codes.shape[1] + 0.8), layout="constrained"
)
for place, ax in enumerate(axes):
    ax.step(values, codes[:, place], where="post", color="#0072B2")
    ax.set_ylabel(f"code {place + 1}")
    ax.set_yticks(np.unique(codes))
    ax.spines[["top", "right"]].set_visible(False)
axes[-1].set_xlabel("body mass index, kg/m²")

# %%
# The thresholds between the codes are fitted on the training rows, as quantiles:

print(net.integer_network_.encoding.thresholds[0].round(1))
