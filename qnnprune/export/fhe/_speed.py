"""Speed of this machine at encrypted rows, measured once and kept in a file."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..._files import write_whole
from .._common import require
from ._calibration import Calibration
from ._work import Work

__all__ = ["EncryptedSpeed"]

_USUAL_ROW = {
    256: 1.8e-10,
    512: 1.5e-10,
    1024: 1.2e-10,
    2048: 1.2e-10,
    4096: 1.0e-10,
    8192: 1.1e-10,
}
_USUAL_KEYS, _USUAL_SUMS, _USUAL_KEYGEN = 4e-10, 7e-10, 4e-8
_RATES = ("keys", "sums", "keygen")


@dataclass(frozen=True)
class EncryptedSpeed:
    """Speed of one core at encrypted rows.

    Attributes
    ----------
    row : dict of int to float
        Seconds for one operation of a lookup, as `encrypted_cost` counts them, by the size of
        its polynomials.
    keys : float
        Seconds that every row takes for one byte of a client's unpacked bootstrap keys.
    sums : float
        Seconds for the product of a weight and one number of a ciphertext.
    keygen : float
        Seconds to make one byte of evaluation keys.
    measured : bool
        Whether they are those of this machine; else of a server core with AVX-512.
    """

    row: Mapping[int, float] = field(default_factory=lambda: dict(_USUAL_ROW))
    keys: float = _USUAL_KEYS
    sums: float = _USUAL_SUMS
    keygen: float = _USUAL_KEYGEN
    measured: bool = False

    def seconds(self, work: Work) -> float:
        """Time of one core for a row, in seconds.

        Parameters
        ----------
        work : Work
            What `encrypted_cost` counts.

        Returns
        -------
        float
        """
        lookups = sum(self._rate(size) * count for size, count in work.operations.items())
        return lookups + self.keys * work.key_bytes + self.sums * work.products

    def _rate(self, polynomial: int) -> float:
        nearest = min(self.row, key=lambda size: abs(math.log2(size / polynomial)))
        return self.row[nearest]

    @staticmethod
    def file() -> Path:
        """Where speeds are kept: ``qnnprune/encrypted_speed.json`` in the user's cache folder.

        One file holds those of several machines, by their host names.

        Returns
        -------
        Path
        """
        home = Path.home()
        usual = home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        return Path(os.environ.get("XDG_CACHE_HOME") or usual) / "qnnprune" / "encrypted_speed.json"

    @classmethod
    def known(cls, path=None) -> EncryptedSpeed:
        """What `measure` found on this machine; usual values where it never ran.

        Parameters
        ----------
        path : str or path-like, optional
            By default `file`.

        Returns
        -------
        EncryptedSpeed
        """
        found = _read(cls.file() if path is None else Path(path)).get(platform.node())
        try:
            row = {int(size): float(seconds) for size, seconds in found["row"].items()}
            rates = [float(found[name]) for name in _RATES]
            return cls(row, *rates, measured=True) if row else cls()
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def measure(cls, path=None) -> EncryptedSpeed:
        """Make keys of small circuits and run rows, for about a minute, and keep what was found.

        Needs Concrete.  Counts processor time, which other programs lengthen, too: measure on a
        machine as busy as it will be.

        Parameters
        ----------
        path : str or path-like, optional
            By default `file`.

        Returns
        -------
        EncryptedSpeed

        Raises
        ------
        ImportError
            If Concrete is missing.
        OSError
            If the file cannot be written.
        """
        speed = cls(**Calibration(require("concrete.fhe", "fhe")).rates(), measured=True)
        path = cls.file() if path is None else Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        one = {name: getattr(speed, name) for name in ("row", *_RATES)}
        write_whole(path, json.dumps(_read(path) | {platform.node(): one}, indent=1).encode())
        return speed


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
