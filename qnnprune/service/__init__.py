"""A service for encrypted prediction: rows travel, are computed and return encrypted."""

from ._client import ServiceClient
from ._serve import serve
from ._settings import Settings
from ._tokens import Tokens

__all__ = ["ServiceClient", "Settings", "Tokens", "serve"]
