"""The address of the service, the order of its start, the limits of the web server, its stop."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from mindref.errors import ConfigError
from mindref.service import server
from mindref.service.answers import HistoryAnswers
from tests.service.conftest import (
    HEAD,
    FakeAnswers,
    WaitingAnswers,
    read_to_end,
    started_service,
    wait_until,
)


@pytest.mark.rules("serving-R12")
def test_the_port_accepts_connections_after_the_run_is_loaded(small_run, monkeypatch):
    load, seen = HistoryAnswers.load, []
    bind, ports = server.bind_socket, []

    def bind_and_note(host, port):
        listener = bind(host, port)
        ports.append(listener.getsockname()[1])
        return listener

    def load_and_connect(*arguments):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[0]), timeout=5)
        seen.append(True)
        return load(*arguments)

    monkeypatch.setattr(server, "bind_socket", bind_and_note)
    monkeypatch.setattr(server.HistoryAnswers, "load", load_and_connect)
    with server.load_service(
        small_run, host="127.0.0.1", port=0, kind="exact", log=pytest.fail
    ) as loaded:
        socket.create_connection(("127.0.0.1", ports[0]), timeout=5).close()
        assert loaded.answers.facts()["model"] == "mind"
    assert seen == [True]


@pytest.mark.rules("serving-R12")
def test_a_port_in_use_is_an_error_before_the_run_is_read(tmp_path):
    with server.bind_socket("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        message = rf"--port {port}: expected a free port, got Addr.* in use; choose another --port"
        with pytest.raises(ConfigError, match=message):
            open_service(tmp_path / "none", port=port)


@pytest.mark.rules("serving-R12")
@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "192.0.2.1", "a" * 70, "fe80::1", "224.0.0.1"]
)
def test_a_host_that_is_not_this_machine_is_an_error_about_the_host(host, tmp_path):
    expected = "an address or a name of this machine"
    with pytest.raises(
        ConfigError, match=f"^--host {host}: expected {expected}, got .*; 127.0.0.1"
    ):
        open_service(tmp_path / "none", host=host)


def open_service(run, host="127.0.0.1", port=0, kind="exact", lines=None):
    log = pytest.fail if lines is None else lines.append
    with server.load_service(run, host=host, port=port, kind=kind, log=log) as loaded:
        return server.url_of(loaded.listener)


@pytest.mark.rules("serving-R16")
def test_another_address_than_this_machine_is_a_warning(small_run):
    lines = []
    assert open_service(small_run, host="0.0.0.0", lines=lines).startswith("http://0.0.0.0:")
    text = "the service has no authentication and no encryption: use it in a private network"
    assert lines == [f"--host 0.0.0.0: {text}"]
    open_service(small_run)  # 127.0.0.1: no line


@pytest.mark.rules("serving-R13")
def test_a_stop_finishes_requests_and_closes_idle_connections():
    answers = WaitingAnswers()
    with started_service(answers) as client, ThreadPoolExecutor(1) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        idle.request("GET", "/health")
        idle.getresponse().read()
        answer = pool.submit(client.post, {"history": []})
        assert answers.begun.wait(20)
        client.stop.set()
        wait_until_refused(client.port)
        threading.Event().wait(0.4)  # the service waits as well, for the request
        assert not answer.done()
        answers.proceed.set()
        assert answer.result(20) == (200, {"done": True})
        assert idle.sock.recv(1) == b""
        idle.close()


@pytest.mark.rules("serving-R10", "serving-R13")
def test_a_request_that_is_not_finished_at_a_stop_is_answered_as_json(monkeypatch):
    monkeypatch.setattr(server, "STOP_SECONDS", 0.2)
    answers = WaitingAnswers()
    message = "service: expected a service that runs, got a service that stops; retry"
    with started_service(answers) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, {"history": []})
        assert answers.begun.wait(20)
        with socket.create_connection(("127.0.0.1", client.port), timeout=30) as stream:
            stream.sendall(f"{HEAD}expect: 100-continue\r\ncontent-length: 50\r\n\r\n".encode())
            assert stream.recv(4096).startswith(b"HTTP/1.1 100 ")  # the service has read the head
            client.stop.set()
            try:
                assert answer.result(20) == (503, {"error": message})
                head, _, body = read_to_end(stream).partition(b"\r\n\r\n")
            finally:
                answers.proceed.set()
    assert (head[:13], json.loads(body)) == (b"HTTP/1.1 503 ", {"error": message})


@pytest.mark.rules("serving-R11", "serving-R21")
@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        f"{HEAD}content-length: x\r\n\r\n".encode(),
        b"GET /health HTTP/1.1\r\nhost: x\r\na: " + b"x" * server.MAX_HEAD,
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


@pytest.mark.rules("serving-R17")
def test_a_request_on_too_many_connections_is_rejected_and_its_connection_closed(monkeypatch):
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
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
    monkeypatch.setattr(server, "IDLE_SECONDS", 1)
    with started_service(FakeAnswers(lambda request: {})) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.request("GET", "/health")
        assert connection.getresponse().read()
        assert connection.sock.recv(1) == b""
        connection.close()


@pytest.mark.rules("serving-R22")
def test_an_error_of_the_event_loop_is_one_line():
    lines = []
    stoppable = server.StoppableServer(Mock(log=lines.append), lambda: True, lambda: None)
    error = OSError(24, "Too many open\nfiles")
    stoppable.log_error(None, {"message": "accept", "exception": error})
    stoppable.log_error(None, {"message": "socket closed"})
    assert lines == [
        r"connections: OSError: [Errno 24] Too many open\nfiles",
        "connections: socket closed",
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
