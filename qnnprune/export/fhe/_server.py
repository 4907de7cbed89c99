"""The server of encrypted prediction: computes on ciphertexts that it cannot read.

It holds the circuit, and of each client only the evaluation keys.  Every message carries the ids
of its model and of its keys; what does not match is refused.
"""

from __future__ import annotations

import json
from pathlib import Path

from .._common import require
from ._cost import key_sizes
from ._files import Saved, checked_folder
from ._messages import (
    EVALUATION_KEYS,
    NONCE_SIZE,
    REQUEST,
    RESPONSE,
    digest,
    parameters_id,
    refusals,
    seal,
    short,
    taken_apart,
    unseal,
)

__all__ = ["FheServer"]


class FheServer(Saved):
    """Computes on ciphertexts of any number of clients.

    Made by `load` from what `EncryptedNetwork.save_server` wrote.  Several threads may use one
    server; rows of several threads run beside each other.

    Each client's keys stay in memory until `forget_keys`: ``report.held_key_bytes`` of the
    compiled network per client, without a bound of its own.  A server that starts anew has
    none: keep the bytes that `accept_keys` took, or ask the clients again.

    The ids tell mix-ups, not forgeries.  Let authenticated clients alone send keys: forged
    ones can bring the process down.

    Parameters
    ----------
    server : concrete.fhe.Server
        The compiled circuit.
    model_id : str
        Digest of the network; clients must have the same.
    """

    def __init__(self, server, model_id: str):
        self._server, self.model_id = server, model_id
        self.parameters_id = parameters_id(server.client_specs)
        self._n_inputs = len(json.loads(server.client_specs.serialize())["circuits"][0]["inputs"])
        self._keys: dict[str, object] = {}  # by id; each access is one atomic operation

    @staticmethod
    def load(folder) -> FheServer:
        """Read the folder that `EncryptedNetwork.save_server` wrote.

        Parameters
        ----------
        folder : str or path-like

        Returns
        -------
        FheServer
            Without keys.

        Raises
        ------
        OSError
            If a file is missing.
        InvalidNetworkFileError
            If a file is damaged, or from another folder.
        """
        fhe, folder = require("concrete.fhe", "fhe"), Path(folder)
        model_id = checked_folder(folder)
        return FheServer(fhe.Server.load(folder / "server.zip"), model_id)

    def _write(self, folder: Path) -> None:
        self._server.save(folder / "server.zip")

    def accept_keys(self, evaluation_keys: bytes) -> str:
        """Compute for one more client from now on.

        Parameters
        ----------
        evaluation_keys : bytes
            What `FheClient.evaluation_keys` gave.

        Returns
        -------
        str
            Id of the keys, for `forget_keys`.

        Raises
        ------
        TypeError
            If it is not bytes.
        ValueError
            If the bytes are damaged, no evaluation keys, or keys for other parameters.
        """
        keys_id, body = unseal(evaluation_keys, EVALUATION_KEYS, self.parameters_id)
        if digest(body) != keys_id:  # else one client could replace the keys of another
            raise ValueError("The evaluation keys are damaged: they carry the id of other keys.")
        with refusals():
            keys = require("concrete.fhe", "fhe").EvaluationKeys.deserialize(body[NONCE_SIZE:])
        self._keys[keys_id] = keys
        return keys_id

    @property
    def key_sizes(self) -> tuple[int, int]:
        """Bytes of a client's keys as they are sent, and in memory once they computed a row."""
        return key_sizes(self._server.client_specs)

    def forget_keys(self, keys_id: str) -> None:
        """Compute no longer for a client, and free the memory of its keys.

        Parameters
        ----------
        keys_id : str
            What `accept_keys` returned.

        Raises
        ------
        ValueError
            If there are no such keys.
        """
        if self._keys.pop(keys_id, None) is None:
            raise ValueError(f"There are no keys {keys_id!r}: pass an id that accept_keys gave.")

    def run(self, request: bytes) -> bytes:
        """Turn an encrypted row into encrypted sums.

        Parameters
        ----------
        request : bytes
            One of those that `FheClient.encrypt` gave.

        Returns
        -------
        bytes
            The response, for `FheClient.decrypt`.

        Raises
        ------
        TypeError
            If the request is not bytes.
        ValueError
            If it is damaged, no request, for another model, or encrypted with keys that
            were not accepted.
        """
        keys_id, body = unseal(request, REQUEST, self.model_id)
        keys = self._keys.get(keys_id)
        if keys is None:
            raise ValueError(
                f"This server does not hold the keys {short(keys_id)} of the request: pass that "
                "client's evaluation_keys() to accept_keys first."
            )
        with refusals():
            value = require("concrete.fhe", "fhe").Value
            values = [value.deserialize(part) for part in self._parts(body)]
            result = self._server.run(*values, evaluation_keys=keys)
        return seal(RESPONSE, self.model_id, keys_id, result.serialize())

    def _parts(self, body: bytes) -> list[bytes]:
        """Each ciphertext of a request; Concrete would not survive one too few."""
        parts = taken_apart(body)
        if len(parts) != self._n_inputs:
            raise ValueError(
                f"The request holds {len(parts)} ciphertexts, but this model takes {self._n_inputs}."
            )
        return parts
