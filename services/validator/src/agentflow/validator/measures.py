"""What the validator counts."""

from agentflow.telemetry.metrics import Metrics


class Measures:
    """The validator's figures."""

    def __init__(self, metrics: Metrics) -> None:
        self.reports = metrics.counter("validator_reports", "Questions answered", ("verdict",))
        self.seconds = metrics.histogram("validator_seconds", "Time to check one workflow")
