"""The package's own errors and warnings."""

__all__ = [
    "AccumulatorOverflowError",
    "AccumulatorProofError",
    "FewWeightsWarning",
    "EncryptedCostWarning",
    "InvalidNetworkFileError",
    "QnnpruneError",
    "ServiceError",
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


class ServiceError(QnnpruneError, RuntimeError):
    """A service of encrypted prediction refused a request, failed at a row, or is not there.

    Parameters
    ----------
    message : str
    code : str
        Name of the problem, such as "unknown_model"; "unreachable" where no answer came.
    status : int
        HTTP status; 0 where no answer came.
    """

    def __init__(self, message: str, code: str = "unreachable", status: int = 0):
        super().__init__(message)
        self.code, self.status = code, status


class UnsupportedModuleError(QnnpruneError, ValueError):
    """A torch module, or a layer of it, has no integer form; the message names it."""


class FewWeightsWarning(UserWarning):
    """The widths leave so few weights to a neuron that hardly anything can be learned."""


class EncryptedCostWarning(UserWarning):
    """A network was compiled whose encrypted prediction is out of practical reach."""
