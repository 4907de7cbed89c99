"""ONNX: the integer network in standard operators."""

from ._convert import to_onnx
from ._skl2onnx import register_skl2onnx

__all__ = ["register_skl2onnx", "to_onnx"]
