"""The integer network elsewhere: one module a target, the same integers in each.

Every function takes a fitted estimator or an `IntegerNetwork`.  What a target needs
beyond numpy is imported when it is called, and named in the error if it is missing.
"""

from .c import CHeader, to_c
from .fhe import (
    BudgetChoice,
    CircuitReport,
    EncryptedCost,
    EncryptedNetwork,
    EncryptedSpeed,
    FheClient,
    FheServer,
    best_under_seconds,
    compile_fhe,
    encrypted_cost,
    encrypted_seconds,
)
from .onnx import register_skl2onnx, to_onnx
from .qonnx import to_qonnx

__all__ = [
    "BudgetChoice",
    "CHeader",
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
    "register_skl2onnx",
    "to_c",
    "to_onnx",
    "to_qonnx",
]
