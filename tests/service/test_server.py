"""The address of the service, and the order of its start."""

import socket

import pytest

from mindref.errors import ConfigError, RunError
from mindref.service import server
from mindref.service.answers import HistoryAnswers


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
    "host",
    [
        "no.such.host.invalid",
        "192.0.2.1",
        "a" * 70,
        "224.0.0.1",
        "fe80::1",
    ],
)
def test_a_host_that_is_not_this_machine_is_an_error_about_the_host(host, tmp_path):
    expected = "an address or a name of this machine"
    with pytest.raises(
        ConfigError, match=f"^--host {host}: expected {expected}, got .*; 127.0.0.1"
    ):
        open_service(tmp_path / "none", host=host)


def test_a_wrong_run_and_a_wrong_index_are_errors(tmp_path):
    with pytest.raises(RunError, match="expected a run directory"):
        open_service(tmp_path / "none")
    with pytest.raises(ConfigError, match="--index"):
        open_service(tmp_path / "none", kind="nothing")


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
