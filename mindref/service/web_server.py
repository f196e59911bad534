"""The web server of the service: uvicorn, stopped by mindref.

Spec: specs/serving.md, serving-R10, R13, R17.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import uvicorn

from mindref.data.quoting import escape_text
from mindref.service.app import Service
from mindref.service.connections import ACCEPTED_AT_ONCE, BACKLOG
from mindref.service.json_protocol import json_protocol

MAX_HEAD = 1 << 16  # bytes
STOP_SECONDS = 10  # for requests that are computed when the service stops


class StoppableServer(uvicorn.Server):  # type: ignore[misc]
    """A server without signal handlers: `should_stop` returns whether to stop."""

    def __init__(
        self, service: Service, should_stop: Callable[[], bool], announce: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                service.build_app(),
                loop="asyncio",  # which accepts `backlog` connections in one pass
                http=json_protocol(service),
                h11_max_incomplete_event_size=MAX_HEAD,
                backlog=ACCEPTED_AT_ONCE,
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
        self.log = service.log
        service.open_connections = lambda: len(self.server_state.connections)

    def capture_signals(self) -> AbstractContextManager[None]:
        """Install no signal handlers."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer requests."""
        asyncio.get_running_loop().set_exception_handler(log_each_kind_once(self.log))
        await super().startup(sockets)
        for listener in sockets or []:
            listener.listen(BACKLOG)
        self.announce()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop."""
        return self.should_stop() or await super().on_tick(counter)  # serving-R13


def log_each_kind_once(
    log: Callable[[str], None],
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler of errors in the event loop: one line for each kind, no traceback."""
    kinds = set[tuple[str, int | None]]()

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        name = type(error).__name__
        kind = name, getattr(error, "errno", None)
        if kind not in kinds:  # serving-R10
            kinds.add(kind)
            text = context["message"] if error is None else f"{name}: {error}"
            log(f"connections: {escape_text(text)} (further errors of this kind are not printed)")

    return handle
