"""The web server of the service: uvicorn, stopped by mindref, with JSON for malformed requests.

Spec: specs/serving.md, serving-R10, R13, R15, R17.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mindref.service.app import Service

STOP_SECONDS = 10  # for requests that are computed when the service stops


class StoppableServer(uvicorn.Server):  # type: ignore[misc]
    """A server without signal handlers: `should_stop` returns whether to stop."""

    def __init__(
        self, service: Service, should_stop: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service.build_app(),
                http=json_protocol(service.malformed_response),
                ws="none",  # a request to change to WebSocket is answered as HTTP
                access_log=False,
                log_config=None,
                log_level="critical",
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self.should_stop, self.announce = should_stop, announce
        service.open_connections = lambda: len(self.server_state.connections)

    def capture_signals(self) -> AbstractContextManager[None]:
        """Install no signal handlers."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer requests."""
        await super().startup(sockets)
        self.announce()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        return self.should_stop() or await super().on_tick(counter)  # serving-R13


def json_protocol(malformed_response: Callable[[], bytes]) -> type:
    """Return uvicorn's class of a connection, with another answer to a request that is not HTTP."""

    class JsonProtocol(AutoHTTPProtocol):  # type: ignore[misc]
        def send_400_response(self, msg: str) -> None:
            cycle = self.cycle
            if cycle is None or cycle.response_complete or not cycle.response_started:
                self.transport.write(malformed_response())  # serving-R10
            self.transport.close()

    return JsonProtocol
