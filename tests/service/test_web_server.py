"""The web server: its stop, malformed requests, and the number of connections."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mindref.service import app
from tests.service.conftest import HEAD, FakeAnswers, started_service


@pytest.mark.rules("serving-R13")
def test_a_stop_finishes_requests_and_closes_idle_connections():
    begun, proceed = threading.Event(), threading.Event()

    def wait(request):
        begun.set()
        assert proceed.wait(20)
        return {"done": True}

    with started_service(FakeAnswers(wait)) as client, ThreadPoolExecutor(1) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        idle.request("GET", "/health")
        idle.getresponse().read()
        answer = pool.submit(client.post, {"history": []})
        assert begun.wait(20)
        client.stop.set()
        wait_until_refused(client.port)
        threading.Event().wait(0.4)  # the service waits as well, for the request
        assert not answer.done()
        proceed.set()
        assert answer.result(20) == (200, {"done": True})
        assert idle.sock.recv(1) == b""
        idle.close()


def wait_until_refused(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.02)
    pytest.fail("the service accepts connections after the stop")


def send_bytes(port, data):
    """Return all bytes of the answer to some bytes; the service must close the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(data)
        answer = b""
        while part := stream.recv(4096):
            answer += part
        return answer


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


def wait_until_accepted(client):
    """Wait until the service has noticed that a connection was closed."""
    for _ in range(200):
        if client.get("/health")[0] == 200:
            return
        threading.Event().wait(0.02)
    pytest.fail("the service rejects requests after a connection was closed")
