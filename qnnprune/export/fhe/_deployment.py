"""Client and server of encrypted prediction: bytes go between them, and nothing else.

The client holds the secret keys.  The server holds the circuit, and of each client only the
evaluation keys, with which it can compute on ciphertexts but not read them.  Every message
carries the ids of its model and of its keys; what does not match is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._common import require
from ._ends import Ends
from ._files import checked_folder, whole_folder, write_secret
from ._messages import (
    EVALUATION_KEYS,
    REQUEST,
    RESPONSE,
    SECRET_KEYS,
    digest,
    refusals,
    seal,
    short,
    unseal,
)

__all__ = ["FheClient", "FheServer"]


def _fhe():
    return require("concrete.fhe", "fhe")


@dataclass(frozen=True)
class _Keys:
    """Concrete's client with its keys, and their id: the digest of the evaluation keys."""

    client: object
    id: str

    @staticmethod
    def of(client) -> _Keys:
        return _Keys(client, digest(client.evaluation_keys.serialize()))


class FheClient:
    """Encodes and encrypts, decrypts and decodes, without the weights.

    Made by `load` from what `EncryptedNetwork.save_client` wrote.  Its keys serve one model:
    after a new training, a client needs the new folder and new keys.  Several threads may use
    one client.

    Parameters
    ----------
    ends : Ends
        What happens in the clear, before and after.
    specs : concrete.fhe.ClientSpecs
        What keys and ciphertexts are made of.
    model_id : str
        Digest of the network; a server must have the same.
    """

    def __init__(self, ends: Ends, specs, model_id: str):
        self.ends, self.model_id = ends, model_id
        self._specs = specs
        # Replaced as a whole, so that no thread sees keys under the id of others.
        self._made: _Keys | None = None

    @staticmethod
    def load(folder) -> FheClient:
        """Read the folder that `EncryptedNetwork.save_client` wrote.

        Parameters
        ----------
        folder : str or path-like

        Returns
        -------
        FheClient
            Without keys.

        Raises
        ------
        OSError
            If a file is missing.
        InvalidNetworkFileError
            If a file is damaged, or from another folder.
        """
        fhe, folder = _fhe(), Path(folder)
        model_id = checked_folder(folder)
        specs = fhe.Client.load(folder / "client.zip").specs
        return FheClient(Ends.load(folder), specs, model_id)

    def save(self, folder) -> None:
        """Write the client's files, without keys.

        Parameters
        ----------
        folder : str or path-like
            Must not exist yet, or be empty.

        Raises
        ------
        OSError
            If the folder is there already or cannot be written; nothing is left then.
        """
        with whole_folder(folder, self.model_id) as unfinished:
            self.ends.save(unfinished)
            _fhe().Client(self._specs).save(unfinished / "client.zip")

    def keygen(self) -> None:
        """Make new keys: takes seconds, and is needed once.

        Responses to what was encrypted with former keys can no longer be read.
        """
        client = _fhe().Client(self._specs)
        client.keygen(force=True)
        self._made = _Keys.of(client)

    @property
    def _keys(self) -> _Keys:
        if self._made is None:
            raise ValueError(
                "This client has no keys yet: keygen() makes new ones, load_keys(path) reads those "
                "that save_keys wrote."
            )
        return self._made

    def save_keys(self, path) -> None:
        """Write all keys, the secret ones too, to a file that its owner alone may read.

        Whoever reads the file can decrypt.

        Parameters
        ----------
        path : str or path-like
            Must not exist yet.

        Raises
        ------
        OSError
            If the file is there already or cannot be written; nothing is left then.
        ValueError
            If there are no keys yet.
        """
        keys = self._keys
        body = keys.client.keys.serialize()
        write_secret(path, seal(SECRET_KEYS, self.model_id, keys.id, body))

    def load_keys(self, path) -> None:
        """Go on with the keys that `save_keys` wrote.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, holds no secret keys, or those for another model; the client
            keeps the keys that it had.
        """
        _, body = unseal(Path(path).read_bytes(), SECRET_KEYS, self.model_id)
        client = _fhe().Client(self._specs)
        with refusals():
            client.keys.load_from_bytes(body)
        self._made = _Keys.of(client)

    def evaluation_keys(self) -> bytes:
        """What the server needs once, to compute for this client.

        Returns
        -------
        bytes
            For `FheServer.accept_keys`; ``report.sent_key_bytes`` of the compiled network says
            how many.

        Raises
        ------
        ValueError
            If there are no keys yet.
        """
        keys = self._keys
        body = keys.client.evaluation_keys.serialize()
        return seal(EVALUATION_KEYS, self.model_id, keys.id, body)

    def encrypt(self, X) -> list[bytes]:
        """Encode and encrypt.

        Parameters
        ----------
        X : array-like or scipy sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        list of bytes
            One request per row.

        Raises
        ------
        ValueError
            If there are no keys yet, or X does not fit the network.
        """
        keys = self._keys
        rows = [keys.client.encrypt(row).serialize() for row in self.ends.codes(X)]
        return [seal(REQUEST, self.model_id, keys.id, row) for row in rows]

    def decrypt(self, responses: Iterable[bytes]) -> np.ndarray:
        """Decrypt and decode.

        Parameters
        ----------
        responses : iterable of bytes
            What the server made of each request, in the order of the rows.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets
            Labels or target values.

        Raises
        ------
        TypeError
            If a response is not bytes.
        ValueError
            If there are no keys yet, or a response is damaged, of another model, or made
            with other keys.
        """
        return self.ends.predictions(self._sums(responses))

    def decrypt_decision(self, responses: Iterable[bytes]) -> np.ndarray:
        """Decrypt to logits or target values.

        Raises the errors of `decrypt`.

        Parameters
        ----------
        responses : iterable of bytes
            What the server made of each request, in the order of the rows.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self.ends.decision(self._sums(responses))

    def _sums(self, responses) -> np.ndarray:
        if isinstance(responses, (bytes, bytearray, memoryview, str)):
            raise TypeError("Pass a list of responses, one per row: [response] for a single one.")
        keys = self._keys
        sums = [self._decrypted(response, keys) for response in responses]
        return np.array(sums, dtype=np.int64).reshape(len(sums), len(self.ends.constant))

    def _decrypted(self, response, keys: _Keys):
        keys_id, body = unseal(response, RESPONSE, self.model_id)
        if keys_id != keys.id:
            raise ValueError(
                f"The response was made with the keys {short(keys_id)}, but this client has "
                f"{short(keys.id)}: it answers another client, or a request from before keygen."
            )
        with refusals():
            return keys.client.decrypt(_fhe().Value.deserialize(body))


class FheServer:
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
        fhe, folder = _fhe(), Path(folder)
        model_id = checked_folder(folder)
        return FheServer(fhe.Server.load(folder / "server.zip"), model_id)

    def save(self, folder) -> None:
        """Write the server's files, without keys.

        Parameters
        ----------
        folder : str or path-like
            Must not exist yet, or be empty.

        Raises
        ------
        OSError
            If the folder is there already or cannot be written; nothing is left then.
        """
        with whole_folder(folder, self.model_id) as unfinished:
            self._server.save(unfinished / "server.zip")

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
            If the bytes are damaged, no evaluation keys, or keys for another model.
        """
        keys_id, body = unseal(evaluation_keys, EVALUATION_KEYS, self.model_id)
        if digest(body) != keys_id:  # else one client could replace the keys of another
            raise ValueError("The evaluation keys are damaged: they carry the id of other keys.")
        with refusals():
            self._keys[keys_id] = _fhe().EvaluationKeys.deserialize(body)
        return keys_id

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
            value = _fhe().Value.deserialize(body)
            result = self._server.run(value, evaluation_keys=keys)
        return seal(RESPONSE, self.model_id, keys_id, result.serialize())
