"""Counters of the service in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the latency histogram, in seconds."""

TEXT_FORMAT = CONTENT_TYPE_LATEST


class ServiceMetrics:
    """Counters of one service. Errors are the requests whose status is 400 or more."""

    def __init__(self, step: int) -> None:
        self.registry = CollectorRegistry()
        by_path = {"labelnames": ["path"], "registry": self.registry}
        self.requests = Counter(
            "mindref_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "mindref_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            buckets=BUCKETS,
            **by_path,
        )
        self.histories = Counter(
            "mindref_histories", "Histories with an answer.", registry=self.registry
        )
        self.pending = Gauge(
            "mindref_requests_pending",
            "Requests that are computed or wait for a worker thread.",
            registry=self.registry,
        )
        Gauge("mindref_model_step", "Training step of the model.", registry=self.registry).set(step)

    def count_request(self, path: str, status: int, seconds: float | None = None) -> None:
        """Count one request. seconds: its latency, None if it was not measured."""
        self.requests.labels(path, str(status)).inc()
        if seconds is not None:  # serving-R15
            self.seconds.labels(path).observe(seconds)

    def render_text(self) -> bytes:
        """Return all counters as text."""
        return bytes(generate_latest(self.registry))
