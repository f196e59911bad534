"""The routes of the service and their description for other programs (OpenAPI 3.1).

A test compares the description with the routes and with the fields that are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import mindref
from mindref.recommender.serving.list_request import ListRequest
from mindref.service.request_body import CONTENT_TYPE, MAX_HISTORIES, MAX_N

RECOMMEND, SIMILAR, RELOAD = "/recommend", "/similar", "/reload"
HEALTH, METRICS, OPENAPI = "/health", "/metrics", "/openapi.json"

ID = {"type": ["string", "integer"]}
IDS = {"type": "array", "items": ID}
OPTIONAL_IDS = {"type": ["array", "null"], "items": ID}
LENGTH = {"type": "integer", "minimum": 1, "maximum": MAX_N}
LIST_OPTIONS = {
    "n": {**LENGTH, "default": ListRequest.n}, "only": OPTIONAL_IDS, "exclude": OPTIONAL_IDS,
}  # fmt: skip
RECOMMEND_FIELDS = {
    "user": ID,
    "history": {**IDS, "description": "item ids, oldest first"},
    "histories": {"type": "array", "items": IDS, "minItems": 1, "maxItems": MAX_HISTORIES},
    **LIST_OPTIONS,
    "per_interest": {**LENGTH, "type": ["integer", "null"]},
    "exclude_seen": {"type": ["boolean", "null"]},
}
SIMILAR_FIELDS = {"item": ID, **LIST_OPTIONS}
ONE_SUBJECT = [{"required": [name]} for name in ("user", "history", "histories")]


class Endpoint(NamedTuple):
    """A route: its method, its description, and the schema of its body."""

    method: str
    summary: str
    body: dict[str, Any] | None = None


ROUTES = {
    RECOMMEND: Endpoint(
        "POST",
        "Top-n items of a user, a history or several histories",
        {"properties": RECOMMEND_FIELDS, "oneOf": ONE_SUBJECT},
    ),
    SIMILAR: Endpoint(
        "POST", "Items similar to an item", {"properties": SIMILAR_FIELDS, "required": ["item"]}
    ),
    RELOAD: Endpoint("POST", "Load the run directory again", {"properties": {}}),
    HEALTH: Endpoint("GET", "State and model"),
    METRICS: Endpoint("GET", "Counters for Prometheus"),
    OPENAPI: Endpoint("GET", "This description"),
}
"""Path -> route. Spec: specs/serving.md."""


def describe_api(routes: Mapping[str, Endpoint]) -> dict[str, Any]:
    """Return the description of these routes as JSON values."""
    error = {"properties": {"error": {"type": "string"}}, "required": ["error"]}
    failed = {"description": "An error", "content": {CONTENT_TYPE: {"schema": error}}}
    paths = {}
    for path, route in routes.items():
        operation: dict[str, Any] = {"summary": route.summary}
        if route.body is not None:
            schema = {"type": "object", "additionalProperties": False, **route.body}
            body = {"required": True, "content": {CONTENT_TYPE: {"schema": schema}}}
            operation["requestBody"] = body
        operation["responses"] = {"200": {"description": "The answer"}, "default": failed}
        paths[path] = {route.method.lower(): operation}
    info = {"title": "mindref serve", "version": mindref.__version__}
    return {"openapi": "3.1.0", "info": info, "paths": paths}
