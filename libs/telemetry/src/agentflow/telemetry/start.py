"""One call that turns on logs, traces and metrics of a service, and says what is odd."""

import logging
from dataclasses import dataclass

from agentflow.telemetry.logging import configure_logging
from agentflow.telemetry.metrics import Metrics
from agentflow.telemetry.settings import TelemetrySettings
from agentflow.telemetry.tracing import Tracing, configure_tracing


@dataclass(frozen=True)
class Telemetry:
    """What a service instance tells about itself with."""

    service: str
    tracing: Tracing
    metrics: Metrics

    def shutdown(self) -> None:
        """Send the last spans. Safe to repeat."""
        self.tracing.shutdown()


def start_telemetry(service: str, settings: TelemetrySettings) -> Telemetry:
    """Logs, traces and metrics of `service`, for this context and the tasks started from it."""
    configure_logging(service, settings.log_level, settings.log_format == "json")
    for warning in settings.warnings:
        logging.getLogger(__name__).warning(warning)
    tracing = configure_tracing(service, settings.otlp_endpoint, settings.sampling_ratio)
    return Telemetry(service, tracing, Metrics(service))
