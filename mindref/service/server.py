"""The process of `mindref serve`: socket, model, web server. Spec: specs/serving.md."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mindref.errors import ConfigError, say
from mindref.process.requirements import install_extra
from mindref.recall import registry
from mindref.recommender.serving.recall import describe_index
from mindref.service.answers import HistoryAnswers

BACKLOG = 2048  # connections that the system keeps until they are accepted
OWN_ADDRESS = "an address or a name of this machine"
OTHER_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
"""Errors of an address: of another machine, of IPv6 without IPv6, link-local without a zone."""

HOSTS = "127.0.0.1 accepts only this machine, 0.0.0.0 and :: accept other machines"


class LoadedService(NamedTuple):
    """A loaded model, and a socket that accepts connections."""

    answers: HistoryAnswers
    listener: socket.socket


@contextmanager
def load_service(
    run: Path,
    *,
    host: str,
    port: int,
    kind: str,
    log: Callable[[str], None],
    backend: str | None = None,
    device: str = "cpu",
) -> Iterator[LoadedService]:
    """Reserve the address, load the run, and open the port for the block.

    log: receives lines for the operator. Raises ConfigError for a port in use, an unknown host and
    a missing package, RunError for a damaged run, before a connection is accepted.
    """
    require_packages()
    registry.check_kind(kind, "--index")
    if kind not in registry.BUILT_IN:
        registry.load_plugin(kind)
    with closing(bind_socket(host, port)) as listener:
        notes: list[str] = []
        answers = HistoryAnswers.load(run, kind, backend, device, notes)
        for line in [*notes, *describe_index(answers.index), *public_warning(listener)]:
            log(line)
        with socket_errors(host, port):
            listener.listen(BACKLOG)  # serving-R12
        yield LoadedService(answers, listener)


def require_packages() -> None:
    """Raise ConfigError unless the libraries of the extra `serve` are installed."""
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        todo = install_extra("serve")
        expected = "starlette, uvicorn and prometheus-client"
        raise ConfigError(say("serve", expected, error, todo)) from error


def run_server(
    loaded: LoadedService,
    threads: int,
    should_stop: Callable[[], bool],
    announce: Callable[[str], None],
    log: Callable[[str], None],
) -> None:
    """Answer requests until `should_stop`, then finish the requests that are computed.

    announce: receives the address when requests are answered; log: unexpected errors.
    """
    from mindref.service.app import Service
    from mindref.service.web_server import StoppableServer

    service = Service(loaded.answers, loaded.answers.facts(), threads, log)
    server = StoppableServer(service, should_stop, lambda: announce(url_of(loaded.listener)))
    try:
        server.run([loaded.listener])
    finally:
        service.workers.shutdown(cancel_futures=True)


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, and accepts no connections yet."""
    family, kind, protocol, address = resolve_host(host, port)
    with socket_errors(host, port):
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    return listener


def resolve_host(host: str, port: int) -> tuple[int, int, int, Any]:
    """Return family, type, protocol and address of a socket. Raises ConfigError."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(say(f"--host {host}", OWN_ADDRESS, reason, HOSTS)) from error
    family, kind, protocol, _, address = addresses[0]
    number = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if number.is_multicast:  # bind() accepts it
        raise ConfigError(say(f"--host {host}", OWN_ADDRESS, "a multicast address", HOSTS))
    return family, kind, protocol, address


@contextmanager
def socket_errors(host: str, port: int) -> Iterator[None]:
    """Convert an error of a socket into a ConfigError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in OTHER_ADDRESS:
            raise ConfigError(say(f"--host {host}", OWN_ADDRESS, reason, HOSTS)) from error
        todo = "choose another --port; --port 0 takes a free port"
        location = f"--host {host} --port {port}"
        raise ConfigError(say(location, "a free port", reason, todo)) from error


def url_of(listener: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def public_warning(listener: socket.socket) -> list[str]:
    """Return a line if other machines can connect to a socket."""
    host = listener.getsockname()[0]
    if ipaddress.ip_address(host.partition("%")[0]).is_loopback:  # serving-R16
        return []
    text = "the service has no authentication and no encryption: use it in a private network"
    return [f"--host {host}: {text}"]
