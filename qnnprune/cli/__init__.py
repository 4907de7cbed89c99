"""The command line: ``python -m qnnprune``."""

from ._main import main

__all__ = ["main"]
