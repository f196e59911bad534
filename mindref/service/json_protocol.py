"""A connection of the web server: JSON for all errors, and a time limit for request heads.

Spec: specs/serving.md, serving-R10, R11, R13, R15, R17.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import h11
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
    client_ended = False  # the client sends no more bytes

    def connection_made(self, transport: Any) -> None:
        """Begin a connection; if there are too many, close the oldest that sends no request."""
        super().connection_made(transport)
        self.update_head_timer()
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
        self.update_head_timer()

    def eof_received(self) -> bool:
        """Return whether the connection stays open, for the answers to complete requests."""
        self.client_ended = True
        return self.answer_last_requests()  # serving-R10

    def on_response_complete(self) -> None:
        """Continue with the bytes that follow an answered request."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self.client_ended:
            self.answer_last_requests()
        elif self.has_part_of_head():  # serving-R11
            self._unset_keepalive_if_required()
            self.update_head_timer()

    def shutdown(self) -> None:
        """Close the connection now, or after the answer to the request in progress."""
        if self.has_part_of_head():
            self.transport.write(self.service.stop_bytes())  # serving-R13
        super().shutdown()

    def answer_last_requests(self) -> bool:
        """Return whether a complete request waits for its answer; if not, close the connection."""
        if not self.is_idle() and not self.cycle.more_body:
            return True
        if self.has_part_of_head() or not self.is_idle():
            self.end_malformed(app.INCOMPLETE)
        self.transport.close()
        return False

    def is_idle(self) -> bool:
        """Return whether no request is read or computed."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def has_part_of_head(self) -> bool:
        """Return whether the first bytes of a request were received, but not its whole head."""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def update_head_timer(self) -> None:
        """Let the timer run exactly while the service waits for the head of a request."""
        if not self.is_idle():
            self.stop_head_timer()
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(app.READ_SECONDS, self.reject_late_head)

    def stop_head_timer(self) -> None:
        """Stop the timer, if it runs."""
        if self.head_timer is not None:
            self.head_timer.cancel()
        self.head_timer = None

    def reject_late_head(self) -> None:
        """Close the connection, because the head of its request did not arrive in time."""
        if self.has_part_of_head():  # serving-R11
            self.transport.write(self.service.late_head_bytes())
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request of HTTP/1.1; the text of uvicorn is not sent."""
        self.end_malformed(app.MALFORMED)

    def end_malformed(self, message: str) -> None:
        """Answer bytes that are not a request, unless their request has an answer, and close."""
        is_between_requests = self.cycle is None or (self.is_idle() and not self.cycle.more_body)
        if is_between_requests or not self.cycle.response_started:
            self.transport.write(self.service.malformed_response(message))  # serving-R10
        self.transport.close()
