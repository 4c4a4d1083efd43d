"""Traces: one road through all services, told by the W3C `traceparent` header.

Nothing is exported, and no SDK is loaded, unless an OTLP endpoint is set. While tracing is
off `inject`, `extract` and `span` cost next to nothing: they sit on the hot path.
Each service has a provider of its own, found through the context, never a global one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

AttributeValue = str | bool | int | float
_PROPAGATOR = TraceContextTextMapPropagator()
_current: ContextVar["Tracing | None"] = ContextVar("agentflow_tracing", default=None)


class Tracing:
    """The tracer of one service; without a provider it does nothing, quickly."""

    def __init__(self, service: str, provider: "TracerProvider | None" = None) -> None:
        self.service = service
        self._provider = provider
        self._tracer = provider.get_tracer("agentflow") if provider is not None else None

    @property
    def enabled(self) -> bool:
        return self._tracer is not None

    @contextmanager
    def span(
        self,
        name: str,
        parent_headers: Mapping[str, str] | None = None,
        **attributes: AttributeValue,
    ) -> Iterator[Span]:
        """A span around the block: child of the headers' span, else of the running one."""
        if self._tracer is None:
            yield trace.INVALID_SPAN
            return
        parent = _context_of(parent_headers) if parent_headers else None
        with self._tracer.start_as_current_span(name, parent, attributes=attributes) as span:
            yield span

    def shutdown(self) -> None:
        """Send what is left; blocks for at most a few seconds. Safe to repeat."""
        provider, self._provider, self._tracer = self._provider, None, None
        if provider is not None:
            provider.force_flush(timeout_millis=3000)
            provider.shutdown()


def configure_tracing(
    service: str,
    otlp_endpoint: str | None = None,
    sampling_ratio: float = 0.1,
    exporter: "SpanExporter | None" = None,
) -> Tracing:
    """The tracing of `service`, made current for this context and the tasks started from it.

    `otlp_endpoint` is the base URL of an OTLP/HTTP collector; `exporter` replaces it (tests).
    """
    provider = None
    if otlp_endpoint is not None or exporter is not None:
        provider = _provider(service, otlp_endpoint, sampling_ratio, exporter)
    tracing = Tracing(service, provider)
    _current.set(tracing)
    return tracing


@contextmanager
def span(
    name: str, parent_headers: Mapping[str, str] | None = None, **attributes: AttributeValue
) -> Iterator[Span]:
    """A span of the current context's service; an inert one when tracing is off."""
    tracing = _current.get()
    if tracing is None or not tracing.enabled:
        yield trace.INVALID_SPAN
        return
    with tracing.span(name, parent_headers, **attributes) as running:
        yield running


def inject() -> dict[str, str]:
    """Headers that carry the running span to the next service; empty when there is none."""
    running = trace.get_current_span()
    if running is trace.INVALID_SPAN or not running.get_span_context().is_valid:
        return {}
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def extract(headers: Mapping[str, str] | None) -> Context | None:
    """The caller's trace context; None when tracing is off or the headers hold none."""
    tracing = _current.get()
    if not headers or tracing is None or not tracing.enabled:
        return None
    return _context_of(headers)


def _context_of(headers: Mapping[str, str]) -> Context | None:
    parent = headers.get("traceparent") or headers.get("Traceparent")
    if not parent:
        return None
    carrier = {"traceparent": parent}
    state = headers.get("tracestate") or headers.get("Tracestate")
    if state:
        carrier["tracestate"] = state
    return _PROPAGATOR.extract(carrier)


def _provider(
    service: str,
    otlp_endpoint: str | None,
    sampling_ratio: float,
    exporter: "SpanExporter | None",
) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{(otlp_endpoint or '').rstrip('/')}/v1/traces")
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(sampling_ratio)),
        resource=Resource.create({"service.name": f"agentflow-{service}"}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
