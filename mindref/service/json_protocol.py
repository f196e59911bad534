"""A connection of the web server: JSON for all errors, and a limit of time for heads.

Spec: specs/serving.md, serving-R10, R11, R15, R17.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from mindref.service import app
from mindref.service.connections import MAX_REJECTED


def json_protocol(service: app.Service) -> type:
    """Return the class of the connections of a service."""
    return type("ServiceProtocol", (JsonProtocol,), {"service": service, "above_limit": {}})


class JsonProtocol(H11Protocol):  # type: ignore[misc]  # with h11, whatever else is installed
    """A connection of uvicorn with other answers where no request can be read."""

    service: ClassVar[app.Service]
    above_limit: ClassVar[dict[Any, None]]  # connections above the limit, the oldest first
    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin a connection; if there are too many, close the oldest that sends no request."""
        super().connection_made(transport)
        self.time_head()
        if self.service.open_connections() > self.service.connections:
            self.above_limit[self] = None
        while len(self.above_limit) > MAX_REJECTED:  # serving-R17
            oldest = next(iter(self.above_limit))
            del self.above_limit[oldest]
            if oldest.is_idle():
                oldest.transport.write(self.service.overload_bytes())
                oldest.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self.above_limit.pop(self, None)
        self.stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read bytes of the client."""
        super().data_received(data)
        self.time_head()

    def eof_received(self) -> bool:
        """Return whether the connection stays open, for the answer to a complete request."""
        if self.is_idle():
            if self.has_part_of_head():
                self.transport.write(self.service.malformed_response(app.INCOMPLETE))
            return False
        if self.cycle.more_body:
            self.end_malformed(app.INCOMPLETE)
            return False
        # requests that follow in the same bytes are answered too
        self.cycle.keep_alive = self.has_part_of_head()
        return True  # serving-R10

    def is_idle(self) -> bool:
        """Return whether no request is read or computed."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def has_part_of_head(self) -> bool:
        """Return whether bytes were received that are not read yet."""
        return bool(self.conn.trailing_data[0])

    def time_head(self) -> None:
        """Start the time of a head that is not complete, and stop that of a complete head."""
        if not self.is_idle():
            self.stop_head_timer()
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(app.READ_SECONDS, self.end_head)

    def stop_head_timer(self) -> None:
        """Stop the time of a head, if it runs."""
        if self.head_timer is not None:
            self.head_timer.cancel()
        self.head_timer = None

    def end_head(self) -> None:
        """Close the connection, because the head of its request did not arrive in time."""
        if self.has_part_of_head():  # serving-R11
            self.transport.write(self.service.late_head_response())
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request of HTTP/1.1; the text of uvicorn is not sent."""
        self.end_malformed(app.MALFORMED)

    def end_malformed(self, message: str) -> None:
        """Answer bytes that are not a request, unless an answer has begun, and close."""
        if self.is_idle() or not self.cycle.response_started:
            self.transport.write(self.service.malformed_response(message))  # serving-R10
        self.transport.close()
