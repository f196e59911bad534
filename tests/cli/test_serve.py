"""mindref serve: the address, signals, and errors before the port opens."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

REQUEST = {"content-type": "application/json"}


@pytest.mark.rules("serving-R13")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
@pytest.mark.slow(every=3)
def test_a_signal_stops_the_service_with_its_exit_code(name, code, run):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    item = (run / "items.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[0]
    body = json.dumps({"history": [item]}).encode()
    command = [sys.executable, "-m", "mindref", "serve", run, "--port", "0", "--threads", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            line = service.stdout.readline()
            found = re.fullmatch(
                rf"serving {re.escape(str(run))} at (http://127.0.0.1:\d+)\n", line
            )
            assert found, service.stderr.read()
            request = urllib.request.Request(f"{found[1]}/recommend", body, REQUEST)
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
            service.send_signal(getattr(signal, name))
            out, err = service.communicate(timeout=60)
        finally:
            service.kill()
    assert service.returncode == code
    assert (out, err.splitlines()[-1]) == ("", "Stopped.")
    assert len(answer["items"]) == 10


def test_bad_input_ends_the_command_with_one_line(cli, run, tmp_path):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        line = cli.error_line("serve", run, "--port", port)
    assert f"--port {port}: expected a free port, got Address already in use; choose" in line
    line = cli.error_line("serve", run, "--host", "no.such.host.invalid", "--port", 0)
    assert "--host no.such.host.invalid: expected an address or a name of this machine" in line
    assert "expected a run directory" in cli.error_line("serve", tmp_path / "no", "--port", 0)
    assert "--index: expected auto" in cli.error_line("serve", run, "--port", 0, "--index", "x")


def test_a_damaged_run_ends_the_command_before_an_address_is_printed(cli, run):
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    model = run / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    assert "model.safetensors: expected" in cli.error_line("serve", run, "--port", 0)


def test_a_missing_package_is_named_with_the_command_that_installs_it(cli, run, monkeypatch):
    monkeypatch.delitem(sys.modules, "mindref.service.app", raising=False)
    monkeypatch.delitem(sys.modules, "mindref.service.server", raising=False)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    line = cli.error_line("serve", run)
    assert "serve: expected starlette, uvicorn and prometheus-client, got import of st" in line
    for package in ("prometheus-client", "starlette", "uvicorn"):
        assert re.search(f"pip install .*'{package}>=", line)
