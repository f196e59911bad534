"""The web application: routes, limits, worker threads, errors as JSON, and counters.

Spec: specs/serving.md. A request is computed in one of a fixed number of threads; the event loop
only reads and writes. Limits of connections, heads and malformed requests are uvicorn's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mindref.errors import ConfigError, DataError, MindrefError, say
from mindref.service.answers import HistoryAnswers
from mindref.service.openapi import (
    HEALTH,
    METRICS,
    OPENAPI,
    RECOMMEND,
    RELOAD,
    ROUTES,
    SIMILAR,
    describe_api,
)
from mindref.service.request_body import (
    CONTENT_TYPE,
    MAX_BODY,
    RequestError,
    parse_request,
    parse_similar,
)

WAITING = 32  # requests that wait for a worker thread, for each thread
RETRY_SECONDS = 1  # of a rejected request
OTHER = "other"  # the path of requests for other paths

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, in seconds."""

Handler = Callable[[Request], Awaitable[Response]]


class ServiceMetrics:
    """Counters of one service. Errors are the requests whose status is 400 or more."""

    def __init__(self, step: int) -> None:
        registry = CollectorRegistry()
        self.requests = Counter(
            "mindref_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "mindref_request_seconds",
            "Seconds from the first byte to the answer.",
            ["path"],
            registry=registry,
            buckets=BUCKETS,
        )
        self.histories = Counter(
            "mindref_histories", "Histories with an answer.", registry=registry
        )
        self.pending = Gauge(
            "mindref_requests_pending",
            "Requests that are computed or wait for a thread.",
            registry=registry,
        )
        text = "Training step of the model."
        self.step = Gauge("mindref_model_step", text, registry=registry)
        self.step.set(step)
        self.registry = registry


class Service:
    """The handlers of the routes.

    answers: computes the JSON values of requests; is called by several threads at once. load:
    returns the answers of the run directory as it is now. log: receives a line for each unexpected
    error. reloads: whether /reload is a route.
    """

    def __init__(
        self,
        answers: HistoryAnswers,
        load: Callable[[], HistoryAnswers],
        threads: int,
        log: Callable[[str], None],
        *,
        reloads: bool = True,
    ) -> None:
        # security-R19
        self.routes = {path: x for path, x in ROUTES.items() if reloads or path != RELOAD}
        self.answers, self.load, self.log = answers, load, log
        self.metrics = ServiceMetrics(answers.facts()["step"])
        self.workers = ThreadPoolExecutor(threads, "mindref-serve")
        self.loader = ThreadPoolExecutor(1, "mindref-reload")
        self.max_pending = threads * (1 + WAITING)
        # changed by the event loop only
        self.pending, self.is_loading = 0, False

    def build_app(self) -> Starlette:
        """Return the application."""
        handlers = {
            RECOMMEND: self.recommend,
            SIMILAR: self.similar,
            RELOAD: self.reload,
            HEALTH: self.health,
            METRICS: self.show_metrics,
            OPENAPI: self.show_description,
        }
        routes = [
            Route(path, self.counted(path, handlers[path]), methods=[route.method])
            for path, route in self.routes.items()
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self.reject_route})
        app.router.redirect_slashes = False  # serving-R10: /health/ is another path
        return app

    def counted(self, path: str, handler: Handler) -> Handler:
        """Return a handler that counts requests and answers errors as JSON."""

        async def handle(request: Request) -> Response:
            start = time.perf_counter()
            try:
                response = await handler(request)
            except RequestError as error:
                response = error_response(error.status, str(error))
            except (DataError, ConfigError) as error:
                response = error_response(422, str(error))
            except ClientDisconnect:
                raise
            except Exception as error:  # serving-R22
                self.log(f"{path}: {' '.join(f'{type(error).__name__}: {error}'.split())}")
                response = error_response(500, "internal error; the log of the service has it")
            except asyncio.CancelledError:  # the service does not wait any longer
                # serving-R13
                response = overload_response("a service that runs", "a service that stops")
            seconds = time.perf_counter() - start
            self.metrics.requests.labels(path, str(response.status_code)).inc()  # serving-R15
            self.metrics.seconds.labels(path).observe(seconds)
            return response

        return handle

    async def recommend(self, request: Request) -> Response:
        """Answer POST /recommend."""
        recommend_request = parse_request(await read_json_body(request))
        answers, lists = self.answers, recommend_request.lists
        response = await self.compute(lambda: answers(recommend_request))
        if response.status_code == 200:
            self.metrics.histories.inc(len(lists.histories or lists.users or ()))
        return response

    async def similar(self, request: Request) -> Response:
        """Answer POST /similar."""
        similar_request = parse_similar(await read_json_body(request))
        answers = self.answers
        return await self.compute(lambda: answers.similar(similar_request))

    async def compute(self, answer: Callable[[], dict[str, Any]]) -> Response:
        """Return the JSON values of a function that a worker thread calls."""
        if self.pending >= self.max_pending:  # serving-R14
            return overload_response("a free worker thread", f"{self.pending} pending requests")
        self.pending += 1
        self.metrics.pending.set(self.pending)
        try:
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self.workers, lambda: encode_json(answer()))
        finally:
            self.pending -= 1
            self.metrics.pending.set(self.pending)
        return Response(content, media_type=CONTENT_TYPE)

    async def reload(self, request: Request) -> Response:
        """Answer POST /reload: the requests after it are answered with the run as it is now."""
        await read_json_body(request)
        if self.is_loading:
            return overload_response("one reload at a time", "another one")
        self.is_loading = True
        try:
            loop = asyncio.get_running_loop()
            answers = await loop.run_in_executor(self.loader, self.load)
        except MindrefError as error:
            self.log(f"reload: {error}")
            todo = "the earlier model stays; the log of the service has the reason"
            message = say("reload", "a run that can be loaded", "another one", todo)
            return error_response(409, message)
        finally:
            self.is_loading = False
        self.answers = answers  # serving-R19: requests in progress keep the earlier object
        self.metrics.step.set(answers.facts()["step"])
        return await self.health(request)

    async def health(self, request: Request) -> Response:
        """Answer GET /health. The port opens after the model is loaded, so the service is ready."""
        facts = {"status": "ok", **self.answers.facts()}
        return Response(encode_json(facts), media_type=CONTENT_TYPE)

    async def show_description(self, request: Request) -> Response:
        """Answer GET /openapi.json."""
        return Response(
            encode_json(describe_api(self.routes)), media_type=CONTENT_TYPE
        )  # serving-R20

    async def show_metrics(self, request: Request) -> Response:
        """Answer GET /metrics."""
        text = generate_latest(self.metrics.registry)
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    async def reject_route(self, request: Request, error: HTTPException) -> Response:
        """Answer a request for an unknown path, or with another method."""
        self.metrics.requests.labels(OTHER, str(error.status_code)).inc()
        routes = " or ".join(f"{route.method} {path}" for path, route in self.routes.items())
        message = say("path", routes, f"{request.method} {request.url.path}")
        return error_response(error.status_code, message, dict(error.headers or {}))


async def read_json_body(request: Request) -> bytes:
    """Return the body. Raises RequestError for another content type, and for a large body."""
    content_type = request.headers.get("content-type", "")
    # a web page of another origin cannot send this type
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:  # serving-R16
        got = repr(content_type[:80]) if content_type else "none"
        raise RequestError(415, say("content-type", CONTENT_TYPE, got))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:  # serving-R11
            message = say("body", f"at most {MAX_BODY:,} bytes", "more", "send several requests")
            raise RequestError(413, message)
    return bytes(body)


def overload_response(expected: str, got: str) -> Response:
    """Return the error of a service that has too much to do."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return error_response(503, say("service", expected, got, "retry"), headers)


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as JSON."""
    return Response(encode_json({"error": message}), status, headers, CONTENT_TYPE)


def encode_json(values: Any) -> bytes:
    """Return JSON in ASCII: ids may have characters that UTF-8 cannot encode."""
    return json.dumps(values, allow_nan=False).encode("ascii")
