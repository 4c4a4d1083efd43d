"""Figures of one service instance, in a registry of its own.

Several services may live in one process and tests start many: nothing is registered
globally. Labels never hold ids: each new value would be a time series kept for ever.
"""

import re
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Default histogram bounds, in seconds: one hop is milliseconds, an LLM call minutes."""
_UNBOUNDED = re.compile(r"(?:^|_)(?:id|ids|uuid|subject|url|path|query|key|email)$")


class UnboundedLabel(ValueError):
    """A metric label that would hold ids, subjects or other open-ended values."""


def make_registry(process: bool = True) -> CollectorRegistry:
    """An empty registry; with `process` it also tells memory, CPU and garbage collection."""
    registry = CollectorRegistry(auto_describe=True)
    if process:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
    return registry


class Metrics:
    """The metrics of one service: `agentflow_<name>` with the constant label of the service."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None) -> None:
        self.service = service
        self.registry = registry if registry is not None else make_registry()
        build = Gauge(
            "agentflow_service_up",
            "1 while this service runs",
            ["service"],
            registry=self.registry,
        )
        build.labels(service=service).set(1)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Counts up only; the name ends up with `_total`."""
        return Counter(f"agentflow_{name}", text, _bounded(labels), registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A figure that goes up and down."""
        return Gauge(f"agentflow_{name}", text, _bounded(labels), registry=self.registry)

    def histogram(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS,
    ) -> Histogram:
        """A distribution; seconds unless the name says otherwise."""
        return Histogram(
            f"agentflow_{name}", text, _bounded(labels), buckets=buckets, registry=self.registry
        )

    def render(self) -> bytes:
        """What /metrics answers."""
        return render(self.registry)


def render(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus' text format."""
    return generate_latest(registry)


def _bounded(labels: Sequence[str]) -> Sequence[str]:
    for label in labels:
        if _UNBOUNDED.search(label):
            raise UnboundedLabel(
                f"The label {label!r} has no bound on its values: every new one is a new time "
                "series. Put it into the log line or the trace instead."
            )
    return labels
