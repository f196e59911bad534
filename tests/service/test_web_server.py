"""The web server: its limits, errors below HTTP, and its stop."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mindref.service import web_server
from tests.service.conftest import HEAD, FakeAnswers, read_to_end, started_service


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


@pytest.mark.rules("serving-R10", "serving-R13")
def test_a_request_that_is_not_finished_at_a_stop_is_answered_as_json(monkeypatch):
    monkeypatch.setattr(web_server, "STOP_SECONDS", 0.2)
    begun, proceed = threading.Event(), threading.Event()

    def wait(request):
        begun.set()
        assert proceed.wait(20)
        return {}

    message = "service: expected a service that runs, got a service that stops; retry"
    with started_service(FakeAnswers(wait)) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, {"history": []})
        assert begun.wait(20)
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream:
            stream.sendall(f"{HEAD}expect: 100-continue\r\ncontent-length: 50\r\n\r\n".encode())
            assert stream.recv(4096).startswith(b"HTTP/1.1 100 ")  # the service has read the head
            client.stop.set()
            try:
                assert answer.result(20) == (503, {"error": message})
                head, _, body = read_to_end(stream).partition(b"\r\n\r\n")
            finally:
                proceed.set()
    assert (head[:13], json.loads(body)) == (b"HTTP/1.1 503 ", {"error": message})


@pytest.mark.rules("serving-R10", "serving-R11")
@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        f"{HEAD}content-length: x\r\n\r\n".encode(),
        b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * web_server.MAX_HEAD,
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",  # TLS
    ],
    ids=lambda data: str(data[-20:]),
)
def test_bytes_that_are_no_request_are_rejected_and_the_connection_closed(data, service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
        stream.sendall(data)
        answer = read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    assert service.get("/health")[0] == 200
    assert service.lines == []


def test_a_request_to_change_to_websocket_is_answered_as_http(service):
    fields = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    status, headers, body = service.request("GET", "/x", **fields)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert list(json.loads(body)) == ["error"]


@pytest.mark.rules("serving-R17")
def test_a_request_on_too_many_connections_is_rejected_and_its_connection_closed(monkeypatch):
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 2)
    with started_service(FakeAnswers(lambda request: {})) as client:
        address = ("127.0.0.1", client.port)
        opened = [http.client.HTTPConnection(*address, timeout=30) for _ in range(2)]
        for connection in opened:  # both stay open
            connection.request("GET", "/health")
            assert connection.getresponse().read()
        status, headers, _ = client.request("GET", "/health")
        assert (status, headers["connection"]) == (503, "close")
        for connection in opened:
            connection.close()
        wait_until(lambda: client.get("/health")[0] == 200)


@pytest.mark.rules("serving-R17")
def test_an_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr(web_server, "IDLE_SECONDS", 1)
    with started_service(FakeAnswers(lambda request: {})) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.request("GET", "/health")
        assert connection.getresponse().read()
        assert connection.sock.recv(1) == b""
        connection.close()


@pytest.mark.rules("serving-R10")
def test_an_error_of_the_event_loop_is_one_line_of_its_kind():
    lines = []
    handle = web_server.log_each_kind_once(lines.append)
    for _ in range(3):
        handle(None, {"message": "accept", "exception": OSError(24, "Too many open\nfiles")})
    handle(None, {"message": "accept", "exception": OSError(23, "Too many")})
    handle(None, {"message": "another"})
    ending = "(further errors of this kind are not printed)"
    assert lines == [
        rf"connections: OSError: [Errno 24] Too many open\nfiles {ending}",
        f"connections: OSError: [Errno 23] Too many {ending}",
        f"connections: another {ending}",
    ]


def wait_until_refused(port):
    """Wait until the service accepts no connections."""

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(is_refused)


def wait_until(condition):
    """Wait at most 4 seconds until a condition is true."""
    for _ in range(200):
        if condition():
            return
        threading.Event().wait(0.02)
    pytest.fail("the state of the service has not changed")
