"""What a service tells about itself, and where to. Read once from the environment, frozen.

A plain dataclass: this room may not depend on pydantic. A value that cannot be used is
refused with the variable's name, what it held and what it may hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

LogFormat = Literal["json", "console"]
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
OTLP_HTTP_PORT = 4318


class BadTelemetrySetting(ValueError):
    """An environment variable of telemetry cannot be used."""

    def __init__(self, name: str, value: str, wanted: str) -> None:
        super().__init__(f"{name}={value!r} cannot be used: give {wanted}.")
        self.name = name


@dataclass(frozen=True)
class TelemetrySettings:
    """Logs, traces and the health port of one service."""

    log_level: str = "INFO"
    log_format: LogFormat = "json"
    otlp_endpoint: str | None = None
    """Base URL of an OTLP/HTTP collector; None: no traces are exported."""
    sampling_ratio: float = 0.1
    """Share of root traces kept, 0 to 1; a caller's decision is followed."""
    health_host: str = "127.0.0.1"
    health_port: int | None = None
    """TCP port of the health server; 0: any free one; None: no health server."""
    warnings: tuple[str, ...] = ()
    """What the operator should hear once logging is up."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Settings from `environ`; raises BadTelemetrySetting."""
        endpoint, warnings = _otlp_endpoint(environ)
        return cls(
            log_level=_log_level(environ),
            log_format=_log_format(environ),
            otlp_endpoint=endpoint,
            sampling_ratio=_ratio(environ),
            health_host=environ.get("AGENTFLOW_HEALTH_HOST") or "127.0.0.1",
            health_port=_port(environ),
            warnings=warnings,
        )


def _log_level(environ: Mapping[str, str]) -> str:
    name = "AGENTFLOW_LOG_LEVEL" if environ.get("AGENTFLOW_LOG_LEVEL") else "LOG_LEVEL"
    raw = environ.get(name) or "INFO"
    level = raw.upper()
    if level not in LOG_LEVELS:
        raise BadTelemetrySetting(name, raw, f"one of {', '.join(LOG_LEVELS)}")
    return level


def _log_format(environ: Mapping[str, str]) -> LogFormat:
    raw = (environ.get("AGENTFLOW_LOG_FORMAT") or "json").lower()
    if raw == "json":
        return "json"
    if raw == "console":
        return "console"
    raise BadTelemetrySetting("AGENTFLOW_LOG_FORMAT", raw, "json or console")


def _ratio(environ: Mapping[str, str]) -> float:
    raw = environ.get("AGENTFLOW_TRACE_SAMPLING_RATIO") or "0.1"
    try:
        ratio = float(raw)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise BadTelemetrySetting("AGENTFLOW_TRACE_SAMPLING_RATIO", raw, "a number from 0 to 1")
    return ratio


def _port(environ: Mapping[str, str]) -> int | None:
    raw = environ.get("AGENTFLOW_HEALTH_PORT")
    if not raw:
        return None
    if not (raw.isascii() and raw.isdigit() and int(raw) <= 65535):
        raise BadTelemetrySetting("AGENTFLOW_HEALTH_PORT", raw, "a port from 0 to 65535")
    return int(raw)


def _otlp_endpoint(environ: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint:
        if not endpoint.startswith(("http://", "https://")):
            raise BadTelemetrySetting(
                "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, "an http:// or https:// base URL"
            )
        return endpoint.rstrip("/"), ()
    jaeger = environ.get("JAEGER_ENDPOINT")
    if not jaeger:
        return None, ()
    mapped = _map_jaeger(jaeger)
    warning = (
        "JAEGER_ENDPOINT is deprecated, Jaeger takes OTLP now: "
        f"sending to {mapped}. Set OTEL_EXPORTER_OTLP_ENDPOINT={mapped} instead."
    )
    return mapped, (warning,)


def _map_jaeger(endpoint: str) -> str:
    """The OTLP base URL of the same Jaeger: old ports and paths mean nothing to OTLP."""
    parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    if not parts.hostname:
        raise BadTelemetrySetting("JAEGER_ENDPOINT", endpoint, "host, host:port or a URL")
    scheme = parts.scheme if parts.scheme in ("http", "https") else "http"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}:{OTLP_HTTP_PORT}"
