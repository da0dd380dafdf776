"""Prometheus metrics of one service, over all its processes when they share a directory."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
METRICS_MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNMATCHED_ROUTE = "unmatched"

_LATENCY_BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Request counts and latencies; a service adds its own metrics to `registry`.

    With PROMETHEUS_MULTIPROC_DIR set (before the process imports this module), every process
    writes to files there and any one of them can report for all.
    """

    def __init__(self, service: str) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        # Looking a child up by its labels costs more than counting.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        labels = ("service", "method", "route", "status")
        self._requests = Counter(
            "fairdrop_http_requests", "Requests answered.", labels, registry=self.registry
        )
        self._latency = Histogram(
            "fairdrop_http_request_seconds",
            "Time from the request's headers to the end of the answer.",
            labels,
            buckets=_LATENCY_BUCKETS_S,
            registry=self.registry,
        )

    def observe(self, method: str, route: str, status: int, elapsed_s: float) -> None:
        """Count one answer. `route` is the template, never the path, so that labels stay few."""
        known_method = method if method in _METHODS else "OTHER"
        key = (known_method, route, status)
        children = self._children.get(key)
        if children is None:
            labels = (self._service, known_method, route, str(status))
            children = self._requests.labels(*labels), self._latency.labels(*labels)
            self._children[key] = children
        requests, latency = children
        requests.inc()
        latency.observe(elapsed_s)

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        MultiProcessCollector(merged)  # type: ignore[no-untyped-call]  # half typed
        return generate_latest(merged)
