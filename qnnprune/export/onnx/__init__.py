"""ONNX: the integer network in standard operators."""

from ._convert import register_skl2onnx, to_onnx

__all__ = ["register_skl2onnx", "to_onnx"]
