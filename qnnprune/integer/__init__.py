"""The integer network: codes to sums to predictions, its proof and its simulation.  Numpy alone."""

from ._graph import IntegerGraph
from ._layer import HiddenLayer, IntegerLayer, OutputLayer
from ._network import IntegerNetwork
from ._report import AccumulatorReport
from ._simulation import SimulationResult

__all__ = [
    "AccumulatorReport",
    "HiddenLayer",
    "IntegerGraph",
    "IntegerLayer",
    "IntegerNetwork",
    "OutputLayer",
    "SimulationResult",
]
