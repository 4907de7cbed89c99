"""The integer network elsewhere: one module a target, the same integers in each.

Every function takes a fitted estimator or an `IntegerNetwork`.  What a target needs
beyond numpy is imported when it is called, and named in the error if it is missing.
"""

from .c import CHeader, to_c
from .fhe import CircuitReport, EncryptedNetwork, FheClient, FheServer, compile_fhe
from .onnx import register_skl2onnx, to_onnx
from .qonnx import to_qonnx

__all__ = [
    "CHeader",
    "CircuitReport",
    "EncryptedNetwork",
    "FheClient",
    "FheServer",
    "compile_fhe",
    "register_skl2onnx",
    "to_c",
    "to_onnx",
    "to_qonnx",
]
