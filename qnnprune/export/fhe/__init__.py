"""Encrypted prediction: the integer network as a TFHE circuit, client and server."""

from ._circuit import EncryptedNetwork, compile_fhe
from ._cost import CircuitReport
from ._deployment import FheClient, FheServer

__all__ = ["CircuitReport", "EncryptedNetwork", "FheClient", "FheServer", "compile_fhe"]
