"""The HTTP service of `mindref serve`: recommendations for histories, health and metrics.

request_body   fields and limits of a request, without a web library
answers        lists of a request, computed with a trained model
connections    number of connections, from the limit of open files
metrics        counters for Prometheus
app            the web application: routes, limits, worker threads, errors as JSON
web_server     uvicorn, stopped by mindref
json_protocol  one connection: JSON for malformed requests, and a limit of time
server         the process: model, socket, web server

Spec: specs/serving.md. The libraries of the extra `serve` are imported in `metrics`, `app` and
`web_server`.
"""
