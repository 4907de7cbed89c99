"""The package's own errors and warnings."""

__all__ = [
    "AccumulatorOverflowError",
    "AccumulatorProofError",
    "FewWeightsWarning",
    "EncryptedCostWarning",
    "InvalidNetworkFileError",
    "QnnpruneError",
    "UnsupportedModuleError",
]


class QnnpruneError(Exception):
    """Base of the package's own errors."""


class AccumulatorProofError(QnnpruneError, RuntimeError):
    """A compiled network breaks a limit that should hold by construction: a defect."""


class AccumulatorOverflowError(QnnpruneError, OverflowError):
    """A sum left its register while ``mode="raise"`` was asked for."""


class InvalidNetworkFileError(QnnpruneError, ValueError):
    """A file does not hold a whole, consistent integer network of a known version."""


class UnsupportedModuleError(QnnpruneError, ValueError):
    """A torch module, or a layer of it, has no integer form; the message names it."""


class FewWeightsWarning(UserWarning):
    """The widths leave so few weights to a neuron that hardly anything can be learned."""


class EncryptedCostWarning(UserWarning):
    """A network was compiled whose encrypted prediction is out of practical reach."""
