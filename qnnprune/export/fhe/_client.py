"""The client of encrypted prediction: encodes, encrypts, decrypts, and holds the secret keys.

Bytes go to the server and come back, and nothing else.  Every message carries the ids of its
model and of its keys; what does not match is refused.
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

__all__ = ["FheClient"]


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
        fhe, folder = require("concrete.fhe", "fhe"), Path(folder)
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
            require("concrete.fhe", "fhe").Client(self._specs).save(unfinished / "client.zip")

    def keygen(self) -> None:
        """Make new keys: takes seconds, and is needed once.

        Responses to what was encrypted with former keys can no longer be read.
        """
        client = require("concrete.fhe", "fhe").Client(self._specs)
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
        client = require("concrete.fhe", "fhe").Client(self._specs)
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
        """Encode and encrypt raw rows.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
            What `IntegerNetwork.predict` takes: gaps, categories and dates as they are.

        Returns
        -------
        list of bytes
            One request per row.

        Raises
        ------
        ValueError
            If there are no keys yet, or a column is not what was fitted; it is named.
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
            return keys.client.decrypt(require("concrete.fhe", "fhe").Value.deserialize(body))
