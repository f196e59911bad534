"""The web application: routes, limits, worker threads, and errors as JSON.

Spec: specs/serving.md. A request is computed in one of a fixed number of threads; the event loop
only reads and writes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mindref.errors import ConfigError, DataError, say
from mindref.service.connections import MAX_CONNECTIONS
from mindref.service.metrics import TEXT_FORMAT, ServiceMetrics
from mindref.service.request_body import (
    CONTENT_TYPE,
    MAX_BODY,
    RecommendRequest,
    RequestError,
    parse_request,
)

READ_SECONDS = 30.0  # time to send the head of a request, and time to send its body
WAITING = 32  # requests that wait for a worker thread, for each thread
RETRY_SECONDS = 1  # of a rejected request
RECOMMEND, HEALTH, METRICS, OTHER = "/recommend", "/health", "/metrics", "other"
MALFORMED = say(
    "request",
    "HTTP/1.1 with one header Host and a head of less than 64 KiB",
    "other bytes",
    "use http, not https",
)
INCOMPLETE = say("request", "a complete head and body", "the end of the client's bytes")
STOPPED = "a service that runs", "a service that stops"

Handler = Callable[[Request], Awaitable[Response]]


class Service:
    """The handlers of the routes.

    answer: computes the JSON values of a request; is called by several threads at once. facts: the
    answer of /health. log: receives a line for each unexpected error. connections: how many are
    answered at the same time.
    """

    def __init__(
        self,
        answer: Callable[[RecommendRequest], dict[str, Any]],
        facts: dict[str, Any],
        threads: int,
        log: Callable[[str], None],
        connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.answer, self.facts, self.log = answer, facts, log
        self.metrics = ServiceMetrics(facts["step"])
        self.workers = ThreadPoolExecutor(threads, "mindref-serve")
        self.max_pending = threads * (1 + WAITING)
        self.connections = connections
        self.pending = 0  # changed by the event loop only
        self.open_connections: Callable[[], int] = lambda: 0  # set by the web server

    def build_app(self) -> Starlette:
        """Return the application."""
        routes = [
            Route(RECOMMEND, self.counted(RECOMMEND, self.recommend), methods=["POST"]),
            Route(HEALTH, self.counted(HEALTH, self.health)),
            Route(METRICS, self.counted(METRICS, self.show_metrics)),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self.reject_route})
        app.router.redirect_slashes = False  # serving-R10: /health/ is another path
        return app

    def counted(self, path: str, handler: Handler) -> Handler:
        """Return a handler that counts requests and answers errors as JSON."""

        async def handle(request: Request) -> Response:
            start = time.perf_counter()
            try:
                if self.open_connections() > self.connections:  # serving-R17
                    response = overload_response(*self.connection_overload)
                    response.headers["Connection"] = "close"
                else:
                    response = await handler(request)
            except RequestError as error:
                response = error_response(error.status, str(error))
            except (DataError, ConfigError) as error:
                response = error_response(422, str(error))
            except ClientDisconnect:
                raise
            except Exception as error:  # serving-R10
                self.log(f"{path}: {' '.join(f'{type(error).__name__}: {error}'.split())}")
                response = error_response(500, "internal error; the log of the service has it")
            except asyncio.CancelledError:  # the service does not wait any longer
                # serving-R13
                response = overload_response(*STOPPED)
            seconds = time.perf_counter() - start
            self.metrics.count_request(path, response.status_code, seconds)  # serving-R15
            return response

        return handle

    async def recommend(self, request: Request) -> Response:
        """Answer POST /recommend."""
        check_content_type(request.headers.get("content-type", ""))
        recommend_request = parse_request(await read_body(request))
        if self.pending >= self.max_pending:  # serving-R14
            return overload_response("a free worker thread", f"{self.pending} pending requests")
        self.pending += 1
        self.metrics.pending.set(self.pending)
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self.workers, self.answer_bytes, recommend_request)
        finally:
            self.pending -= 1
            self.metrics.pending.set(self.pending)
        self.metrics.histories.inc(len(recommend_request.histories))
        return Response(content, media_type=CONTENT_TYPE)

    def answer_bytes(self, request: RecommendRequest) -> bytes:
        """Return the answer of a request as JSON; called in a worker thread."""
        return encode_json(self.answer(request))

    async def health(self, request: Request) -> Response:
        """Answer GET /health. The port opens after the model is loaded, so the service is ready."""
        return Response(encode_json({"status": "ok", **self.facts}), media_type=CONTENT_TYPE)

    async def show_metrics(self, request: Request) -> Response:
        """Answer GET /metrics."""
        return Response(self.metrics.render_text(), headers={"content-type": TEXT_FORMAT})

    async def reject_route(self, request: Request, error: HTTPException) -> Response:
        """Answer a request for an unknown path, or with another method."""
        self.metrics.count_request(OTHER, error.status_code)
        routes = f"POST {RECOMMEND}, GET {HEALTH} or GET {METRICS}"
        message = say("path", routes, f"{request.method} {request.url.path}")
        return error_response(error.status_code, message, dict(error.headers or {}))

    def malformed_response(self, message: str = MALFORMED) -> bytes:
        """Return, and count, the answer to bytes that are not a request of HTTP/1.1."""
        self.metrics.count_request(OTHER, 400)  # serving-R15
        return raw_response("400 Bad Request", message)

    def late_head_bytes(self) -> bytes:
        """Return, and count, the answer to a head that does not arrive in time."""
        self.metrics.count_request(OTHER, 408)
        expected = f"a complete head within {READ_SECONDS:g} seconds"
        return raw_response("408 Request Timeout", say("request", expected, "a part"))

    def overload_bytes(self) -> bytes:
        """Return, and count, the answer to a connection whose request is not read."""
        return self.unavailable_bytes(*self.connection_overload)

    def stop_bytes(self) -> bytes:
        """Return, and count, the answer to a request whose head was not read before a stop."""
        return self.unavailable_bytes(*STOPPED)

    def unavailable_bytes(self, expected: str, got: str) -> bytes:
        """Return, and count, an answer with status 503."""
        self.metrics.count_request(OTHER, 503)
        message = overload_message(expected, got)
        fields = [f"retry-after: {RETRY_SECONDS}"]
        return raw_response("503 Service Unavailable", message, fields)

    @property
    def connection_overload(self) -> tuple[str, str]:
        """The expected and the actual number of connections, for an error."""
        return f"at most {self.connections} connections", "more"


def check_content_type(value: str) -> None:
    """Raise RequestError for another type. A web page of another origin cannot send this type."""
    if value.partition(";")[0].strip().lower() != CONTENT_TYPE:  # serving-R16
        got = repr(value[:80]) if value else "none"
        raise RequestError(415, say("content-type", CONTENT_TYPE, got))


async def read_body(request: Request) -> bytes:
    """Return the body. Raises RequestError for a body that is too large or too slow."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY:  # serving-R11
        raise body_too_large(f"{declared[:20]} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:  # serving-R11
                    raise body_too_large("more")
    except TimeoutError:
        expected = f"all bytes within {READ_SECONDS:g} seconds"
        raise RequestError(408, say("body", expected, f"{len(body)} bytes")) from None
    return bytes(body)


def body_too_large(got: str) -> RequestError:
    """Return the error of a body above the limit."""
    todo = "send several requests"
    return RequestError(413, say("body", f"at most {MAX_BODY:,} bytes", got, todo))


def overload_response(expected: str, got: str) -> Response:
    """Return the error of a service that has too much to do."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return error_response(503, overload_message(expected, got), headers)


def overload_message(expected: str, got: str) -> str:
    """Return the message of a service that has too much to do."""
    return say("service", expected, got, "retry")


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as JSON."""
    return Response(encode_json({"error": message}), status, headers, CONTENT_TYPE)


def raw_response(status: str, message: str, fields: Sequence[str] = ()) -> bytes:
    """Return an error as JSON with its head, for a connection that is then closed."""
    content = encode_json({"error": message})
    head = [
        f"HTTP/1.1 {status}",
        f"content-type: {CONTENT_TYPE}",
        f"content-length: {len(content)}",
        "connection: close",
        *fields,
    ]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode() + content


def encode_json(values: Any) -> bytes:
    """Return JSON in ASCII: ids may have characters that UTF-8 cannot encode."""
    return json.dumps(values, allow_nan=False).encode("ascii")
