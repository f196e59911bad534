"""A small run, and services of it that run in a thread of the test."""

import http.client
import json
import threading
from contextlib import contextmanager

import pytest

from tests.runs import trained

pytest.importorskip("starlette", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("prometheus_client", reason="needs the extra serve")

from mindref.service.answers import HistoryAnswers
from mindref.service.server import LoadedService, bind_socket, run_server

HEAD = "POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
"""The begin of a request without its length and body."""


class Client:
    """An HTTP client of one service."""

    def __init__(self, port, stop, lines):
        self.port, self.stop, self.lines = port, stop, lines

    def request(self, method, path, body=None, **headers):
        """Return status, headers and body of a request on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, response.read()
        finally:
            connection.close()

    def post(self, body, path="/recommend", **headers):
        """Return status and JSON of a POST request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.setdefault("content_type", "application/json")
        status, _, content = self.request("POST", path, data, **headers)
        return status, json.loads(content)

    def get(self, path):
        """Return status and text of a GET request."""
        status, _, content = self.request("GET", path)
        return status, content.decode()


@contextmanager
def started_service(answers, threads=2, load=None, **options):
    """Serve in a thread until the block ends."""
    stop, ready, lines = threading.Event(), threading.Event(), []
    listener = bind_socket("127.0.0.1", 0)
    listener.listen()
    loaded = LoadedService(answers, listener, load)
    thread = threading.Thread(
        target=run_server,
        kwargs={
            "loaded": loaded,
            "threads": threads,
            "should_stop": stop.is_set,
            "announce": lambda url: ready.set(),
            "log": lines.append,
            **options,
        },
    )
    port = listener.getsockname()[1]
    thread.start()
    try:
        assert ready.wait(20)
        yield Client(port, stop, lines)
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def read_to_end(stream):
    """Return all bytes of a connection until the service closes it."""
    answer = b""
    while part := stream.recv(4096):
        answer += part
    return answer


def wait_until(condition):
    """Wait at most 10 seconds until a condition is true."""
    for _ in range(500):
        if condition():
            return
        threading.Event().wait(0.02)
    pytest.fail("the state of the service has not changed")


class FakeAnswers:
    """Answers of a function, with the facts of a model."""

    def __init__(self, function):
        self.function = function

    def __call__(self, request):
        return self.function(request)

    def facts(self):
        return {"model": "mind", "step": 42}


class WaitingAnswers(FakeAnswers):
    """Answers after `proceed` is set, which count the requests that run at the same time."""

    def __init__(self):
        super().__init__(self.wait)
        self.begun, self.proceed = threading.Event(), threading.Event()
        self.num_running, self.most_running = 0, 0
        self.lock = threading.Lock()

    def wait(self, request):
        with self.lock:
            self.num_running += 1
            self.most_running = max(self.most_running, self.num_running)
        self.begun.set()
        assert self.proceed.wait(20)
        with self.lock:
            self.num_running -= 1
        return {"done": True}


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("service") / "run")


@pytest.fixture(scope="session")
def answers(small_run):
    return HistoryAnswers.load(small_run, "exact", None, "cpu", [])


@pytest.fixture(scope="session")
def service(answers):
    with started_service(answers) as client:
        yield client
