"""The process of `mindref serve`: socket, model, and uvicorn with its limits, stopped by mindref.

Spec: specs/serving.md, serving-R10 to R17, R21 and R22.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

from mindref.data.quoting import escape_text
from mindref.errors import ConfigError, say
from mindref.process.requirements import install_extra
from mindref.recall import registry
from mindref.recommender.serving.recall import describe_index
from mindref.service.answers import HistoryAnswers

try:
    import uvicorn

    from mindref.service.app import Service
except ImportError as error:
    expected = "starlette, uvicorn and prometheus-client"
    raise ConfigError(say("serve", expected, error, install_extra("serve"))) from error

BACKLOG = 2048  # connections that the system keeps until they are accepted
MAX_CONNECTIONS = 512  # open at the same time; fits the usual limit of 1,024 open files
MAX_HEAD = 1 << 16  # bytes
IDLE_SECONDS = 5  # of a connection between two requests
STOP_SECONDS = 10  # for requests that are computed when the service stops
OTHER_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
"""Errors of an address: of another machine, of IPv6 without IPv6, link-local without a zone."""


class LoadedService(NamedTuple):
    """A loaded model, and a socket that accepts connections."""

    answers: HistoryAnswers
    listener: socket.socket
    load: Callable[[], HistoryAnswers]  # the run directory again


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

    log: receives lines for the operator. Raises ConfigError for a port in use and an unknown host,
    RunError for a damaged run, before a connection is accepted.
    """
    registry.check_kind(kind, "--index")
    if kind not in registry.BUILT_IN:
        registry.load_plugin(kind)
    with closing(bind_socket(host, port)) as listener:

        def load() -> HistoryAnswers:
            notes: list[str] = []
            answers = HistoryAnswers.load(run, kind, backend, device, notes)
            for line in [*notes, *describe_index(answers.index)]:
                log(line)
            return answers

        answers = load()
        for line in public_warning(listener):
            log(line)
        with socket_errors(host, port):
            listener.listen(BACKLOG)  # serving-R12
        yield LoadedService(answers, listener, load)


def run_server(
    loaded: LoadedService,
    threads: int,
    should_stop: Callable[[], bool],
    announce: Callable[[str], None],
    log: Callable[[str], None],
    *,
    reloads: bool = True,
) -> None:
    """Answer requests until `should_stop`, then finish the requests that are computed.

    announce: receives the address when requests are answered; log: unexpected errors. reloads:
    whether /reload is a route.
    """
    service = Service(loaded.answers, loaded.load, threads, log, reloads=reloads)
    server = StoppableServer(service, should_stop, lambda: announce(url_of(loaded.listener)))
    try:
        server.run([loaded.listener])
    finally:
        for pool in (service.workers, service.loader):
            pool.shutdown(cancel_futures=True)


class StoppableServer(uvicorn.Server):  # type: ignore[misc]
    """A server without signal handlers: `should_stop` returns whether to stop."""

    def __init__(
        self, service: Service, should_stop: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service.build_app(),
                http="h11",  # serving-R21; the limit of a head is h11's
                h11_max_incomplete_event_size=MAX_HEAD,  # serving-R11
                limit_concurrency=MAX_CONNECTIONS + 1,  # serving-R17; counts the rejected one
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,  # serving-R13
                ws="none",  # a request to change to WebSocket is answered as HTTP
                access_log=False,
                log_config=None,
                log_level="critical",
                lifespan="off",
                server_header=False,
            )
        )
        self.should_stop, self.announce, self.log = should_stop, announce, service.log

    def capture_signals(self) -> AbstractContextManager[None]:
        """Install no signal handlers."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer requests."""
        asyncio.get_running_loop().set_exception_handler(self.log_error)
        await super().startup(sockets)
        self.announce()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        return self.should_stop() or await super().on_tick(counter)  # serving-R13

    def log_error(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Log an error of the event loop, such as too many open files, as one line."""
        error = context.get("exception")
        text = f"{type(error).__name__}: {error}" if error else str(context["message"])
        self.log(f"connections: {escape_text(text)}")  # serving-R22


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, and accepts no connections yet."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
        raise host_error(host, error) from error
    family, kind, protocol, _, address = addresses[0]
    if ipaddress.ip_address(str(address[0]).partition("%")[0]).is_multicast:  # bind accepts it
        raise host_error(host, ValueError("a multicast address"))
    with socket_errors(host, port):
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    return listener


@contextmanager
def socket_errors(host: str, port: int) -> Iterator[None]:
    """Convert an error of a socket into a ConfigError."""
    try:
        yield
    except OSError as error:
        if error.errno in OTHER_ADDRESS:
            raise host_error(host, error) from error
        todo = "choose another --port; --port 0 takes a free port"
        location, reason = f"--host {host} --port {port}", error.strerror or error
        raise ConfigError(say(location, "a free port", reason, todo)) from error


def host_error(host: str, error: Exception) -> ConfigError:
    """Return the error of a host that is unknown or not this machine."""
    expected, reason = "an address or a name of this machine", getattr(error, "strerror", None)
    todo = "127.0.0.1 accepts only this machine, 0.0.0.0 and :: accept other machines"
    return ConfigError(say(f"--host {host}", expected, reason or error, todo))


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
