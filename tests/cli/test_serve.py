"""mindref serve: the address, signals, and errors before the port opens."""

import json
import os
import signal
import socket
import sys
import threading
import urllib.request

import pytest

from mindref.service.requests import DEFAULT_N

REQUEST = {"content-type": "application/json"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def post_then_signal(port, body, number, answers):
    """Send a request when the service of this process answers, then a signal to this process."""
    try:
        for _ in range(3000):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30).close()
                break
            except OSError:
                threading.Event().wait(0.02)
        request = urllib.request.Request(f"http://127.0.0.1:{port}/recommend", body, REQUEST)
        with urllib.request.urlopen(request, timeout=30) as response:
            answers.append(json.load(response))
    finally:
        os.kill(os.getpid(), number)


@pytest.mark.rules("serving-R13")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
@pytest.mark.slow(every=3)
def test_a_signal_stops_the_service_with_its_exit_code(name, code, cli, run):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    item = (run / "items.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[0]
    answers, port = [], free_port()
    body = json.dumps({"history": [item]}).encode()
    arguments = port, body, getattr(signal, name), answers
    thread = threading.Thread(target=post_then_signal, args=arguments)
    # a signal outside the command must not end the process of the tests
    before = signal.signal(getattr(signal, name), lambda *_: None)
    try:
        thread.start()
        result = cli("serve", run, "--port", port, "--threads", 2)
        thread.join()
    finally:
        signal.signal(getattr(signal, name), before)
    assert result.code == code
    assert result.out == f"serving {run} at http://127.0.0.1:{port}\n"
    assert result.err.splitlines()[-1] == "Stopped."
    assert len(answers[0]["items"]) == DEFAULT_N


def test_errors_before_the_port_opens(cli, run, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = cli.error_line("serve", run, "--port", port)
    assert f"--port {port}: expected a free address, got Address already in use; choose" in line
    assert "expected a run directory" in cli.error_line("serve", tmp_path / "no", "--port", 0)
    assert "--index: expected auto" in cli.error_line("serve", run, "--port", 0, "--index", "x")
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    assert "model.safetensors: expected" in cli.error_line("serve", run, "--port", 0)


def test_a_missing_package_names_the_extra(cli, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    line = cli.error_line("serve", run)
    assert "serve: expected starlette, uvicorn and prometheus-client, got" in line
    assert "pip install 'prometheus-client>=" in line
