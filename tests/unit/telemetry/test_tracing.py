"""Traces: the road through the services, and nothing when nobody listens."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentflow.telemetry import tracing as module
from agentflow.telemetry.tracing import Tracing, configure_tracing, extract, inject, span

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=1"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> Iterator[Tracing]:
    running = configure_tracing("executor", sampling_ratio=0.0, exporter=exported)
    yield running
    running.shutdown()


def test_without_an_endpoint_tracing_is_off_and_leaves_no_headers() -> None:
    off = configure_tracing("executor")
    assert not off.enabled
    with span("work", SAMPLED, node_type="llm") as running:
        assert running is trace.INVALID_SPAN
        assert inject() == {}
    with off.span("work", SAMPLED):
        assert inject() == {}
    assert extract(SAMPLED) is None
    off.shutdown()


def test_while_off_nothing_of_the_propagator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hot path's promise, without a clock: the costly part is not reached."""
    monkeypatch.setattr(module, "_PROPAGATOR", None)
    configure_tracing("executor")
    assert inject() == {}
    assert extract(SAMPLED) is None
    with span("x", SAMPLED):
        pass


def test_a_span_continues_the_callers_trace_and_hands_it_on(
    tracing: Tracing, exported: InMemorySpanExporter
) -> None:
    with span("run node", SAMPLED, node_type="llm"):
        headers = inject()
        with span("call provider"):
            pass
    tracing.shutdown()
    inner, outer = exported.get_finished_spans()
    assert headers["traceparent"].split("-")[1] == TRACE
    assert headers["tracestate"] == "vendor=1"
    assert (outer.name, inner.name) == ("run node", "call provider")
    assert outer.context is not None
    assert outer.context.trace_id == int(TRACE, 16)
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert dict(outer.attributes or {}) == {"node_type": "llm"}
    assert outer.resource.attributes["service.name"] == "agentflow-executor"


def test_the_callers_decision_not_to_sample_is_followed_and_handed_on(
    exported: InMemorySpanExporter,
) -> None:
    running = configure_tracing("x", sampling_ratio=1.0, exporter=exported)
    with span("work", NOT_SAMPLED):
        assert inject()["traceparent"].endswith("-00")
        assert inject()["traceparent"].split("-")[1] == TRACE
    running.shutdown()
    assert exported.get_finished_spans() == ()


def test_root_spans_are_kept_by_the_ratio(exported: InMemorySpanExporter) -> None:
    for ratio, kept in ((0.0, 0), (1.0, 20)):
        exported.clear()
        running = configure_tracing("x", sampling_ratio=ratio, exporter=exported)
        for _ in range(20):
            with running.span("root"):
                pass
        module_provider_flush(running)
        assert len(exported.get_finished_spans()) == kept
        running.shutdown()
        exported = InMemorySpanExporter()


def module_provider_flush(running: Tracing) -> None:
    assert running._provider is not None
    running._provider.force_flush()


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"traceparent": ""},
        {"traceparent": "garbage"},
        {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {"traceparent": "ff-" + TRACE + "-b7ad6b7169203331-01"},
        {"traceparent": "\x00" * 100},
        {"traceparent": "00-" + "a" * 100_000},
    ],
)
def test_a_strangers_trace_header_can_be_anything(
    tracing: Tracing, headers: dict[str, str] | None
) -> None:
    with span("work", headers) as running:
        assert running.get_span_context().is_valid
        assert format(running.get_span_context().trace_id, "032x") != TRACE
    extract(headers)


def test_header_names_are_found_in_either_spelling(tracing: Tracing) -> None:
    context = extract({"Traceparent": SAMPLED["traceparent"], "Tracestate": "vendor=1"})
    assert trace.get_current_span(context).get_span_context().trace_id == int(TRACE, 16)


def test_an_error_inside_a_span_is_on_it_and_goes_on(
    exported: InMemorySpanExporter,
) -> None:
    running = configure_tracing("x", sampling_ratio=1.0, exporter=exported)
    with pytest.raises(ValueError, match="broken"), span("work"):
        raise ValueError("broken")
    running.shutdown()
    (failed,) = exported.get_finished_spans()
    assert not failed.status.is_ok


def test_two_services_in_one_process_have_providers_of_their_own() -> None:
    one, two = InMemorySpanExporter(), InMemorySpanExporter()
    first = configure_tracing("gateway", sampling_ratio=1.0, exporter=one)
    second = configure_tracing("audit", sampling_ratio=1.0, exporter=two)
    with first.span("a"), second.span("b"):
        pass
    first.shutdown()
    first.shutdown()
    second.shutdown()
    assert [s.name for s in one.get_finished_spans()] == ["a"]
    assert [s.name for s in two.get_finished_spans()] == ["b"]
    with first.span("after shutdown") as running:
        assert running is trace.INVALID_SPAN


def test_shutdown_sends_what_is_left_to_a_real_collector() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    running = configure_tracing("x", f"http://127.0.0.1:{server.server_port}/", sampling_ratio=1.0)
    with running.span("seen by the collector"):
        pass
    running.shutdown()
    server.shutdown()
    thread.join()
    server.server_close()
    ((path, body),) = received
    assert path == "/v1/traces"
    assert b"seen by the collector" in body
    assert b"agentflow-x" in body
