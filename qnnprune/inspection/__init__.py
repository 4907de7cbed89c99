"""Pictures of networks, of their proof and of what narrower registers do: Displays, as scikit-learn has them.

Each holds what it draws as attributes.  matplotlib is imported when a picture is drawn.
"""

from ._curves import NarrowingDisplay, TrainingDisplay
from ._histogram import AccumulatorHistogramDisplay
from ._overflow import OverflowDisplay
from ._pareto import ParetoDisplay
from ._proof import ProofDisplay
from ._weights import NonzerosDisplay, WeightDisplay
from ._widths import AccumulatorWidthDisplay

__all__ = [
    "AccumulatorHistogramDisplay",
    "AccumulatorWidthDisplay",
    "NarrowingDisplay",
    "NonzerosDisplay",
    "OverflowDisplay",
    "ParetoDisplay",
    "ProofDisplay",
    "TrainingDisplay",
    "WeightDisplay",
]
