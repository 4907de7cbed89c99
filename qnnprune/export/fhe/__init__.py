"""Encrypted prediction: the integer network as a TFHE circuit, client and server."""

from ._budget import BudgetChoice, best_under_seconds
from ._circuit import EncryptedNetwork, compile_fhe
from ._client import FheClient
from ._cost import CircuitReport
from ._estimate import EncryptedCost, encrypted_cost, encrypted_seconds
from ._server import FheServer
from ._speed import EncryptedSpeed

__all__ = [
    "BudgetChoice",
    "CircuitReport",
    "EncryptedCost",
    "EncryptedNetwork",
    "EncryptedSpeed",
    "FheClient",
    "FheServer",
    "best_under_seconds",
    "compile_fhe",
    "encrypted_cost",
    "encrypted_seconds",
]
