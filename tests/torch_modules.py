"""Torch modules of Brevitas layers, of many kinds, and an outside look at their sums."""

import brevitas.nn as qnn
import torch
from brevitas.quant import (
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFloat,
    Int16Bias,
)
from oracles import accumulator_range
from torch import nn
from torch.nn import functional as F

from qnnprune.nn import PicklableModule

WEIGHT_QUANTS = {
    "per tensor": Int8WeightPerTensorFloat,
    "per channel": Int8WeightPerChannelFloat,
    "power of two": Int8WeightPerTensorFixedPoint,
}


class Mlp(PicklableModule):
    """Linear layers with batch normalisation."""

    shape = (12,)

    def __init__(self, w_bits=3, a_bits=2, weights="per tensor"):
        super().__init__()
        options = {"weight_bit_width": w_bits, "weight_quant": WEIGHT_QUANTS[weights]}
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=4),
            qnn.QuantLinear(12, 16, bias=False, **options),
            nn.BatchNorm1d(16),
            qnn.QuantReLU(bit_width=a_bits),
            nn.Dropout(0.1),
            qnn.QuantLinear(16, 9, bias=True, **options),
            qnn.QuantTanh(bit_width=a_bits),
            qnn.QuantLinear(9, 3, bias=True, **options),
        )

    def forward(self, x):
        return self.layers(x)


class LeNet(PicklableModule):
    """Convolutions, batch normalisation, largest values, and functions in place of modules."""

    shape = (1, 12, 12)

    def __init__(self, w_bits=3, a_bits=2, weights="per tensor"):
        super().__init__()
        options = {"weight_bit_width": w_bits, "weight_quant": WEIGHT_QUANTS[weights]}
        self.quant = qnn.QuantIdentity(bit_width=4)
        self.conv1 = qnn.QuantConv2d(1, 6, 3, padding=1, **options)
        self.norm1 = nn.BatchNorm2d(6)
        self.act1 = qnn.QuantReLU(bit_width=a_bits)
        self.conv2 = qnn.QuantConv2d(6, 8, 3, stride=2, bias=True, **options)
        self.norm2 = nn.BatchNorm2d(8)
        self.act2 = qnn.QuantReLU(bit_width=a_bits)
        self.out = qnn.QuantLinear(8 * 2 * 2, 4, bias=True, **options)

    def forward(self, x):
        x = self.act1(self.norm1(self.conv1(self.quant(2 * x - 1))))
        x = F.max_pool2d(x, 2)
        x = self.act2(self.norm2(self.conv2(x)))
        return self.out(x.view(x.shape[0], -1))


class Signal(PicklableModule):
    """One-dimensional convolutions, maxima before the quantizer, the mean of all positions."""

    shape = (2, 20)

    def __init__(self, w_bits=4, a_bits=3, weights="per channel"):
        super().__init__()
        options = {"weight_bit_width": w_bits, "weight_quant": WEIGHT_QUANTS[weights]}
        self.quant = qnn.QuantIdentity(bit_width=5)
        self.conv1 = qnn.QuantConv1d(2, 6, 5, padding=4, dilation=2, **options)
        self.norm1 = nn.BatchNorm1d(6)
        self.pool = nn.MaxPool1d(3, 2, padding=1)
        self.act1 = qnn.QuantIdentity(bit_width=a_bits)
        self.conv2 = qnn.QuantConv1d(6, 6, 3, groups=3, bias=True, **options)
        self.act2 = qnn.QuantHardTanh(bit_width=a_bits, min_val=-1.0, max_val=1.0)
        self.out = qnn.QuantLinear(6, 3, bias=True, **options)

    def forward(self, x):
        x = self.act1(self.pool(torch.relu(self.norm1(self.conv1(self.quant(x))))))
        x = self.act2(self.conv2(x))
        return self.out(x.mean(2))


class Branches(PicklableModule):
    """Depthwise and grouped convolutions, a sum and a concatenation of branches, averages."""

    shape = (3, 8, 8)

    def __init__(self, w_bits=3, a_bits=3, weights="per tensor"):
        super().__init__()
        options = {"weight_bit_width": w_bits, "weight_quant": WEIGHT_QUANTS[weights]}
        self.quant = qnn.QuantIdentity(bit_width=3)
        self.first = qnn.QuantConv2d(3, 4, 3, padding=1, stride=2, **options)
        self.norm = nn.BatchNorm2d(4)
        self.joint = qnn.QuantIdentity(bit_width=a_bits, return_quant_tensor=True)
        self.deep = qnn.QuantConv2d(4, 4, 3, padding=1, groups=4, **options)
        self.wide = qnn.QuantConv2d(
            4, 4, 3, padding=2, dilation=2, groups=2, bias=True, bias_quant=Int16Bias, **options
        )
        self.after = qnn.QuantReLU(bit_width=a_bits)
        self.mean = nn.AvgPool2d(2)
        self.out = qnn.QuantLinear(8 * 2 * 2, 5, bias=False, **options)

    def forward(self, x):
        x = self.joint(torch.relu(self.norm(self.first(self.quant(x)))))
        added = self.joint(self.deep(x)) + self.joint(self.wide(x))
        x = self.after(added)
        x = torch.cat([x, x], dim=1)
        return self.out(torch.flatten(self.mean(x), 1))


KINDS = (Mlp, LeNet, Signal, Branches)


def trained(module, *, steps=2, seed=0, negative=True):
    """The module after some steps, with batch normalisation of any sign.

    Scales that were measured on values are rational multiples of each other, and exact ties follow,
    which rounding decides.  So each is moved a little.
    """
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.kaiming_uniform_(part.weight, a=5**0.5, generator=generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(steps):
        loss = module.train()(inputs(module, 16, generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            size = part.weight.shape
            part.weight.data = torch.rand(size, generator=generator) + 0.5
            part.bias.data = torch.randn(size, generator=generator) * 0.5
            if negative:
                part.weight.data[::3] *= -1
        if isinstance(getattr(part, "buffer", None), torch.Tensor):
            part.buffer.mul_(1 + 0.1 * torch.rand((), generator=generator))
    return module.eval()


def inputs(module, n_rows, generator=None):
    """Random inputs of a module of `KINDS`."""
    generator = generator or torch.Generator().manual_seed(1)
    return torch.randn(n_rows, *module.shape, generator=generator)


# -------------------------------------------------------------------- an outside proof


# Smallest and largest code that each layer reads, as the widths in the classes above say it.
CODES = {
    Mlp: {"layers.1": (-8, 7), "layers.5": (0, 3), "layers.7": (-2, 1)},
    LeNet: {"conv1": (-8, 7), "conv2": (0, 3), "out": (0, 3)},
    # The mean is over 8 positions.
    Signal: {"conv1": (-16, 15), "conv2": (-4, 3), "out": (-32, 24)},
    # The mean is over windows of 4.
    Branches: {"first": (-4, 3), "deep": (-4, 3), "wide": (-4, 3), "out": (0, 28)},
}


def layers(module):
    """Name to layer, and nothing of qnnprune."""
    return {name: module.get_submodule(name) for name in CODES[type(module)]}


def integer_weights(layer):
    """Brevitas's own integers, one list per neuron or filter."""
    return layer.quant_weight().int().flatten(1).tolist()


def worst_cases(module):
    """Name to the range of the sums of each neuron."""
    return {
        name: worst_case(integer_weights(layer), *CODES[type(module)][name])
        for name, layer in layers(module).items()
    }


def worst_case(weights, low, high):
    """Ranges of the sums of some neurons whose inputs all are codes from low to high."""
    return [accumulator_range(row, [(low, high)] * len(row)) for row in weights]


def fit_under_lightning(lightning, pruning, rows, labels, **options):
    """Train a `LeNet`, as ``net`` of a module of Lightning, with a callback that prunes it."""

    class Lit(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = LeNet()

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, labels), 16)
    trainer = lightning.Trainer(
        max_epochs=5, callbacks=[pruning], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip
    module = Lit()
    trainer.fit(module, batches)
    return module
