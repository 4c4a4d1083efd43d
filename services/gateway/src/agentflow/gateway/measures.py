"""What the gateway counts. Labels are routes and statuses, never ids."""

from agentflow.telemetry.metrics import Metrics

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Measures:
    """The gateway's figures; `metrics` is the registry they live in."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._requests = metrics.counter(
            "gateway_requests", "Requests answered", ("method", "route", "status")
        )
        self._seconds = metrics.histogram(
            "gateway_request_seconds", "Time to the end of the response", ("method", "route")
        )
        self.waiting = metrics.gauge("gateway_waiting", "Requests waiting for an execution to end")
        self.streams = metrics.gauge("gateway_event_streams", "Open event streams")
        self.submitted = metrics.counter(
            "gateway_executions_submitted", "Execute commands stored", ("mode",)
        )
        self.replayed = metrics.counter(
            "gateway_idempotent_replays", "Requests answered from an Idempotency-Key"
        )
        self.auth_failures = metrics.counter(
            "gateway_auth_failures", "Requests refused for their API key", ("reason",)
        )
        self.validator_silent = metrics.counter(
            "gateway_validator_silent", "Executes that went on without the validator's answer"
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. Status 0: the client left before the answer."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)
