"""Calibration: small circuits whose rows tell how fast a machine is at encrypted prediction."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from ._circuit import compile_lookups
from ._lookups import LookupLayer, LookupNetwork
from ._rows import row_of_network
from ._work import work_of

__all__ = ["Calibration"]

# Bits of tables, bits removed before, and neurons.  Each width has its own size of polynomials.
# The first two tell what a row takes whatever it computes.
_PROBES = (
    (4, 0, 1), (4, 0, 12), (2, 0, 8), (3, 0, 8), (5, 0, 4), (6, 0, 2), (4, 1, 6), (4, 3, 4), (4, 4, 4),
)  # fmt: skip
_SUMS, _TERMS = 64, 256


class Calibration:
    """Small circuits with keys, whose rows tell the speed of the machine whenever asked.

    Parameters
    ----------
    fhe : module
        Of Concrete.
    """

    def __init__(self, fhe):
        self.networks = [_probe(*probe) for probe in _PROBES] + [_sums()]
        self._rows, self._keygen = [], []
        for network in self.networks:
            circuit = compile_lookups(fhe, network, 2.0**-40, loop_parallelize=False)
            seconds = _cpu_seconds(lambda: circuit.keygen(force=True))  # noqa: B023
            sent = sum(key.sent_bytes for key in work_of(row_of_network(network)).keys)
            self._keygen += [seconds / sent] if sent else []
            row = circuit.encrypt(np.zeros(len(network.inputs), dtype=np.int64))
            circuit.run(row)  # unpacks the keys
            self._rows.append((circuit, row))

    def rates(self, n_rounds: int = 7) -> dict:
        """Speed of this machine now, as the parameters of `EncryptedSpeed`.

        Each time is a sum of counts and rates.  The rates are those of least squares of relative
        errors.  Circuits take turns, so that a busy moment is not that of one of them.

        Parameters
        ----------
        n_rounds : int
            Rows of each circuit, of which the medians count.

        Returns
        -------
        dict
        """
        from scipy.optimize import nnls

        rounds = [
            [_cpu_seconds(partial(c.run, row)) for c, row in self._rows] for _ in range(n_rounds)
        ]
        counts = [work_of(row_of_network(network)) for network in self.networks]
        sizes = sorted({size for work in counts for size in work.operations})
        terms = [
            [*(work.operations.get(size, 0.0) for size in sizes), work.key_bytes, work.products]
            for work in counts
        ]
        relative = np.array(terms) / np.median(rounds, axis=0)[:, None]
        unit = relative.max(axis=0)  # counts differ by many orders of magnitude
        rates = nnls(relative / unit, np.ones(len(relative)))[0] / unit
        row = {size: float(rate) for size, rate in zip(sizes, rates[:-2], strict=True)}
        keys, sums = map(float, rates[-2:])
        keygen = float(np.median(self._keygen))
        return {"row": row, "keys": keys, "sums": sums, "keygen": keygen}


def _probe(n_bits: int, n_removed: int, n_neurons: int) -> LookupNetwork:
    """Neurons with a table of `n_bits` each, after `n_removed` bits have gone."""
    one, nothing = np.eye(n_neurons, dtype=np.int64), np.zeros((n_neurons, 0), dtype=np.int64)
    offset, half = np.zeros(n_neurons, dtype=np.int64), 2 ** (n_bits - 1)
    tables = np.tile(np.repeat([-1, 0], half), (n_neurons, 1))
    hidden = LookupLayer(nothing, one, offset, n_bits + n_removed, n_removed, tables)
    output = LookupLayer(one, 0 * one, offset, n_bits)
    return LookupNetwork(np.arange(n_neurons), (hidden, output), offset)


def _sums() -> LookupNetwork:
    """Sums alone."""
    weight = np.ones((_SUMS, _TERMS), dtype=np.int64)
    offset = np.zeros(_SUMS, dtype=np.int64)
    layer = LookupLayer(weight[:, :0], weight, offset, n_bits=8)
    return LookupNetwork(np.arange(_TERMS), (layer,), offset)


def _cpu_seconds(call) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
