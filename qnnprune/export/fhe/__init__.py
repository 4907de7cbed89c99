"""Encrypted prediction: the integer network as a TFHE circuit, client and server."""

from ._circuit import EncryptedNetwork, compile_fhe
from ._client import FheClient
from ._cost import CircuitReport
from ._server import FheServer

__all__ = ["CircuitReport", "EncryptedNetwork", "FheClient", "FheServer", "compile_fhe"]
