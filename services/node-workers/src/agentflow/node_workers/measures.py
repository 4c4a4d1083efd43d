"""What a worker counts. No ids in labels."""

from collections.abc import Callable

from agentflow.telemetry.metrics import Metrics


class Measures:
    """Counters and gauges of one worker process."""

    def __init__(self, metrics: Metrics, running: Callable[[], float]) -> None:
        """`running` tells how many nodes run now."""
        self._ended = metrics.counter("node_attempts", "attempts ended", ["type", "outcome"])
        self._seconds = metrics.histogram("node_seconds", "run time of attempts", ["type"])
        metrics.gauge("nodes_running", "nodes being run now").set_function(running)
        self.cut = metrics.counter("nodes_cut", "nodes cut because their execution ended")
        self.dropped = metrics.counter("tasks_dropped", "tasks that came too late to matter")

    def ended(self, node_type: str, outcome: str, seconds: float) -> None:
        """One attempt has ended as completed, retrying, failed, timed_out or cancelled."""
        self._ended.labels(node_type, outcome).inc()
        self._seconds.labels(node_type).observe(seconds)
