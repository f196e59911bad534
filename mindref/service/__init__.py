"""The HTTP service of `mindref serve`: recommendations for histories, health and metrics.

request_body   fields and limits of a request, without a web library
answers        lists of a request, computed with a trained model
metrics        counters for Prometheus
app            the web application: routes, limits, worker threads, errors as JSON
web_server     uvicorn with its limits, stopped by mindref
server         the process: model, socket, web server

Spec: specs/serving.md. The libraries of the extra `serve` are imported in `metrics`, `app` and
`web_server`.
"""
