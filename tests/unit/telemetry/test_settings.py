"""Telemetry's settings: read once, frozen, a bad value named."""

import dataclasses

import pytest

from agentflow.telemetry.settings import BadTelemetrySetting, TelemetrySettings
from agentflow.telemetry.start import start_telemetry


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = TelemetrySettings.from_env({})
    assert settings == TelemetrySettings()
    assert (settings.log_level, settings.log_format) == ("INFO", "json")
    assert settings.otlp_endpoint is None
    assert settings.sampling_ratio == 0.1
    assert settings.health_port is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.log_level = "DEBUG"  # type: ignore[misc] # that is the point


def test_every_variable_is_read() -> None:
    settings = TelemetrySettings.from_env(
        {
            "AGENTFLOW_LOG_LEVEL": "debug",
            "LOG_LEVEL": "ERROR",
            "AGENTFLOW_LOG_FORMAT": "console",
            "AGENTFLOW_TRACE_SAMPLING_RATIO": "1",
            "AGENTFLOW_HEALTH_HOST": "0.0.0.0",
            "AGENTFLOW_HEALTH_PORT": "9090",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
        }
    )
    assert settings == TelemetrySettings(
        log_level="DEBUG",
        log_format="console",
        otlp_endpoint="http://collector:4318",
        sampling_ratio=1.0,
        health_host="0.0.0.0",
        health_port=9090,
    )
    assert TelemetrySettings.from_env({"LOG_LEVEL": "ERROR"}).log_level == "ERROR"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_LEVEL", "LOUD"),
        ("AGENTFLOW_LOG_FORMAT", "xml"),
        ("AGENTFLOW_TRACE_SAMPLING_RATIO", "10%"),
        ("AGENTFLOW_TRACE_SAMPLING_RATIO", "1.1"),
        ("AGENTFLOW_TRACE_SAMPLING_RATIO", "nan"),
        ("AGENTFLOW_HEALTH_PORT", "http"),
        ("AGENTFLOW_HEALTH_PORT", "65536"),
        ("AGENTFLOW_HEALTH_PORT", "-1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("JAEGER_ENDPOINT", "http://"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(BadTelemetrySetting, match=name) as refused:
        TelemetrySettings.from_env({name: value})
    assert repr(value) in str(refused.value)
    assert "give " in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://jaeger:14268/api/traces", "http://jaeger:4318"),
        ("jaeger:6831", "http://jaeger:4318"),
        ("jaeger", "http://jaeger:4318"),
        ("https://jaeger.example/x", "https://jaeger.example:4318"),
        ("udp://jaeger:6831", "http://jaeger:4318"),
        ("http://[::1]:14268", "http://[::1]:4318"),
    ],
)
def test_a_jaeger_endpoint_is_mapped_with_a_warning(old: str, new: str) -> None:
    settings = TelemetrySettings.from_env({"JAEGER_ENDPOINT": old})
    assert settings.otlp_endpoint == new
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT={new}" in settings.warnings[0]


def test_an_otlp_endpoint_wins_over_jaegers() -> None:
    env = {"JAEGER_ENDPOINT": "old:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://new:4318"}
    settings = TelemetrySettings.from_env(env)
    assert (settings.otlp_endpoint, settings.warnings) == ("http://new:4318", ())


def test_starting_turns_all_on_and_passes_the_warnings_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = TelemetrySettings(warnings=("JAEGER_ENDPOINT is deprecated",))
    telemetry = start_telemetry("audit", settings)
    assert "JAEGER_ENDPOINT is deprecated" in caplog.text
    assert not telemetry.tracing.enabled
    assert b'service="audit"' in telemetry.metrics.render()
    telemetry.shutdown()
    telemetry.shutdown()
