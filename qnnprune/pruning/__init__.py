"""Pruning: weights to masks, under the limits of a neuron.  Numpy alone."""

from .criteria import CRITERIA
from .limits import LayerLimits, keep_what_fits
from .pruner import Pruner
from .schedules import SCHEDULES

__all__ = ["CRITERIA", "SCHEDULES", "LayerLimits", "Pruner", "keep_what_fits"]
