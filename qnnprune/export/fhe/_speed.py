"""Speed of this machine at encrypted rows, measured once and kept in a file."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..._files import write_whole
from .._common import require
from ._prices import Keys, price

__all__ = ["EncryptedSpeed"]

_USUAL_ROW = {
    512: 1.8e-10,
    1024: 1.5e-10,
    2048: 1.2e-10,
    4096: 1.1e-10,
    8192: 1.1e-10,
}
_USUAL_KEYGEN = 4e-8

# Bits of tables.  Each has its own size of polynomials; what removes a bit has the smallest.
_PROBES = (2, 3, 4, 5, 6)
_NEURONS, _RUNS = 4, 7


@dataclass(frozen=True)
class EncryptedSpeed:
    """Speed of one core at encrypted rows.

    Attributes
    ----------
    row : dict of int to float
        Seconds for one operation of a lookup, as `encrypted_cost` counts them, by the size of
        its polynomials.
    keygen : float
        Seconds to make one byte of evaluation keys.
    measured : bool
        Whether they are those of this machine; else of a server core with AVX-512.
    """

    row: Mapping[int, float] = field(default_factory=lambda: dict(_USUAL_ROW))
    keygen: float = _USUAL_KEYGEN
    measured: bool = False

    def _seconds(self, keys: Keys) -> float:
        """Of one lookup."""
        nearest = min(self.row, key=lambda size: abs(math.log2(size / keys.polynomial)))
        return self.row[nearest] * keys.operations

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
            return cls(row, float(found["keygen"]), measured=True) if row else cls()
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls()

    @classmethod
    def measure(cls, path=None) -> EncryptedSpeed:
        """Make keys of small circuits and run rows, for about half a minute, and keep what was found.

        Needs Concrete, and a core that nothing else uses.

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
        fhe = require("concrete.fhe", "fhe")
        row: dict[int, float] = {}
        keygen = []
        for n_bits in _PROBES:
            keys, (row_seconds, key_seconds) = price(n_bits, 0, n_bits).table, _probe(fhe, n_bits)
            keygen.append(key_seconds / keys.sent_bytes)
            row[keys.polynomial] = row_seconds / keys.operations
        speed = cls(row, float(np.median(keygen)), measured=True)
        path = cls.file() if path is None else Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        one = {"row": speed.row, "keygen": speed.keygen}
        write_whole(path, json.dumps(_read(path) | {platform.node(): one}, indent=1).encode())
        return speed


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _probe(fhe, n_bits: int) -> tuple[float, float]:
    """Seconds of a lookup, and of key generation."""
    table = fhe.LookupTable([0] * 2 ** (n_bits - 1) + [-1] * 2 ** (n_bits - 1))
    table.output_dtype = getattr(fhe, f"int{n_bits}").dtype

    def circuit(codes):
        return table[codes]

    circuit.__annotations__["codes"] = fhe.tensor[getattr(fhe, f"int{n_bits}"), _NEURONS]
    configuration = fhe.Configuration(
        p_error=2.0**-40, compress_evaluation_keys=True, loop_parallelize=False
    )
    compiled = fhe.circuit({"codes": "encrypted"}, configuration)(circuit)
    keygen = _cpu_seconds(lambda: compiled.keygen(force=True))
    codes = compiled.encrypt(np.zeros(_NEURONS, dtype=np.int64))
    # The first run unpacks the keys; other programs only ever make a run slower.
    row = min([_cpu_seconds(lambda: compiled.run(codes)) for _ in range(_RUNS)][1:])
    return row / _NEURONS, keygen


def _cpu_seconds(call) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
