"""Real clients and the real service, in processes of their own."""

import datetime
import ipaddress
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import Serving

from qnnprune.exceptions import ServiceError
from qnnprune.export.fhe._messages import EVALUATION_KEYS, REQUEST, digest, seal, unseal
from qnnprune.service._frames import pack_rows, unpack_outcomes

pytest.importorskip("concrete.fhe")
httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")

ROWS = np.array([[-2.0, 0.3, 1.0], [0.0, 0.0, 0.0], [5.0, -0.4, -5.0]])


class Raw:
    """Requests without the client's help."""

    def __init__(self, serving, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else serving.headers
        self.http = httpx.Client(base_url=serving.url, headers=headers, timeout=60)

    def put_keys(self, client, keys_id=None, data=None):
        data = client.evaluation_keys() if data is None else data
        return self.http.put(f"/v1/keys/{keys_id or client.keys_id}", content=data)

    def put_rows(self, rows, job=None, **options):
        self.job = job or token_hex(16)
        data = rows if isinstance(rows, bytes) else pack_rows(rows)
        return self.http.put(f"/v1/jobs/{self.job}", content=data, **options)

    def outcomes(self, job=None, first=0, wait=30):
        query = {"first": first, "wait": wait}
        return self.http.get(f"/v1/jobs/{job or self.job}/outcomes", params=query)

    def all_outcomes(self, job=None):
        job, found = job or self.job, []
        n_rows = self.http.get(f"/v1/jobs/{job}").json()["rows"]
        while len(found) < n_rows:
            found += unpack_outcomes(self.outcomes(job, len(found)).content)
        return found

    def metric(self, name):
        text = self.http.get("/metrics").text
        return float(re.search(rf"^qnnprune_{re.escape(name)} (.+)$", text, re.M)[1])


@pytest.fixture
def raw(running):
    return Raw(running)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(response, status, code):
    found = response.json()
    assert (response.status_code, found["error"]) == (status, code), found
    return found["message"]


@pytest.mark.parametrize("name", ["sums", "deep"])
def test_rows_equal_predict(running, deployed, new_client, name):
    network, seen = deployed.networks[name], []
    with new_client(name).connect(running.url, token=running.token) as service:
        decision = service.decision(ROWS, progress=lambda done, rows: seen.append((done, rows)))
        assert np.array_equal(decision, network.decision(ROWS))
        assert np.array_equal(service.predict(ROWS[::-1]), network.predict(ROWS[::-1]))
        assert service.predict(ROWS[:0]).shape == (0,)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_clients_beside_each_other(running, deployed, new_client):
    rng = np.random.default_rng(0)

    def ask(seed):
        X = rng.normal(size=(5, 3))
        with new_client().connect(running.url, token=running.token) as service:
            return np.array_equal(service.decision(X), deployed.networks["sums"].decision(X))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(4)))


def test_clients_that_drive_out_each_others_keys(deployed, new_client, tmp_path):
    def ask(client):
        with client.connect(serving.url, token=serving.token) as service:
            return [service.decision(ROWS).tolist() for _ in range(6)]

    with Serving(deployed.models, tmp_path / "state", ("--owner-keys", 1)) as serving:
        with ThreadPoolExecutor(2) as threads:
            found = list(threads.map(ask, [new_client(), new_client()]))
        assert found == [[deployed.networks["sums"].decision(ROWS).tolist()] * 6] * 2


def test_a_batch_that_is_sent_twice_at_once_is_one_job(running, new_client, raw):
    client = new_client()
    raw.put_keys(client)
    batch, job = pack_rows(client.encrypt(ROWS[[0] * 60])), token_hex(16)
    with ThreadPoolExecutor(4) as threads:
        sent = list(threads.map(lambda _: Raw(running).put_rows(batch, job), range(4)))
    assert [response.status_code for response in sent] == [202] * 4
    assert len(raw.all_outcomes(job)) == 60
    raw.http.delete(f"/v1/jobs/{job}")


def test_keys_travel_once(running, new_client, raw):
    client = new_client()
    refused(raw.http.get(f"/v1/keys/{client.keys_id}"), 409, "unknown_keys")
    with client.connect(running.url, token=running.token) as service:
        service.predict(ROWS)
        answer = raw.http.get(f"/v1/keys/{client.keys_id}")
        assert answer.json()["parameters_id"] == client.parameters_id
        client.evaluation_keys = None  # called no more
        service.predict(ROWS)
        service.forget_keys()
    refused(raw.http.get(f"/v1/keys/{client.keys_id}"), 409, "unknown_keys")


def test_swapped_keys_are_refused_by_name(running, new_client, raw):
    first, second = new_client(), new_client()
    raw.put_keys(first)
    assert "send the evaluation keys" in refused(
        raw.put_rows(second.encrypt(ROWS)), 409, "unknown_keys"
    )
    # One client's keys under the other's id, in the path and inside the message.
    refused(raw.put_keys(second, keys_id=first.keys_id), 400, "damaged_keys")
    _, body = unseal(second.evaluation_keys(), EVALUATION_KEYS, first.parameters_id)
    forged = seal(EVALUATION_KEYS, first.parameters_id, first.keys_id, body)
    refused(raw.put_keys(first, data=forged), 400, "damaged_keys")
    raw.put_keys(second)
    mixed = [*first.encrypt(ROWS[:1]), *second.encrypt(ROWS[:1])]
    refused(raw.put_rows(mixed), 400, "mixed_batch")


def test_another_tokens_keys_and_jobs_are_unknown(running, deployed, new_client, raw):
    from qnnprune.cli import main

    state = str(running.state)
    assert main(["serve", str(deployed.models), "--state", state, "--new-token", "later"]) == 0
    client = new_client()
    raw.put_keys(client)
    assert raw.put_rows(client.encrypt(ROWS)).status_code == 202
    # A service that is running does not know the new token, but another one does.
    refused(Raw(running, "qnn_guess").http.get("/v1/models"), 401, "no_token")
    with Serving(deployed.models, running.state.with_name("copy")) as other:
        refused(Raw(other).outcomes(raw.job), 404, "unknown_job")
        refused(Raw(other).put_rows(client.encrypt(ROWS)), 409, "unknown_keys")


def test_no_token_no_answer(running):
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": running.token}):
        with httpx.Client(base_url=running.url, headers=headers) as http:
            for path in ("/v1/models", "/metrics", f"/v1/jobs/{'0' * 32}"):
                assert "Bearer TOKEN" in refused(http.get(path), 401, "no_token")
            # Before the body is read: no byte of it is sent.
            refused(http.put(f"/v1/keys/{'0' * 64}", content=b""), 401, "no_token")
            assert http.get("/health").json() == {"state": "ok"}


def test_an_old_client_and_a_server_trained_anew(deployed, new_client, tmp_path):
    old = new_client()
    with Serving(deployed.folder / "newer", tmp_path / "state") as newer:
        with pytest.raises(ServiceError, match="not served .* retrained 1.*load_keys") as error:
            old.connect(newer.url, token=newer.token)
        assert error.value.code == "unknown_model"
        raw = Raw(newer)
        assert raw.put_keys(old).status_code == 201  # the same parameters
        text = refused(raw.put_rows(old.encrypt(ROWS)), 404, "unknown_model")
        assert "retrained 1" in text and old.model_id[:12] in text
        # The update: another folder, the same keys, which are there already.
        old.save_keys(tmp_path / "secret")
        updated = type(old).load(deployed.folder / "retrained-client")
        updated.load_keys(tmp_path / "secret")
        updated.evaluation_keys = None
        with updated.connect(newer.url, token=newer.token) as service:
            decision = service.decision(ROWS)
        assert np.array_equal(decision, deployed.networks["retrained"].decision(ROWS))


def test_keys_of_other_parameters(new_client, raw, deployed):
    sums, deep = new_client("sums"), new_client("deep")
    raw.put_keys(sums)
    (row,) = sums.encrypt(ROWS[:1])
    _, body = unseal(row, REQUEST, sums.model_id)
    forged = seal(REQUEST, deep.model_id, sums.keys_id, body)
    refused(raw.put_rows([forged]), 409, "other_parameters")
    _, body = unseal(sums.evaluation_keys(), EVALUATION_KEYS, sums.parameters_id)
    data = seal(EVALUATION_KEYS, "12" * 32, sums.keys_id, body)
    raw.http.delete(f"/v1/keys/{sums.keys_id}")
    refused(raw.put_keys(sums, data=data), 409, "other_parameters")


def test_damage_is_refused_by_name(running, new_client, raw):
    client = new_client()
    raw.put_keys(client)
    rows = client.encrypt(ROWS)
    whole = pack_rows(rows)
    assert "Row 1" in refused(raw.put_rows([rows[0], rows[1][:-1]]), 400, "damaged_row")
    refused(raw.put_rows([b"garbage" * 50]), 400, "damaged_row")
    refused(raw.put_rows([client.evaluation_keys()]), 400, "wrong_kind")
    refused(raw.put_rows(whole[:-1]), 400, "damaged_batch")
    refused(raw.put_rows(os.urandom(1000)), 400, "damaged_batch")
    refused(raw.put_rows(b""), 413, "batch_size")
    refused(raw.put_rows(rows[:1] * 257), 413, "batch_size")
    refused(raw.http.put("/v1/jobs/short", content=whole), 400, "bad_id")
    refused(raw.put_keys(client, data=os.urandom(1000)), 400, "damaged_keys")
    assert raw.put_rows(rows).status_code == 202
    refused(raw.put_rows(rows[:2], job=raw.job), 409, "job_exists")
    refused(raw.outcomes(wait="soon"), 400, "bad_number")
    assert client.decrypt([each.body for each in raw.all_outcomes()]).shape == (3,)


def test_a_client_that_leaves_in_the_midst_of_a_body(running, raw, new_client):
    address = urlsplit(running.url)
    before = raw.http.get("/metrics").text.count('status="400"')
    with socket.create_connection((address.hostname, address.port)) as connection:
        lines = [f"PUT /v1/jobs/{'0' * 32} HTTP/1.1", "Host: x", "Content-Length: 1000"]
        lines += [f"Authorization: Bearer {running.token}", "", "a few bytes"]
        connection.sendall("\r\n".join(lines).encode())
        time.sleep(0.2)
    client = new_client()
    raw.put_keys(client)
    assert raw.put_rows(client.encrypt(ROWS)).status_code == 202
    assert raw.http.get("/metrics").text.count('status="400"') >= before
    assert 'status="500"' not in raw.http.get("/metrics").text


def _by_hand(serving, head, body=b"", pause=0.0):
    """The status of an answer to bytes as they are."""
    address = urlsplit(serving.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        lines = [head, "Host: x", f"Authorization: Bearer {serving.token}", "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        time.sleep(pause)
        return int(connection.recv(1000).split()[1])


def test_sizes_are_refused_before_bodies_are_read(running):
    for path, size in (("jobs/" + "0" * 32, 10**9), ("keys/" + "0" * 64, 10**10)):
        # Nothing of the body is ever sent, and the answer is there.
        assert _by_hand(running, f"PUT /v1/{path} HTTP/1.1\r\nContent-Length: {size}") == 413
        assert _by_hand(running, f"PUT /v1/{path} HTTP/1.1\r\nTransfer-Encoding: chunked") == 411


def test_whole_messages_that_concrete_refuses_cost_their_row_alone(new_client, raw, deployed):
    for name in ("sums", "deep"):
        client = new_client(name)
        raw.put_keys(client)
        good, *_ = client.encrypt(ROWS[:1])
        _, body = unseal(good, REQUEST, client.model_id)
        bad = [
            seal(REQUEST, client.model_id, client.keys_id, b) for b in (b"", body[:40], b"x" * 99)
        ]
        raw.put_rows([good, *bad, good])
        outcomes = raw.all_outcomes()
        assert [outcome.ok for outcome in outcomes] == [True, False, False, False, True]
        assert all(b"Concrete refuses" in outcome.body for outcome in outcomes[1:4])
        expected = deployed.networks[name].decision(ROWS[[0, 0]])
        found = client.decrypt_decision([outcomes[i].body for i in (0, 4)])
        assert np.array_equal(found, expected)


def test_forged_keys_cost_their_rows_alone(new_client, raw, running, deployed):
    client = new_client("deep")
    body = os.urandom(32) + b"no keys" * 100
    forged = seal(EVALUATION_KEYS, client.parameters_id, digest(body), body)
    assert raw.put_keys(client, keys_id=digest(body), data=forged).status_code == 201
    (row,) = client.encrypt(ROWS[:1])
    _, ciphertext = unseal(row, REQUEST, client.model_id)
    raw.put_rows([seal(REQUEST, client.model_id, digest(body), ciphertext)])
    assert [outcome.ok for outcome in raw.all_outcomes()] == [False]
    with new_client("sums").connect(running.url, token=running.token) as service:
        decision = service.decision(ROWS)
    assert np.array_equal(decision, deployed.networks["sums"].decision(ROWS))


def test_a_killed_worker_costs_one_row_at_most(deployed, new_client, running, raw):
    client = new_client()
    with client.connect(running.url, token=running.token) as service:
        service.predict(ROWS)
        lost = raw.metric("workers_lost_total")
        (worker,) = running.workers()
        os.kill(worker, signal.SIGKILL)  # while it waits: nobody loses anything
        wait_for(lambda: running.workers() not in ([], [worker]))
        decision = service.decision(ROWS)
    assert np.array_equal(decision, deployed.networks["sums"].decision(ROWS))
    slow = new_client("deep")
    raw.put_keys(slow)
    raw.put_rows(slow.encrypt(ROWS[[0] * 8]))
    wait_for(lambda: raw.http.get(f"/v1/jobs/{raw.job}").json()["done"])
    (worker,) = running.workers()
    os.kill(worker, signal.SIGKILL)
    outcomes = raw.all_outcomes()
    bad = [outcome for outcome in outcomes if not outcome.ok]
    assert len(outcomes) == 8 and len(bad) <= 1
    assert all(b"was lost. It ended with code -9. The" in outcome.body for outcome in bad)
    assert raw.metric("workers_lost_total") == lost + len(bad)
    good = slow.decrypt_decision([outcome.body for outcome in outcomes if outcome.ok])
    assert (good == deployed.networks["deep"].decision(ROWS[:1])).all()


def test_the_worker_has_no_token_and_no_connection(running, raw):
    wait_for(lambda: raw.metric("workers") == 1)
    (worker,) = running.workers()
    environment = Path(f"/proc/{worker}/environ").read_bytes()
    assert running.token.encode() not in environment and b"HOME=" not in environment
    status = Path(f"/proc/{worker}/status").read_text()
    assert re.search(r"^Seccomp:\s+2$", status, re.M) and "NoNewPrivs:\t1" in status


def test_cancelled_rows_are_not_computed(new_client, raw):
    client = new_client("deep")
    raw.put_keys(client)
    raw.put_rows(client.encrypt(ROWS[[0] * 50]))
    before = raw.metric('rows_total{outcome="ok"}')
    assert raw.http.delete(f"/v1/jobs/{raw.job}").status_code == 204
    refused(raw.outcomes(), 404, "unknown_job")
    assert raw.metric("queue_rows") == 0
    assert raw.http.delete(f"/v1/keys/{client.keys_id}").status_code == 204  # nobody waits
    assert raw.metric('rows_total{outcome="ok"}') <= before + 2


def test_a_client_that_gives_up_cancels(new_client, running, raw):
    client, before = new_client("deep"), raw.metric("jobs")

    def stop(done, rows):
        raise KeyboardInterrupt

    service = client.connect(running.url, token=running.token)
    with service, pytest.raises(KeyboardInterrupt):
        service.predict(ROWS[[0] * 50], progress=stop)
    assert (raw.metric("queue_rows"), raw.metric("jobs")) == (0, before)


def test_progress_can_be_asked_for(new_client, raw):
    client = new_client()
    raw.put_keys(client)
    raw.put_rows(client.encrypt(ROWS))
    raw.all_outcomes()
    expected = {"job": raw.job, "state": "done", "rows": 3, "done": 3}
    assert raw.http.get(f"/v1/jobs/{raw.job}").json() == expected
    assert raw.put_rows(client.encrypt(ROWS), job=raw.job).status_code == 409
    assert raw.http.delete(f"/v1/jobs/{raw.job}").status_code == 204


def test_limits(deployed, new_client, tmp_path):
    options = ("--queue-rows", 4, "--body-seconds", 2, "--batch-rows", 4)
    with Serving(deployed.models, tmp_path / "state", options) as serving:
        raw, slow, fast = Raw(serving), new_client("deep"), new_client()
        raw.put_keys(slow)
        raw.put_keys(fast)
        raw.put_rows(slow.encrypt(ROWS[[0] * 4]))
        answer = Raw(serving).put_rows(slow.encrypt(ROWS[[0] * 4]))
        text = refused(answer, 429, "queue_full")
        assert re.match(r"\d rows wait, and 4 may", text) and int(answer.headers["retry-after"]) > 0
        with fast.connect(serving.url, token=serving.token) as service:  # three batches, patiently
            expected = deployed.networks["sums"].decision(ROWS[[0, 1, 2] * 3])
            assert np.array_equal(service.decision(ROWS[[0, 1, 2] * 3]), expected)
        head = f"PUT /v1/jobs/{'0' * 32} HTTP/1.1\r\nContent-Length: 100"
        assert _by_hand(serving, head, b"a few bytes") == 408


def test_a_row_that_takes_too_long_is_an_error(deployed, new_client, tmp_path):
    with Serving(deployed.models, tmp_path / "state", ("--row-seconds", 0.01)) as serving:
        raw, slow = Raw(serving), new_client("deep")
        raw.put_keys(slow)
        raw.put_rows(slow.encrypt(ROWS[:2]))
        texts = [outcome.body.decode() for outcome in raw.all_outcomes()]
        assert all("longer than 0.01 s and was ended" in text for text in texts)


def test_a_stop_loses_nothing_that_was_accepted(deployed, new_client, tmp_path):
    with Serving(deployed.models, tmp_path / "state", ("--stop-seconds", 600)) as serving:
        raw, client = Raw(serving), new_client("deep")
        raw.put_keys(client)
        raw.put_rows(client.encrypt(ROWS[[0, 1, 2] * 3]))
        serving.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        refused(Raw(serving).put_rows(client.encrypt(ROWS)), 503, "stopping")
        assert raw.http.get("/health").status_code == 503
        decision = client.decrypt_decision([each.body for each in raw.all_outcomes()])
        assert np.array_equal(decision, deployed.networks["deep"].decision(ROWS[[0, 1, 2] * 3]))
        raw.http.delete(f"/v1/jobs/{raw.job}")
        assert serving.process.wait(timeout=600) == 0


def test_rows_and_keys_outlive_the_service(deployed, new_client, tmp_path):
    client, expected = new_client("deep"), deployed.networks["deep"].decision(ROWS[[0, 1, 2] * 3])
    with Serving(deployed.models, tmp_path / "state") as serving:
        raw = Raw(serving)
        raw.put_keys(client)
        raw.put_rows(client.encrypt(ROWS[[0, 1, 2] * 3]))
        job, token = raw.job, serving.token
        serving.process.kill()
    (tmp_path / "state" / "keys" / "client" / "half.tmp").write_bytes(b"cut off")
    # A process that is killed while it notes an outcome leaves such a file.
    (tmp_path / "state" / "jobs" / "client" / job / "outcome-8.0a1b2c3d.tmp").write_bytes(b"cut")
    with Serving(deployed.models, tmp_path / "state") as serving:
        assert serving.token == token
        raw = Raw(serving)
        assert raw.http.get(f"/v1/keys/{client.keys_id}").status_code == 200
        decision = client.decrypt_decision([each.body for each in raw.all_outcomes(job)])
        assert np.array_equal(decision, expected)
        client.evaluation_keys = None
        with client.connect(serving.url, token=token) as service:
            assert np.array_equal(service.decision(ROWS[:1]), expected[:1])
        assert serving.stop() == 0


def test_a_full_disk_is_an_error_by_name(deployed, new_client, tmp_path):
    with Serving(deployed.models, tmp_path / "state") as serving:
        serving.fill_the_disk(10_000)  # neither deep keys (MB) nor responses (15 kB) fit
        raw, deep, sums = Raw(serving), new_client("deep"), new_client()
        refused(raw.put_keys(deep), 507, "no_space")
        assert raw.put_keys(sums).status_code == 201
        refused(raw.put_rows(sums.encrypt(ROWS[[0] * 30])), 507, "no_space")
        assert raw.put_rows(sums.encrypt(ROWS)).status_code == 202
        texts = [outcome.body.decode() for outcome in raw.all_outcomes()]
        assert (
            texts == ["The response could not be stored: File too large. Send the row again."] * 3
        )
        with (
            sums.connect(serving.url, token=serving.token) as service,
            pytest.raises(ServiceError, match="Row 0 failed: The response could not be stored"),
        ):
            service.predict(ROWS)
        left = sorted(path.name for path in (tmp_path / "state" / "keys").glob("*/*"))
        assert left == [f"{sums.keys_id}-{sums.parameters_id}"]


def test_what_is_stored_is_the_owners_alone(running, new_client, raw):
    raw.put_keys(new_client())
    assert stat.S_IMODE(running.state.stat().st_mode) == 0o700
    for path in running.state.rglob("*"):
        if path.name != "lock" and "worker-0" not in path.parts[:-1]:  # Concrete's own files
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_tls(deployed, new_client, tmp_path):
    _write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    options = ("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with Serving(deployed.models, tmp_path / "state", options) as serving:
        assert serving.url.startswith("https://")
        verify = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        client = new_client()
        with client.connect(serving.url, token=serving.token, verify=verify) as service:
            decision = service.decision(ROWS)
        assert np.array_equal(decision, deployed.networks["sums"].decision(ROWS))
        with pytest.raises(ServiceError, match="CERTIFICATE_VERIFY_FAILED"):
            client.connect(serving.url, token=serving.token, patience=0)


def _write_certificate(cert, key):
    """For 127.0.0.1, signed by itself."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    made = builder.add_extension(address, critical=False).sign(private, hashes.SHA256())
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_one_state_is_one_services(running, deployed, capsys):
    from qnnprune.cli import main

    state = str(running.state)
    assert main(["serve", str(deployed.models), "--state", state, "--port", "0"]) == 2
    assert "Another service uses" in capsys.readouterr().err


def test_a_worker_that_does_not_start(deployed, tmp_path, capfd, caplog):
    from qnnprune.cli import main

    shutil.copytree(deployed.models / "sums" / "1", tmp_path / "sums")
    (tmp_path / "sums" / "server.zip").write_bytes(b"damaged")
    state = str(tmp_path / "state")
    assert main(["serve", str(tmp_path / "sums"), "--state", state, "--port", "0"]) == 2
    assert "did not start: the log says why" in capfd.readouterr().err
    assert "A worker does not start" in caplog.text
    assert "server.zip' is damaged" in caplog.text


def test_pages(running):
    from qnnprune.service._app import Service, _routes
    from qnnprune.service._openapi import document

    shown = httpx.get(running.url + "/openapi.json").json()
    assert shown == document() and shown["openapi"].startswith("3.1")
    described = {(m.upper(), path) for path, ops in shown["paths"].items() for m in ops}
    service = object.__new__(Service)
    routes = {(method, path) for method, path, _ in _routes(service)}
    assert routes - described == {("GET", "/docs"), ("GET", "/openapi.json")}
    assert described <= routes
    page = httpx.get(running.url + "/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert all(f"{method} {path}" in page.text for method, path in described)
    assert "<script" not in page.text
