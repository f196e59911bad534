"""One connection: malformed, unfinished and late requests, and the number of connections."""

import http.client
import json
import socket
import threading

import pytest

from mindref.service import app
from mindref.service.json_protocol import JsonProtocol
from tests.service.conftest import (
    HEAD,
    FakeAnswers,
    read_to_end,
    send_bytes,
    started_service,
    wait_until_accepted,
)


@pytest.mark.rules("serving-R10")
@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize("rest", [b"", b"GET /hea"])
def test_a_client_that_sends_no_more_bytes_gets_its_answers(requests, rest, monkeypatch):
    # the connection is closed after the last answer, and not when it is idle for some seconds
    monkeypatch.setattr(JsonProtocol, "timeout_keep_alive_handler", lambda self: None)

    def wait(request):
        threading.Event().wait(0.2)
        return {"done": True}

    body = b'{"history": []}'
    data = f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body
    with started_service(FakeAnswers(wait)) as client:
        answer = send_bytes(client.port, data * requests + rest, ends=True)
    assert answer.count(b"HTTP/1.1 200 ") == answer.count(b'{"done": true}') == requests
    assert answer.count(b"HTTP/1.1 400 ") == bool(rest)


@pytest.mark.rules("serving-R10")
def test_a_request_with_an_early_answer_has_no_second_one():
    data = b"POST /recommend HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    with started_service(FakeAnswers(lambda request: {})) as client:
        for rest in (b"5", b"no length\r\n"):
            with socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream:
                stream.sendall(data)
                assert stream.recv(4096).startswith(b"HTTP/1.1 415 ")
                stream.sendall(rest)
                stream.shutdown(socket.SHUT_WR)
                assert b"HTTP/1.1" not in read_to_end(stream)


@pytest.mark.rules("serving-R10")
def test_a_head_of_less_than_64_kib_may_arrive_in_pieces():
    with (
        started_service(FakeAnswers(lambda request: {})) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream,
    ):
        stream.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * 50_000)
        assert client.get("/health")[0] == 200
        stream.sendall(b"\r\nconnection: close\r\n\r\n")
        assert read_to_end(stream).startswith(b"HTTP/1.1 200 ")


@pytest.mark.rules("serving-R10", "serving-R15")
@pytest.mark.parametrize(
    "data", [b"GET /hea", HEAD.encode(), f"{HEAD}content-length: 50\r\n\r\n{{".encode()]
)
def test_a_request_that_ends_too_early_is_answered_as_json(data):
    with started_service(FakeAnswers(lambda request: {})) as client:
        head, _, body = send_bytes(client.port, data, ends=True).partition(b"\r\n\r\n")
        text = client.get("/metrics")[1]
        assert send_bytes(client.port, b"", ends=True) == b""
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": app.INCOMPLETE}
    assert 'mindref_requests_total{path="other",status="400"} 1.0' in text.splitlines()


@pytest.mark.rules("serving-R11")
def test_a_head_that_does_not_arrive_is_rejected(monkeypatch):
    monkeypatch.setattr(app, "READ_SECONDS", 1)
    health = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with started_service(FakeAnswers(lambda request: {})) as client:
        assert send_bytes(client.port, b"") == b""
        head, _, body = send_bytes(client.port, b"GET /hea").partition(b"\r\n\r\n")
        second = send_bytes(client.port, health + b"GET /hea")
    assert head.startswith(b"HTTP/1.1 408 ")
    expected = "request: expected a complete head within 1 seconds, got a part"
    assert json.loads(body) == {"error": expected}
    assert second.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in second


@pytest.mark.rules("serving-R11")
def test_the_time_of_a_head_ends_with_the_head(monkeypatch):
    monkeypatch.setattr(app, "READ_SECONDS", 2)

    def wait(request):
        threading.Event().wait(3)
        return {"done": True}

    with started_service(FakeAnswers(wait)) as client:
        assert client.post({"history": []}) == (200, {"done": True})


@pytest.mark.rules("serving-R10", "serving-R15")
@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        f"{HEAD}content-length: x\r\n\r\n".encode(),
        f"{HEAD}transfer-encoding: chunked\r\n\r\nno length\r\n".encode(),
        b"GET /health HTTP/1.1\r\n\r\n",  # no Host
        b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * (1 << 16),
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",  # TLS
    ],
    ids=lambda data: str(data[-20:]),
)
def test_bytes_that_are_no_request_are_answered_as_json_and_counted(data):
    with started_service(FakeAnswers(lambda request: {})) as client:
        head, _, body = send_bytes(client.port, data).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"content-type: application/json" in head
        assert f"content-length: {len(body)}".encode() in head
        assert json.loads(body) == {"error": app.MALFORMED}
        text = client.get("/metrics")[1]
    assert 'mindref_requests_total{path="other",status="400"} 1.0' in text.splitlines()
    assert 'mindref_request_seconds_count{path="other"}' not in text


def test_a_malformed_second_request_is_answered_after_the_first():
    with started_service(FakeAnswers(lambda request: {})) as client:
        first = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
        answer = send_bytes(client.port, first + b"nonsense\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in answer


def test_a_request_to_change_to_websocket_is_answered_as_http():
    fields = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    with started_service(FakeAnswers(lambda request: {})) as client:
        status, headers, body = client.request("GET", "/x", **fields)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert list(json.loads(body)) == ["error"]


@pytest.mark.rules("serving-R10", "serving-R15", "serving-R17")
def test_a_request_on_too_many_connections_is_rejected_and_its_connection_closed():
    with started_service(FakeAnswers(lambda request: {}), connections=2) as client:
        connections = [
            http.client.HTTPConnection("127.0.0.1", client.port, timeout=30) for _ in range(2)
        ]
        for connection in connections:  # both stay open
            connection.request("GET", "/health")
            assert connection.getresponse().read()
        status, headers, body = client.request(
            "POST", "/recommend", b'{"history": []}', content_type="application/json"
        )
        assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
        expected = "service: expected at most 2 connections, got more; retry"
        assert json.loads(body) == {"error": expected}
        connections[0].close()
        wait_until_accepted(client)
        text = client.get("/metrics")[1]
        connections[1].close()
    assert 'mindref_requests_total{path="/recommend",status="503"} 1.0' in text.splitlines()
