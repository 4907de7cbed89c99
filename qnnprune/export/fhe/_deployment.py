"""Client and server of encrypted prediction: bytes go between them, and nothing else.

The client holds the secret keys.  The server holds the circuit, and of the client only the
evaluation keys, with which it can compute on ciphertexts but not read them.

Every message begins with 32 bytes that stand for the circuit's parameters, since keys and
ciphertexts of other parameters would bring the process down.  Concrete's own serialization
follows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import numpy as np

from .._common import require
from ._ends import Ends

__all__ = ["FheClient", "FheServer", "whole_folder"]


@contextmanager
def whole_folder(folder):
    """A folder to write to that takes the place of `folder` once it is whole.

    Raises
    ------
    OSError
        If there is something in `folder` already, or it cannot be written to.
    """
    folder = Path(folder)
    unfinished = folder.with_name(f"{folder.name}.{token_hex(4)}.tmp")
    unfinished.mkdir()
    try:
        yield unfinished
        os.rename(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _mark(specs) -> bytes:
    return hashlib.sha256(specs.serialize()).digest()


def _open(specs, data: bytes, kind):
    """What a message holds, an object of Concrete's class `kind`."""
    mark = _mark(specs)
    if data[: len(mark)] != mark:
        raise ValueError("The bytes do not belong to this circuit: client and server differ.")
    try:
        return kind.deserialize(data[len(mark) :])
    except RuntimeError as error:
        raise ValueError(f"The bytes are damaged: they hold no {kind.__name__}.") from error


class FheClient:
    """Encodes and encrypts, decrypts and decodes, without the weights.

    Made by `load` from what `EncryptedNetwork.save_client` wrote.
    """

    def __init__(self, ends: Ends, client):
        self.ends, self._client = ends, client

    @staticmethod
    def load(folder) -> FheClient:
        """Read the folder that `EncryptedNetwork.save_client` wrote.

        Raises
        ------
        OSError
            If a file is missing.
        InvalidNetworkFileError
            If the network's file is damaged.
        """
        fhe, folder = require("concrete.fhe", "fhe"), Path(folder)
        return FheClient(Ends.load(folder), fhe.Client.load(folder / "client.zip"))

    def save(self, folder) -> None:
        """Write the client's files into a folder that is there; without keys."""
        folder = Path(folder)
        self.ends.save(folder)
        self._client.save(folder / "client.zip")

    def keygen(self) -> None:
        """Make new keys: takes seconds, and is needed once."""
        self._client.keygen(force=True)

    def save_keys(self, path) -> None:
        """Write all keys, the secret ones too: whoever reads the file can decrypt."""
        self._client.keys.save(path)

    def load_keys(self, path) -> None:
        """Go on with the keys that `save_keys` wrote."""
        self._client.keys.load(path)

    def evaluation_keys(self) -> bytes:
        """What the server needs once, to compute for this client."""
        return _mark(self._client.specs) + self._client.evaluation_keys.serialize()

    def encrypt(self, X) -> list[bytes]:
        """Encode and encrypt.

        Parameters
        ----------
        X : array-like or scipy sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        list of bytes
            One request a row.
        """
        mark = _mark(self._client.specs)
        return [mark + self._client.encrypt(row).serialize() for row in self.ends.codes(X)]

    def decrypt(self, responses: Iterable[bytes]) -> np.ndarray:
        """Decrypt and decode.

        Parameters
        ----------
        responses : iterable of bytes
            What the server made of each request.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets
            Labels or target values.

        Raises
        ------
        ValueError
            If a response is damaged, or of another circuit.
        """
        return self.ends.predictions(self._sums(responses))

    def decrypt_decision(self, responses: Iterable[bytes]) -> np.ndarray:
        """Decrypt to logits or target values.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self.ends.decision(self._sums(responses))

    def _sums(self, responses):
        kind, specs = require("concrete.fhe", "fhe").Value, self._client.specs
        sums = [self._client.decrypt(_open(specs, data, kind)) for data in responses]
        return np.array(sums, dtype=np.int64).reshape(len(sums), len(self.ends.constant))


class FheServer:
    """Computes on ciphertexts.

    Made by `load` from what `EncryptedNetwork.save_server` wrote.
    """

    def __init__(self, server):
        self._server, self._keys = server, None

    @staticmethod
    def load(folder) -> FheServer:
        """Read the folder that `EncryptedNetwork.save_server` wrote.

        Raises
        ------
        OSError
            If the file is missing.
        """
        fhe = require("concrete.fhe", "fhe")
        return FheServer(fhe.Server.load(Path(folder) / "server.zip"))

    def save(self, folder) -> None:
        """Write the server's file into a folder that is there."""
        self._server.save(Path(folder) / "server.zip")

    def accept_keys(self, evaluation_keys: bytes) -> None:
        """Compute with a client's evaluation keys from now on.

        Raises
        ------
        ValueError
            If the bytes are damaged, or keys for another circuit.
        """
        kind = require("concrete.fhe", "fhe").EvaluationKeys
        self._keys = _open(self._server.client_specs, evaluation_keys, kind)

    def run(self, request: bytes) -> bytes:
        """Turn an encrypted row into encrypted sums.

        Raises
        ------
        ValueError
            If no keys were accepted yet, or the request is damaged or of another circuit.
        """
        if self._keys is None:
            raise ValueError("No evaluation keys yet: pass the client's to accept_keys first.")
        specs = self._server.client_specs
        value = _open(specs, request, require("concrete.fhe", "fhe").Value)
        result = self._server.run(value, evaluation_keys=self._keys)
        return _mark(specs) + result.serialize()
