"""The web server of the service: uvicorn with its limits, stopped by mindref.

Spec: specs/serving.md, serving-R10, R13, R17.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import uvicorn

from mindref.data.quoting import escape_text
from mindref.service.app import Service

MAX_CONNECTIONS = 512  # open at the same time; fits the usual limit of 1,024 open files
MAX_HEAD = 1 << 16  # bytes
IDLE_SECONDS = 5  # of a connection between two requests
STOP_SECONDS = 10  # for requests that are computed when the service stops


class StoppableServer(uvicorn.Server):  # type: ignore[misc]
    """A server without signal handlers: `should_stop` returns whether to stop."""

    def __init__(
        self, service: Service, should_stop: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service.build_app(),
                http="h11",  # the limit of a head is h11's
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
        asyncio.get_running_loop().set_exception_handler(log_each_kind_once(self.log))
        await super().startup(sockets)
        self.announce()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        return self.should_stop() or await super().on_tick(counter)  # serving-R13


def log_each_kind_once(
    log: Callable[[str], None],
) -> Callable[[asyncio.AbstractEventLoop, dict[str, object]], None]:
    """Return a handler of errors in the event loop: one line for each kind, no traceback."""
    kinds = set[tuple[str, int | None]]()

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        name = type(error).__name__
        kind = name, getattr(error, "errno", None)
        if kind not in kinds:  # serving-R10
            kinds.add(kind)
            text = str(context["message"]) if error is None else f"{name}: {error}"
            log(f"connections: {escape_text(text)} (further errors of this kind are not printed)")

    return handle
