"""What audit tells about itself: how much it recorded, what it put aside."""

from agentflow.telemetry.metrics import Metrics


class Figures:
    """The metrics of one audit instance."""

    def __init__(self, metrics: Metrics) -> None:
        self._records = metrics.counter("audit_records", "Records appended")
        self._aside = metrics.counter(
            "audit_put_aside", "Messages that cannot be recorded, in the dead letters", ["code"]
        )
        self._held = metrics.gauge("audit_held", "1 while the database does not take records")

    def recorded(self, count: int) -> None:
        self._records.inc(count)

    def put_aside(self, code: str) -> None:
        self._aside.labels(code=code).inc()

    def held(self, held: bool) -> None:
        self._held.set(1 if held else 0)
