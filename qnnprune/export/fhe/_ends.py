"""What stays in the clear: features to codes before encryption, sums to labels after it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path

import numpy as np

from ...exceptions import InvalidNetworkFileError
from ...integer import IntegerNetwork
from ._lookups import LookupNetwork

__all__ = ["Ends"]


@dataclass(frozen=True, eq=False)
class Ends:
    """The two ends of a network, and nothing of what lies between them.

    Attributes
    ----------
    network : IntegerNetwork
        Encoding, scale, bias, labels and column names; its only weights are 0.
    inputs : int64 array of shape (n_sent,)
        The input codes that are sent.
    constant : int64 array of shape (n_out,)
        What the sums that come back lack of the output layer's accumulators.
    n_copies : int
        How often these codes are sent: once for each layer that reads them.
    """

    network: IntegerNetwork
    inputs: np.ndarray
    constant: np.ndarray
    n_copies: int

    @staticmethod
    def of(network: IntegerNetwork, lookups: LookupNetwork) -> Ends:
        """The ends of `network`, whose middle is `lookups`."""
        output, input_range = network.layers[-1], network.encoding.input_range
        weight = np.zeros((len(output.weight), len(input_range)), dtype=np.int8)
        hollow = IntegerNetwork(
            network.encoding,
            [replace(output, weight=weight, input_range=input_range)],
            n_w_bits=network.n_w_bits,
            n_accum_bits=network.n_accum_bits,
            classes=network.classes,
            feature_names=network.feature_names,
            outcome=network.outcome,
        )
        return Ends(hollow, lookups.inputs, lookups.constant, lookups.n_copies)

    def codes(self, X) -> np.ndarray:
        """What is encrypted, int64: (n_samples, n_features) to (n_samples, n_sent)."""
        X = X.toarray() if hasattr(X, "toarray") else X
        return self.network.quantize_input(X)[:, self.inputs].astype(np.int64)

    def decision(self, sums) -> np.ndarray:
        """Logits or target values, float64: (n_samples, n_out) sums to (n_samples, n_logits).

        The sums of one logit are added up here, in the clear.
        """
        return self.network.layers[0].decision(np.asarray(sums) + self.constant)

    def predictions(self, sums) -> np.ndarray:
        """What `IntegerNetwork.predict` gives."""
        return self.network.decode(self.decision(sums))

    def save(self, folder: Path) -> None:
        """Write ``network.npz`` and ``codes.json``."""
        self.network.save(folder / "network.npz")
        found = {"inputs": self.inputs.tolist(), "constant": self.constant.tolist()}
        text = json.dumps(found | {"copies": self.n_copies})
        (folder / "codes.json").write_text(text, encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> Ends:
        """Read what `save` wrote.

        Raises
        ------
        OSError
            If a file is missing.
        InvalidNetworkFileError
            If a file is damaged.
        """
        network = IntegerNetwork.load(folder / "network.npz")
        text = (folder / "codes.json").read_bytes()
        try:
            found = json.loads(text)
            arrays = [np.array(found[key]) for key in ("inputs", "constant")]
            ends = Ends(network, *arrays, index(found["copies"]))
            ends._check()
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidNetworkFileError(f"{folder / 'codes.json'!s} is damaged.") from error
        return ends

    def _check(self) -> None:
        n_out, n_in = self.network.layers[-1].weight.shape
        whole = {self.inputs.dtype.kind, self.constant.dtype.kind} == {"i"}
        if not whole or self.inputs.ndim != 1 or self.constant.shape != (n_out,):
            raise ValueError("not integers of the right number")
        if self.inputs.min() < 0 or self.inputs.max() >= n_in:
            raise ValueError("an input that the network does not have")
        if self.n_copies < 1:
            raise ValueError("nothing is sent")
