"""
A convolutional module, pruned and proven
=========================================

An ``nn.Module`` of Brevitas layers in a plain training loop. After every epoch the pruner removes
weights until no sum can leave 8 bits, whatever image comes in. The module then becomes an integer
network, whose filters are the pictures below.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from qnnprune.export import to_c, to_onnx, to_qonnx
from qnnprune.nn import AccumulatorPruner, accumulator_report, to_integer_network

X, y = load_digits(return_X_y=True)
images = (X / 16).reshape(-1, 1, 8, 8).astype(np.float32)
split = train_test_split(images, y, test_size=400, random_state=0)
train, test, y_train, y_test = map(torch.from_numpy, split)

torch.manual_seed(0)
module = nn.Sequential(
    QuantIdentity(bit_width=3),
    QuantConv2d(1, 8, 3, bias=False, weight_bit_width=3),
    nn.BatchNorm2d(8),
    QuantReLU(bit_width=2),
    nn.MaxPool2d(2),
    nn.Flatten(),
    QuantLinear(72, 10, bias=True, weight_bit_width=3),
)
module(train[:100])  # lets the quantizers see values
print(accumulator_report(module, n_accum_bits=8).summary)

# %%
# Train and prune. ``keep_zeros`` keeps what is pruned at 0 between two calls of ``step``.

pruner = AccumulatorPruner(module, n_accum_bits=8)
optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
n_epochs = 15
for epoch in range(n_epochs):
    module.train()
    for rows in torch.randperm(len(train)).split(64):
        loss = nn.functional.cross_entropy(module(train[rows]), y_train[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pruner.keep_zeros()
    pruner.step((epoch + 1) / n_epochs)
print(pruner.report().summary)

# %%
# The integer network predicts with numpy alone.

network = to_integer_network(module.eval(), test[:1], classes=np.arange(10))
accuracy = (network.predict(test.numpy()) == y_test.numpy()).mean()
print(f"{network.proven_bits} bits proven, {network.nonzeros} weights, accuracy {accuracy:.3f}")

# %%
# Its filters are integers, each used at all 36 positions of an image:

filters = network.operations[0].weight[:, 0]
figure, axes = plt.subplots(1, len(filters), figsize=(8, 1.4), layout="constrained")
for ax, weights in zip(axes, filters, strict=True):
    ax.imshow(weights, cmap="RdBu_r", vmin=-3, vmax=3)
    for (i, j), weight in np.ndenumerate(weights):
        ax.text(
            j, i, weight, ha="center", va="center", color="white" if abs(weight) > 1 else "black"
        )
    ax.set_axis_off()

# %%
# The same network for other software. Every target computes the same integers:

header = to_c(network)
print(f"C: {header.flash_bytes} bytes of flash, {header.ram_bytes} of RAM")
print("ONNX:", len(to_onnx(network).graph.node), "operators")
print("QONNX:", [node.op_type for node in to_qonnx(network).graph.node])
