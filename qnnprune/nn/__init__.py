"""Pruning and proof for one's own PyTorch modules of Brevitas layers."""

from ._callbacks import AccumulatorPruning
from ._compile import to_integer_network
from ._picklable import PicklableModule
from ._pruner import AccumulatorPruner
from ._registers import narrow_registers
from ._report import accumulator_report

__all__ = [
    "AccumulatorPruner",
    "AccumulatorPruning",
    "PicklableModule",
    "accumulator_report",
    "narrow_registers",
    "to_integer_network",
]


def __getattr__(name):
    if name == "LightningPruning":  # needs Lightning, which nothing else does
        from ._lightning import LightningPruning

        return LightningPruning
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
