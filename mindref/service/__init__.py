"""The HTTP service of `mindref serve`: recommendations for histories, health and metrics.

request_body   fields and limits of a request, without a web library
answers        lists of a request, computed with a trained model
openapi        the routes and their description
app            the web application: routes, limits, worker threads, errors as JSON, counters
server         the process: model, socket, uvicorn

Spec: specs/serving.md. The libraries of the extra `serve` are imported in `app` and `server`.
"""
