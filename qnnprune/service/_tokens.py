"""API tokens: who may use a service, and whose keys and rows are whose.

The file holds names and SHA-256 digests.  A token has 256 random bits, so a digest without salt
gives nothing away.
"""

from __future__ import annotations

import hmac
import json
import re
from pathlib import Path
from secrets import token_urlsafe

from .._files import write_whole
from ..export.fhe._messages import digest

__all__ = ["ANYBODY", "Tokens"]

ANYBODY = "anybody"  # the owner of everything in a service without tokens
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Tokens:
    """Digests of tokens by name, in a file that its owner alone may read.

    Parameters
    ----------
    path : Path
        JSON; may not be there yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self._digests: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, name: str) -> str:
        """Make a token; one of the same name is no longer good.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits, ``_`` and ``-``.

        Returns
        -------
        str
            The token, which is stored nowhere.

        Raises
        ------
        ValueError
            If the name is another one.
        OSError
            If the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"A token's name is letters, digits, _ and -, but got {name!r}.")
        token = "qnn_" + token_urlsafe(32)
        self._digests[name] = digest(token.encode())
        write_whole(self.path, json.dumps(self._digests, indent=1).encode(), mode=0o600)
        return token

    def owner(self, authorization: str | None) -> str | None:
        """Whose token a header has.

        Parameters
        ----------
        authorization : str or None
            ``Bearer TOKEN``.

        Returns
        -------
        str or None
            Name of the token; None where it is none of these.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = digest(token.strip().encode())
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, found)]
        return names[0] if names else None
