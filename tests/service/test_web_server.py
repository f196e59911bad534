"""The web server: its stop, and requests that are not finished at the stop."""

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


@pytest.mark.rules("serving-R13")
@pytest.mark.parametrize("ends", [False, True])
def test_a_stop_answers_one_of_many_requests_of_a_connection(ends):
    begun, proceed = threading.Event(), threading.Event()

    def wait(request):
        begun.set()
        assert proceed.wait(20)
        return {"done": True}

    body = b'{"history": []}'
    request = f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body
    with (
        started_service(FakeAnswers(wait)) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream,
    ):
        stream.sendall(request * 3)
        assert begun.wait(20)
        client.stop.set()
        wait_until_refused(client.port)
        if ends:
            stream.shutdown(socket.SHUT_WR)
            threading.Event().wait(0.2)
        proceed.set()
        answer = read_to_end(stream)
    assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.rules("serving-R13")
def test_a_part_of_a_head_gets_status_503_at_a_stop():
    health = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with (
        started_service(FakeAnswers(lambda request: {})) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream,
    ):
        stream.sendall(health + b"GET /hea")
        assert stream.recv(4096).startswith(b"HTTP/1.1 200 ")
        client.stop.set()
        assert b"HTTP/1.1 503 " in read_to_end(stream)


def wait_until_refused(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.02)
    pytest.fail("the service accepts connections after the stop")
