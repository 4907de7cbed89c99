"""QONNX: integers with a data type on every tensor."""

from ._convert import to_qonnx

__all__ = ["to_qonnx"]
