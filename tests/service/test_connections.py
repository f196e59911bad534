"""The number of connections under a small limit of open files, and errors of the event loop."""

import http.client
import json
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest

from mindref.errors import ConfigError
from mindref.service import connections
from mindref.service.connections import MAX_CONNECTIONS, MAX_FILES, MAX_REJECTED, allow_connections
from tests.runs import REPOSITORY, environment
from tests.service.conftest import Client, wait_until_accepted

PROGRAM = """
import resource, sys, threading
from mindref.service import connections, server
from tests.service.conftest import FakeAnswers

files, chosen = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set())).start()


def log(line):
    print(line, file=sys.stderr, flush=True)


def announce(url):
    print(url, flush=True)


listener = server.bind_socket("127.0.0.1", 0)
number = chosen or connections.allow_connections(log)
loaded = server.LoadedService(FakeAnswers(lambda request: {}), listener, number)
server.run_server(loaded, 2, stop.is_set, announce, log)
"""
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
FEW = 300 - connections.RESERVED_FILES - MAX_REJECTED


@contextmanager
def limited_service(files, chosen=0):
    """Serve in a process that may open `files` files; yield a client and the lines of the end."""
    pytest.importorskip("resource", reason="this system has no limit of open files")
    command = [sys.executable, "-c", PROGRAM, str(files), str(chosen)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options = {"env": environment(), "cwd": REPOSITORY, "text": True}
    with subprocess.Popen(command, **pipes, **options) as process:
        try:
            port = int(process.stdout.readline().rpartition(":")[2])
            lines = []
            yield Client(port, None, lines)
            lines += process.communicate("", timeout=20)[1].splitlines()
            assert process.returncode == 0
        finally:
            process.kill()


def read_answer(stream):
    """Return status and JSON of an answer, and whether the service closes the connection."""
    response = http.client.HTTPResponse(stream)
    response.begin()
    return response.status, json.loads(response.read()), response.will_close


@pytest.mark.rules("serving-R10", "serving-R17")
def test_a_process_with_few_files_answers_all_connections():
    error = {"error": f"service: expected at most {FEW} connections, got more; retry"}
    with limited_service(300) as client:
        with ExitStack() as stack:

            def connect():
                stream = socket.create_connection(("127.0.0.1", client.port), timeout=20)
                return stack.enter_context(stream)

            opened = [connect() for _ in range(500)]
            for stream in opened[FEW:-MAX_REJECTED]:  # the oldest ones, before a request
                assert read_answer(stream) == (503, error, True)
                assert stream.recv(1) == b""
            for stream in (opened[-MAX_REJECTED], opened[-1]):  # the request is read
                stream.setblocking(False)
                with pytest.raises(BlockingIOError):
                    stream.recv(1)
                stream.settimeout(20)
                stream.sendall(GET)
                assert read_answer(stream) == (503, error, True)
            for stream in (opened[0], opened[1]):
                stream.sendall(GET)
                assert read_answer(stream)[0] == 503  # as long as the number is too large
            status, headers, _ = client.request(
                "POST", "/recommend", b'{"history": []}', content_type="application/json"
            )
            assert (status, headers["retry-after"]) == (503, "1")
        wait_until_accepted(client)
    reason = f"the process may open 300 files, and 1,024 connections need {MAX_FILES:,}"
    assert client.lines == [f"at most {FEW} connections: {reason} (ulimit -n {MAX_FILES})"]


@pytest.mark.rules("serving-R10")
def test_an_error_of_the_event_loop_is_one_line_of_its_kind():
    """More connections are allowed than files can be opened."""
    with limited_service(60, chosen=MAX_CONNECTIONS) as client, ExitStack() as stack:
        address = ("127.0.0.1", client.port)
        opened = [
            stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(100)
        ]
        opened[0].sendall(GET)
        assert opened[0].recv(1), "the service has accepted connections"
    text = "connections: OSError: [Errno 24] Too many open files (further errors of this kind"
    assert [line.startswith(text) for line in client.lines].count(True) == 1, client.lines[:5]
    assert len(client.lines) <= 2  # the listener is closed before asyncio accepts again
    assert not any("Traceback" in line for line in client.lines)


class FakeResource(SimpleNamespace):
    """The module resource, with given limits."""

    RLIMIT_NOFILE, RLIM_INFINITY, is_permitted = 7, -1, True

    def getrlimit(self, kind):
        return self.limits

    def setrlimit(self, kind, limits):
        if not self.is_permitted:
            raise ValueError("not permitted")
        self.limits = limits


@pytest.mark.rules("serving-R17")
@pytest.mark.parametrize(
    ("limits", "is_permitted", "number", "expected"),
    [
        ((256, 1 << 20), True, MAX_CONNECTIONS, (MAX_FILES, 1 << 20)),
        ((1024, -1), True, MAX_CONNECTIONS, (MAX_FILES, -1)),
        ((4096, 4096), True, MAX_CONNECTIONS, (4096, 4096)),
        ((-1, -1), True, MAX_CONNECTIONS, (-1, -1)),
        ((1024, 1024), True, 768, (1024, 1024)),
        ((512, 1024), True, 768, (1024, 1024)),
        ((1024, 4096), False, 768, (1024, 4096)),
    ],
)
def test_the_limit_of_open_files_is_raised_or_fewer_connections_are_answered(
    monkeypatch, limits, is_permitted, number, expected
):
    resource = FakeResource(limits=limits, is_permitted=is_permitted)
    monkeypatch.setitem(sys.modules, "resource", resource)
    lines = []
    assert allow_connections(lines.append) == number
    assert resource.limits == expected
    assert len(lines) == (number < MAX_CONNECTIONS)


@pytest.mark.rules("serving-R17")
def test_too_few_files_are_an_error_and_a_system_may_have_no_limit(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", FakeResource(limits=(64, 128)))
    message = "serve: expected a limit of at least 257 open files, got 128; raise the limit: ulimit"
    with pytest.raises(ConfigError, match=message):
        allow_connections(pytest.fail)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert allow_connections(pytest.fail) == MAX_CONNECTIONS
