"""Figures: a registry for each service, no label without a bound."""

import pytest

from agentflow.telemetry.metrics import Metrics, UnboundedLabel, make_registry


def test_two_instances_of_one_service_do_not_meet() -> None:
    one, two = Metrics("executor"), Metrics("executor")
    for metrics in (one, two):
        metrics.counter("nodes", "Nodes run.", ["node_type"]).labels("llm").inc()
    one.gauge("running", "Running now.").set(7)
    text = one.render().decode()
    assert 'agentflow_nodes_total{node_type="llm"} 1.0' in text
    assert "agentflow_running 7.0" in text
    assert "agentflow_running" not in two.render().decode()
    assert 'agentflow_service_up{service="executor"} 1.0' in text


def test_the_process_is_measured_unless_told_otherwise() -> None:
    assert b"process_resident_memory_bytes" in Metrics("x").render()
    assert b"process_" not in Metrics("x", make_registry(process=False)).render()


def test_a_histogram_counts_in_seconds() -> None:
    metrics = Metrics("x", make_registry(process=False))
    metrics.histogram("hop_seconds", "One hop.").observe(0.004)
    text = metrics.render().decode()
    assert 'agentflow_hop_seconds_bucket{le="0.0025"} 0.0' in text
    assert 'agentflow_hop_seconds_bucket{le="0.005"} 1.0' in text


@pytest.mark.parametrize("label", ["execution_id", "id", "node_ids", "subject", "url", "api_key"])
def test_labels_without_a_bound_are_refused(label: str) -> None:
    metrics = Metrics("x", make_registry(process=False))
    for make in (metrics.counter, metrics.gauge, metrics.histogram):
        with pytest.raises(UnboundedLabel, match=label):
            make("things", "Things.", [label])


def test_bounded_labels_are_taken() -> None:
    metrics = Metrics("x", make_registry(process=False))
    metrics.counter("things", "Things.", ["outcome", "pool", "route", "status", "tenant"])
