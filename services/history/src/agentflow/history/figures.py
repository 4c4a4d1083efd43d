"""What history tells about itself: how far it is, how far behind, what it put aside."""

import time

from agentflow.telemetry.metrics import Metrics


class Figures:
    """The metrics of one history instance."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.counter("history_events", "Events projected")
        self._aside = metrics.counter(
            "history_put_aside", "Events that cannot be projected, in the dead letters", ["code"]
        )
        self._sequence = metrics.gauge(
            "history_projected_sequence", "Place in the stream of the newest projected event"
        )
        self._lag = metrics.gauge(
            "history_lag_seconds", "From an event's storing to its commit, newest of the last batch"
        )
        self._batch = metrics.histogram(
            "history_batch_events", "Events per batch", buckets=(1, 5, 20, 50, 100, 200, 500, 1000)
        )
        self._held = metrics.gauge("history_held", "1 while the database does not take events")

    def projected(self, count: int, sequence: int, stored_at: float) -> None:
        """A batch is committed; `stored_at`: Unix seconds of its newest event."""
        self._events.inc(count)
        self._batch.observe(count)
        self._sequence.set(sequence)
        self._lag.set(max(0.0, time.time() - stored_at))

    def put_aside(self, code: str) -> None:
        self._aside.labels(code=code).inc()

    def held(self, held: bool) -> None:
        self._held.set(1 if held else 0)
