"""Pruning and proof for one's own PyTorch modules of Brevitas layers."""

from ._compile import to_integer_network
from ._pruner import AccumulatorPruner
from ._report import accumulator_report

__all__ = ["AccumulatorPruner", "accumulator_report", "to_integer_network"]
