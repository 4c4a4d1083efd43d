"""What the executor counts. No ids in labels."""

from agentflow.telemetry.metrics import Metrics


class Measures:
    """Counters and gauges of one executor process."""

    def __init__(self, metrics: Metrics) -> None:
        self.in_flight = metrics.gauge("executions_in_flight", "executions owned by this executor")
        self.ended = metrics.counter("executions", "executions ended", ["status"])
        self.duration = metrics.histogram(
            "execution_seconds", "time from started to ended", ["status"]
        )
        self.dispatched = metrics.counter("tasks_dispatched", "node tasks published", ["type"])
        self.decided = metrics.counter("nodes_decided", "pure nodes decided in place", ["type"])
        self.resumed = metrics.counter("executions_resumed", "executions taken over")
        self.swept = metrics.counter("tasks_swept", "tasks nobody would ever have run, deleted")
        self.reread = metrics.counter("log_rereads", "logs read again after a gap or silence")
