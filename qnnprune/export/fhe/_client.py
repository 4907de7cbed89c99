"""The client of encrypted prediction: encodes, encrypts, decrypts, and holds the secret keys.

Bytes go to the server and come back, and nothing else.  Every message carries the ids of its
model and of its keys; what does not match is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from secrets import randbelow, token_bytes

import numpy as np

from .._common import require
from ._ends import Ends
from ._files import Saved, checked_folder, write_secret
from ._graph_ends import GraphEnds
from ._messages import (
    EVALUATION_KEYS,
    NONCE_SIZE,
    REQUEST,
    RESPONSE,
    SECRET_KEYS,
    digest,
    joined,
    parameters_id,
    refusals,
    seal,
    short,
    unseal,
)
from ._passphrase import is_locked, lock, unlock

__all__ = ["FheClient"]


@dataclass(frozen=True)
class _Keys:
    """Concrete's client with its keys, the random bytes that go before them, and their id."""

    client: object
    nonce: bytes
    id: str

    @staticmethod
    def of(client, nonce: bytes) -> _Keys:
        return _Keys(client, nonce, digest(nonce, client.evaluation_keys.serialize()))


def _unlocked(path, passphrase: str | None) -> bytes:
    data = Path(path).read_bytes()
    if is_locked(data) and passphrase is None:
        raise ValueError(f"{os.fspath(path)!r} is locked: pass its passphrase.")
    if passphrase is not None and not is_locked(data):
        raise ValueError(f"{os.fspath(path)!r} has no passphrase: load it without one.")
    return unlock(data, passphrase) if is_locked(data) else data


class FheClient(Saved):
    """Encodes and encrypts, decrypts and decodes, without the weights.

    Made by `load` from what `EncryptedNetwork.save_client` wrote.  After a new training, a client
    needs the new folder.  It keeps its keys where the new model has the same `parameters_id`.
    Several threads may use one client.

    Parameters
    ----------
    ends : Ends or GraphEnds
        What happens in the clear, before and after.
    specs : concrete.fhe.ClientSpecs
        What keys and ciphertexts are made of.
    model_id : str
        Digest of the network; a server must have the same.
    """

    def __init__(self, ends: Ends | GraphEnds, specs, model_id: str):
        self.ends, self.model_id = ends, model_id
        self.parameters_id = parameters_id(specs)
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
        kind = GraphEnds if GraphEnds.are_in(folder) else Ends
        return FheClient(kind.load(folder), specs, model_id)

    def _write(self, folder: Path) -> None:
        self.ends.save(folder)
        require("concrete.fhe", "fhe").Client(self._specs).save(folder / "client.zip")

    def __reduce__(self):
        raise TypeError(
            "An FheClient may hold secret keys, so it is not copied or pickled: save_keys(path) "
            "writes them to a file that its owner alone may read."
        )

    def keygen(self) -> None:
        """Make new keys, from random numbers of the operating system.

        Takes seconds, and is needed once.  Responses to what was encrypted with former keys can
        no longer be read.
        """
        client = require("concrete.fhe", "fhe").Client(self._specs)
        seeds = {name: 1 + randbelow(2**128 - 1) for name in ("secret_seed", "encryption_seed")}
        client.keygen(force=True, **seeds)
        self._made = _Keys.of(client, token_bytes(NONCE_SIZE))

    @property
    def _keys(self) -> _Keys:
        if self._made is None:
            raise ValueError(
                "This client has no keys yet: keygen() makes new ones, load_keys(path) reads those "
                "that save_keys wrote."
            )
        return self._made

    def save_keys(self, path, *, passphrase: str | None = None) -> None:
        """Write all keys, the secret ones too, to a file that its owner alone may read.

        Whoever reads the file, and knows its passphrase if there is one, can decrypt.

        Parameters
        ----------
        path : str or path-like
            Must not exist yet.
        passphrase : str, optional
            Encrypts the file (scrypt, AES-256-GCM); needs the package cryptography.  Without
            it nobody can read the keys again.

        Raises
        ------
        OSError
            If the file is there already or cannot be written; nothing is left then.
        ValueError
            If there are no keys yet, or the passphrase is empty.
        """
        keys = self._keys
        body = keys.nonce + keys.client.keys.serialize()
        message = seal(SECRET_KEYS, self.parameters_id, keys.id, body)
        write_secret(path, message if passphrase is None else lock(message, passphrase))

    def load_keys(self, path, *, passphrase: str | None = None) -> None:
        """Go on with the keys that `save_keys` wrote.

        Parameters
        ----------
        path : str or path-like
        passphrase : str, optional
            What `save_keys` was given.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, holds no secret keys, or those for other parameters, or if the
            passphrase is wrong or missing; the client keeps the keys that it had.
        """
        _, body = unseal(_unlocked(path, passphrase), SECRET_KEYS, self.parameters_id)
        client = require("concrete.fhe", "fhe").Client(self._specs)
        with refusals():
            client.keys.load_from_bytes(body[NONCE_SIZE:])
        self._made = _Keys.of(client, body[:NONCE_SIZE])

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
        body = keys.nonce + keys.client.evaluation_keys.serialize()
        return seal(EVALUATION_KEYS, self.parameters_id, keys.id, body)

    @property
    def keys_id(self) -> str:
        """Id of the keys that the client has; every request carries it.

        Raises
        ------
        ValueError
            If there are no keys yet.
        """
        return self._keys.id

    def connect(self, url: str, **options):
        """Ask a service that ``qnnprune serve`` runs.

        Parameters
        ----------
        url : str
        **options
            ``token`` and the other parameters of `qnnprune.service.ServiceClient`.

        Returns
        -------
        qnnprune.service.ServiceClient
            Its ``predict`` takes raw rows.  A context manager.

        Raises
        ------
        ImportError
            If httpx is missing; the message names the extra ``serve``.
        ValueError
            If the client has no keys yet, or the token would travel unencrypted.
        ServiceError
            If there is no such service, or it does not serve the client's model.
        """
        return import_module("qnnprune.service").ServiceClient(self, url, **options)

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
        bodies = [self._encrypted(row, keys) for row in self.ends.codes(X)]
        return [seal(REQUEST, self.model_id, keys.id, body) for body in bodies]

    def _encrypted(self, row, keys: _Keys) -> bytes:
        values = keys.client.encrypt(*[row] * self.ends.n_copies)
        values = values if isinstance(values, tuple) else (values,)
        return joined(value.serialize() for value in values)

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
        return np.array(sums, dtype=np.int64).reshape(len(sums), *self.ends.constant.shape)

    def _decrypted(self, response, keys: _Keys):
        keys_id, body = unseal(response, RESPONSE, self.model_id)
        if keys_id != keys.id:
            raise ValueError(
                f"The response was made with the keys {short(keys_id)}, but this client has "
                f"{short(keys.id)}: it answers another client, or a request from before keygen."
            )
        with refusals():
            return keys.client.decrypt(require("concrete.fhe", "fhe").Value.deserialize(body))
