"""
Can this ONNX model overflow?
=============================

A model that somebody else made: one layer of int8 weights on uint8 pixels, in a file. ``prove`` reads
it, computes what its sums can reach for every input, and gives an image that reaches it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from qnnprune import prove

X, y = load_digits(return_X_y=True)
pixels = X.astype(np.uint8)  # these scans have 17 grey levels
weight = LogisticRegression(max_iter=500).fit(X / 16, y).coef_.T
weight = np.round(weight / np.abs(weight).max() * 127).astype(np.int8)

folder = TemporaryDirectory()
path = Path(folder.name) / "digits.onnx"
sums = helper.make_node("MatMulInteger", ["pixels", "weight"], ["sums"], name="layer")
image = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, 64])
result = helper.make_tensor_value_info("sums", TensorProto.INT32, [1, 10])
graph = helper.make_graph(
    [sums], "digits", [image], [result], [numpy_helper.from_array(weight, "weight")]
)
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

# %%
# In 32 bits nothing can go wrong. In 16 bits, as in the lanes of many kernels, it can:

print(prove(path, n_accum_bits=32))
proof = prove(path, n_accum_bits=16)
print(proof)

# %%
# No image of the set shows it, as none has values above 16:

observed = pixels.astype(int) @ weight
layer = proof.accumulators[0]
print("observed", observed.min(), "to", observed.max())
print("proven  ", layer.partial_range[:, 0].min(), "to", layer.partial_range[:, 1].max())

# %%
# Whoever knows that no other values come in can say so, and then 16 bits are enough:

print(prove(path, n_accum_bits=16, input_range=(0, 16)))

# %%
# Without that promise, the witness is an image that overflows. Whoever doubts it multiplies it out:

witness = layer.witness
found = witness.inputs["pixels"].reshape(64)
print("class", witness.neuron, "reaches", found.astype(int) @ weight[:, witness.neuron])

figure, (ax, histogram) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
ax.imshow(found.reshape(8, 8), cmap="gray")
ax.set_title("the witness")
ax.set_axis_off()
histogram.hist(observed[:, witness.neuron], bins=40, color="#0072B2", label="images of the set")
for end in (-(2**15), 2**15 - 1):
    histogram.axvline(end, color="#D55E00", label="register of 16 bits" if end < 0 else None)
histogram.axvline(witness.bound, color="black", linestyle="--", label="the witness")
histogram.set_xlabel(f"sum of class {witness.neuron}")
histogram.set_ylabel("images")
histogram.legend(frameon=False, loc="center")
