"""The client of a service: encrypts rows, waits for their outcomes, and decrypts them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from secrets import token_hex
from urllib.parse import urlsplit

import numpy as np

from ..exceptions import ServiceError
from ..export._common import require
from ..export.fhe._messages import digest, short
from ._frames import Outcome, pack_rows, unpack_outcomes

__all__ = ["ServiceClient"]

_WAIT = 20  # seconds of one request for outcomes
_PAUSE = 1.0  # seconds before a refused or lost request is repeated, if the service says nothing
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_AGAIN = (408, 425, 429, 502, 503, 504, 507)


class ServiceClient:
    """Predictions of a service, for raw rows that it cannot read.

    Made by `FheClient.connect`.  A context manager.

    Parameters
    ----------
    client : FheClient
        With keys.
    url : str
        Of the service.  ``https``, except on this machine.
    token : str, optional
        What the service gave this client.
    patience : float
        Seconds for which a service that is full, stopping or unreachable is tried again.
    allow_http : bool
        Send the token unencrypted to another machine.  Rows are encrypted in any case.
    **options
        Of ``httpx.Client``, such as ``verify`` with a certificate authority of one's own.

    Raises
    ------
    ImportError
        If httpx is missing.
    ValueError
        If the client has no keys yet, or the token would travel unencrypted.
    ServiceError
        If the service does not answer, or does not serve the client's model.
    """

    def __init__(
        self,
        client,
        url: str,
        *,
        token: str | None = None,
        patience: float = 60.0,
        allow_http: bool = False,
        **options,
    ):
        httpx = require("httpx", "serve")
        _check_url(url, allow_http)
        self.client, self.url, self.patience = client, url, patience
        self._keys_id = client.keys_id
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        timeout = httpx.Timeout(30.0, read=_WAIT + 30.0)
        self._http = httpx.Client(
            **{"base_url": url, "headers": headers, "timeout": timeout} | options
        )
        try:
            self._batch_rows = self._checked_limits()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[dict]:
        """What the service serves.

        Returns
        -------
        list of dict
            Name, version, ids of model and parameters, and sizes of keys of each model, in bytes.

        Raises
        ------
        ServiceError
            If the service does not answer, or refuses.
        """
        return self._send("GET", "/v1/models").json()["models"]

    def predict(self, X, *, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Predict labels or target values.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
            Raw rows.
        progress : callable, optional
            Gets the numbers of rows that are done, and of all.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several targets
            What ``predict`` of the estimator gives.

        Raises
        ------
        ServiceError
            If a row failed, or the service refused it or is out of reach for too long.
            Nothing is returned then, and the service is asked to cancel what is left.
        ValueError
            If a column is not what was fitted; it is named.
        """
        return self.client.decrypt(self._responses(X, progress))

    def decision(self, X, *, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Logits or target values.

        Raises the errors of `predict`.

        Parameters
        ----------
        X : array-like, DataFrame, dict of columns or sparse matrix of shape \
                (n_samples, n_features)
            Raw rows.
        progress : callable, optional
            Gets the numbers of rows that are done, and of all.

        Returns
        -------
        float64 array of shape (n_samples, n_logits)
        """
        return self.client.decrypt_decision(self._responses(X, progress))

    def forget_keys(self) -> None:
        """Ask the service to delete this client's evaluation keys.  They are sent again if needed."""
        self._send("DELETE", f"/v1/keys/{self._keys_id}")

    def _checked_limits(self) -> int:
        """How many rows a batch may have, from a service that serves the client's model."""
        found = self._send("GET", "/v1/models").json()
        wanted = self.client.model_id
        if wanted not in {model["model_id"] for model in found["models"]}:
            served = ", ".join(f"{m['name']} {m['version']}" for m in found["models"])
            raise ServiceError(
                f"The client's model {short(wanted)} is not served at {self.url}, but {served}, "
                "of other ids: get the client's folder of one of these; load_keys keeps its keys "
                "where parameters allow.",
                "unknown_model",
                404,
            )
        return found["limits"]["batch_rows"]

    def _responses(self, X, progress) -> list[bytes]:
        rows, responses = self.client.encrypt(X), []
        if self.client.keys_id != self._keys_id:
            raise ValueError("The client has other keys now: connect again.")
        for start in range(0, len(rows), self._batch_rows):
            with closing(self._outcomes(rows[start : start + self._batch_rows])) as outcomes:
                for outcome in outcomes:
                    responses.append(_checked(outcome, len(responses), rows[len(responses)]))
                    if progress is not None:
                        progress(len(responses), len(rows))
        return responses

    def _outcomes(self, rows: list[bytes]) -> Generator[Outcome]:
        """Outcomes of one batch, in order, as they come."""
        path, n_done = f"/v1/jobs/{token_hex(16)}", 0
        try:
            self._submit(path, pack_rows(rows))
            while n_done < len(rows):
                query = {"first": n_done, "wait": _WAIT}
                found = unpack_outcomes(self._send("GET", f"{path}/outcomes", params=query).content)
                yield from found
                n_done += len(found)
        finally:  # cancels what is left, and frees what is done
            with suppress(ServiceError):
                self._send("DELETE", path, patience=0)

    def _submit(self, path: str, batch: bytes) -> None:
        """Send rows, and the evaluation keys where the service does not have them.

        Keys of others may drive them out again before the rows arrive.
        """
        end = time.monotonic() + self.patience
        while True:
            try:
                self._send("PUT", path, content=batch)
                return
            except ServiceError as error:
                if error.code != "unknown_keys" or time.monotonic() >= end:
                    raise
            keys = self.client.evaluation_keys()
            self._send("PUT", f"/v1/keys/{self._keys_id}", content=keys)

    def _send(self, method: str, path: str, *, patience: float | None = None, **content):
        """An answer that is no refusal; what may pass is tried again until patience is out."""
        end = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            error, pause = self._try(method, path, content)
            if error is None:
                return pause
            left = end - time.monotonic()
            if error.status not in (0, *_AGAIN) or left <= 0:
                raise error
            time.sleep(min(pause, left))

    def _try(self, method: str, path: str, content: dict):
        """No error and the answer, or an error and the seconds after which to try again."""
        httpx = require("httpx", "serve")
        try:
            response = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            text = f"{self.url} does not answer: {error or type(error).__name__}"
            return ServiceError(text), _PAUSE
        if response.is_success:
            return None, response
        try:
            found = response.json()
            text, code = str(found["message"]), str(found["error"])
        except (ValueError, KeyError, TypeError):
            text, code = f"{self.url} answers with status {response.status_code}.", "other"
        pause = response.headers.get("retry-after", "")
        error = ServiceError(text, code, response.status_code)
        return error, float(pause) if pause.isdecimal() else _PAUSE


def _check_url(url: str, allow_http: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"url={url!r} must begin with https://, or http:// on this machine.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
        raise ValueError(
            f"url={url!r} would send the token unencrypted: take https, or allow_http=True where "
            "the network is your own."
        )


def _checked(outcome: Outcome, index: int, row: bytes) -> bytes:
    """The response to a row, if it is one."""
    if not outcome.ok:
        text = outcome.body.decode(errors="replace")
        raise ServiceError(f"Row {index} failed: {text}", "row_failed", 200)
    if outcome.row != digest(row):
        raise ServiceError(f"The service answered another row than row {index}.", "other_row", 200)
    return outcome.body
