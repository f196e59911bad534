"""Requests that the service rejects, its limits, and its counters."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from mindref.errors import RunError
from mindref.service import app
from mindref.service.request_body import MAX_BODY, RequestFields, SimilarFields
from tests.service.conftest import HEAD, FakeAnswers, WaitingAnswers, started_service, wait_until


@pytest.mark.rules("serving-R10", "serving-R16")
@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/recommend", "application/json", 405),
        ("POST", "/health", "application/json", 405),
        ("GET", "/", "application/json", 404),
        ("GET", "/recommend/x", "application/json", 404),
        ("POST", "/recommend/", "application/json", 404),
        ("GET", "/health/", "application/json", 404),
        ("POST", "/recommend", "text/plain", 415),
        ("POST", "/recommend", "application/x-www-form-urlencoded", 415),
        ("POST", "/recommend", "", 415),
        ("POST", "/recommend", "application/json; charset=utf-8", 422),
        ("POST", "/recommend", "Application/JSON", 422),
    ],
)
def test_the_status_of_another_request(method, path, content_type, status, service):
    got, headers, body = service.request(method, path, b"{}", content_type=content_type)
    assert (got, headers["content-type"]) == (status, "application/json")
    assert list(json.loads(body)) == ["error"]
    assert b"Traceback" not in body
    if status == 405:
        assert headers["allow"]


@pytest.mark.rules("serving-R22")
def test_an_unexpected_error_is_logged_and_not_sent():
    fail = Mock(side_effect=RuntimeError("a secret\nof the process"))
    with started_service(FakeAnswers(fail)) as client:
        status, answer = client.post({"history": []})
        assert (status, list(answer)) == (500, ["error"])
        assert "secret" not in answer["error"]
        assert client.lines == ["/recommend: RuntimeError: a secret of the process"]
        assert client.get("/health")[0] == 200


@pytest.mark.rules("serving-R11")
def test_a_body_above_the_limit_is_not_read_to_its_end(service):
    body = b'{"history": []}'.ljust(MAX_BODY)
    assert service.post(body)[0] == 200
    status, answer = service.post(body + b" ")
    assert status == 413
    assert answer["error"].startswith("body: expected at most 1,048,576 bytes, got more; send")
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
        stream.sendall(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode())
        stream.sendall(f"{MAX_BODY + 1:x}\r\n".encode() + bytes(MAX_BODY + 1))  # without an end
        assert stream.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.rules("serving-R14")
def test_threads_and_waiting_requests_are_limited(monkeypatch):
    monkeypatch.setattr(app, "WAITING", 2)
    answers = WaitingAnswers()
    with started_service(answers, threads=2) as client, ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(client.post, {"history": []}) for _ in range(6)]
        wait_until(lambda: "mindref_requests_pending 6.0" in client.get("/metrics")[1])
        status, headers, body = client.request(
            "POST", "/recommend", b'{"history": []}', content_type="application/json"
        )
        assert (status, headers["retry-after"]) == (503, "1")
        assert "a free worker thread, got 6 pending requests" in json.loads(body)["error"]
        answers.proceed.set()
        assert [future.result()[0] for future in futures] == [200] * 6
        assert (answers.num_running, answers.most_running) == (0, 2)
        assert client.post({"history": []})[0] == 200


@pytest.mark.rules("serving-R15")
def test_metrics_count_requests_by_path_and_status():
    with started_service(FakeAnswers(lambda request: {})) as client:
        client.post({"histories": [[], [], []]})
        client.post({"history": []})
        client.post(b"{")
        client.get("/nothing")
        client.get("/health")
        _, headers, body = client.request("GET", "/metrics")
    lines = set(body.decode().splitlines())
    assert headers["content-type"].startswith("text/plain; version=")
    requests = 'mindref_requests_total{path="%s",status="%s"} %s'
    expected = {
        requests % ("/recommend", 200, 2.0),
        requests % ("/recommend", 400, 1.0),
        requests % ("other", 404, 1.0),
        requests % ("/health", 200, 1.0),
        'mindref_request_seconds_count{path="/recommend"} 3.0',
        'mindref_request_seconds_bucket{le="10.0",path="/recommend"} 3.0',
        "mindref_histories_total 4.0",
        "mindref_requests_pending 0.0",
        "mindref_model_step 42.0",
    }
    assert expected <= lines


@pytest.mark.rules("serving-R20")
def test_the_description_has_the_routes_and_fields_of_the_service(service):
    description = json.loads(service.get("/openapi.json")[1])
    routes = {(path, method) for path, x in description["paths"].items() for method in x}
    assert len(routes) == 6
    bodies = {"/recommend": RequestFields, "/similar": SimilarFields}
    for path, method in routes:
        status, headers, _ = service.request("PUT", path)
        allowed = {x.strip().lower() for x in headers["allow"].split(",")}
        assert (status, allowed - {"head"}) == (405, {method})
        if path in bodies:
            operation = description["paths"][path][method]
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert schema["properties"].keys() == bodies[path].__annotations__.keys()


@pytest.mark.rules("security-R19", "serving-R20")
def test_without_reload_it_is_no_route():
    with started_service(FakeAnswers(lambda request: {}), reloads=False) as client:
        status, answer = client.post({}, "/reload")
        assert (status, "POST /reload" in answer["error"].partition(", got ")[0]) == (404, False)
        assert "/reload" not in json.loads(client.get("/openapi.json")[1])["paths"]


@pytest.mark.rules("serving-R19", "security-R19")
def test_a_reload_answers_later_requests_with_the_newer_run_or_changes_nothing():
    first, second, errors = WaitingAnswers(), FakeAnswers(lambda request: {"newer": True}), []
    second.facts = lambda: {"model": "mind", "step": 43}

    def load():
        if errors:
            raise errors.pop()
        return second

    with started_service(first, load=load) as client, ThreadPoolExecutor(1) as pool:
        assert client.post({}, "/reload", content_type="text/plain")[0] == 415
        running = pool.submit(client.post, {"history": []})
        assert first.begun.wait(20)
        errors.append(RunError("/secret/run: expected a model, got none"))
        status, answer = client.post({}, "/reload")
        assert (status, "secret" in answer["error"]) == (409, False)
        assert client.lines == ["reload: /secret/run: expected a model, got none"]
        assert json.loads(client.get("/health")[1])["step"] == 42
        status, answer = client.post({}, "/reload")
        assert (status, answer["step"]) == (200, 43)
        for body in ({"run": "/other"}, b"no JSON"):
            assert client.post(body, "/reload")[1] == answer, "the body is ignored"
        assert client.post({"history": []}) == (200, {"newer": True})
        assert "mindref_model_step 43.0" in client.get("/metrics")[1]
        first.proceed.set()
        assert running.result() == (200, {"done": True}), "the earlier model answers its request"


@pytest.mark.rules("serving-R10", "serving-R19")
def test_a_reload_during_another_one_is_rejected():
    begun, proceed, newer = threading.Event(), threading.Event(), FakeAnswers(lambda request: {})

    def load():
        begun.set()
        assert proceed.wait(20)
        return newer

    with started_service(newer, load=load) as client, ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.post, {}, "/reload")
        assert begun.wait(20)
        try:
            status, answer = client.post({}, "/reload")
        finally:
            proceed.set()
        assert (status, list(answer)) == (503, ["error"])
        assert running.result()[0] == 200
