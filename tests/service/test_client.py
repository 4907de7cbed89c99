"""The client against services that answer wrongly, or not at all."""

import numpy as np
import pytest

from qnnprune.exceptions import ServiceError
from qnnprune.export.fhe._messages import digest
from qnnprune.service import ServiceClient
from qnnprune.service._frames import Outcome, pack_outcomes, unpack_rows

httpx = pytest.importorskip("httpx")


class Echo:
    """A client whose encryption does nothing."""

    model_id, keys_id, parameters_id = "ab" * 32, "12" * 32, "cd" * 32

    def encrypt(self, X):
        return [bytes([value]) for value in X]

    def decrypt(self, responses):
        return np.array([int(response) for response in responses])

    def evaluation_keys(self):
        return b"keys"


class Service:
    """Answers in a process of its own would, with `change` applied to its outcomes."""

    def __init__(self, change=lambda outcomes: outcomes, refusals=()):
        self.change, self.refusals, self.asked, self.jobs = change, list(refusals), [], {}

    def __call__(self, request):
        path = request.url.path
        self.asked.append((request.method, path.rsplit("/", 1)[0] if "jobs" in path else path))
        if path == "/v1/models":
            model = {"name": "echo", "version": "1", "model_id": Echo.model_id}
            limits = {"batch_rows": 2, "row_bytes": 100}
            return httpx.Response(200, json={"models": [model], "limits": limits})
        if self.refusals:
            status, code = self.refusals.pop(0)
            return httpx.Response(
                status, json={"error": code, "message": code}, headers={"Retry-After": "0"}
            )
        if request.method == "PUT" and "jobs" in path:
            self.jobs[path] = unpack_rows(request.content)
            return httpx.Response(202, json={})
        if path.endswith("outcomes"):
            rows = self.jobs[path.removesuffix("/outcomes")][int(request.url.params["first"]) :]
            outcomes = [Outcome(True, digest(row), str(row[0]).encode()) for row in rows]
            return httpx.Response(200, content=pack_outcomes(self.change(outcomes)))
        return httpx.Response(204)


def _connect(service, **options):
    transport = httpx.MockTransport(service)
    return ServiceClient(Echo(), "http://127.0.0.1:1", transport=transport, **options)


def test_batches_of_the_size_that_the_service_takes():
    service = Service()
    with _connect(service) as client:
        assert client.predict([3, 1, 4, 1, 5]).tolist() == [3, 1, 4, 1, 5]
    assert [len(rows) for rows in service.jobs.values()] == [2, 2, 1]
    assert service.asked.count(("DELETE", "/v1/jobs")) == 3


def test_outcomes_that_come_one_by_one():
    with _connect(Service(change=lambda outcomes: outcomes[:1])) as client:
        assert client.predict([3, 1, 4]).tolist() == [3, 1, 4]


def test_nothing_wrong_is_returned():
    for change, problem in (
        (lambda outcomes: outcomes[::-1], "answered another row than row 0"),
        (lambda outcomes: [Outcome(True, "00" * 32, b"7")], "answered another row"),
        (lambda outcomes: [Outcome(False, o.row, b"reason") for o in outcomes], "0 failed: reason"),
    ):
        service = Service(change)
        with _connect(service) as client, pytest.raises(ServiceError, match=problem):
            client.predict([3, 1])
        assert service.asked[-1] == ("DELETE", "/v1/jobs")  # cancelled


def test_keys_are_sent_where_they_are_missing():
    service = Service(refusals=[(409, "unknown_keys")])
    with _connect(service) as client:
        assert client.predict([3]).tolist() == [3]
    assert service.asked.count(("PUT", "/v1/keys/" + Echo.keys_id)) == 1


def test_keys_that_others_drive_out_are_sent_again():
    class Forgetful(Service):
        def __call__(self, request):
            if request.method == "PUT" and "jobs" in request.url.path and len(self.asked) < n:
                self.asked.append("rows")
                return httpx.Response(409, json={"error": "unknown_keys", "message": "sent?"})
            return super().__call__(request)

    service, n = Forgetful(), 6
    with _connect(service) as client:
        assert client.predict([3]).tolist() == [3]
    assert (
        service.asked.count(("PUT", "/v1/keys/" + Echo.keys_id)) == service.asked.count("rows") == 3
    )
    n = 10**9
    with pytest.raises(ServiceError, match="sent?"):
        _connect(Forgetful(), patience=0).predict([3])


def test_what_may_pass_is_tried_again_and_all_else_is_not():
    for status in (429, 503, 507):
        with _connect(Service(refusals=[(status, "later")] * 3)) as client:
            assert client.predict([3]).tolist() == [3]
        with pytest.raises(ServiceError, match="later") as error:
            _connect(Service(refusals=[(status, "later")] * 99), patience=0).predict([3])
        assert (error.value.status, error.value.code) == (status, "later")
    service = Service(refusals=[(400, "damaged_row")] * 9)
    with _connect(service) as client, pytest.raises(ServiceError, match="damaged_row"):
        client.predict([3])
    assert service.asked.count(("PUT", "/v1/jobs")) == 1


def test_a_service_that_is_not_there():
    with pytest.raises(ServiceError, match="http://127.0.0.1:9 does not answer") as error:
        ServiceClient(Echo(), "http://127.0.0.1:9", patience=0)
    assert (error.value.status, error.value.code) == (0, "unreachable")


def test_a_proxy_that_answers_in_its_own_words():
    def proxy(request):
        return httpx.Response(418, text="<html>teapot")

    with pytest.raises(ServiceError, match="answers with status 418"):
        _connect(proxy, patience=0)


def test_a_token_never_travels_unencrypted_unasked():
    for url in ("http://example.org", "http://10.0.0.1:80"):
        with pytest.raises(ValueError, match="would send the token unencrypted"):
            ServiceClient(Echo(), url, token="secret")
    for url in ("example.org", "ftp://example.org", "http://"):
        with pytest.raises(ValueError, match="must begin with https"):
            ServiceClient(Echo(), url)
    transport = httpx.MockTransport(Service())
    ServiceClient(Echo(), "http://10.0.0.1", allow_http=True, transport=transport).close()
    ServiceClient(Echo(), "https://example.org", transport=transport).close()
