"""The integer network: codes to sums to predictions, its proof and its simulation.  Numpy alone."""

from ._layer import IntegerLayer
from ._network import IntegerNetwork
from ._report import AccumulatorReport
from ._simulation import SimulationResult

__all__ = ["AccumulatorReport", "IntegerLayer", "IntegerNetwork", "SimulationResult"]
