"""One line per thing that happened, as JSON (or for people's eyes on a console).

Every line of the process takes this road, the standard library's too: service, tenant and
execution from the context, secrets blanked last. Calling it again never doubles a line, so
several services may live in one process; each line carries the service it was written in.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from agentflow.telemetry.redaction import redact_field

_OWN_HANDLERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "faststream", "faststream.access")
_CHATTY = ("httpx", "httpx2", "httpcore", "urllib3", "asyncio", "aiosqlite", "openai")


class _ContextHandler(logging.StreamHandler[Any]):
    """Ours, so that a second call finds and replaces it; writes to today's stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure_logging(service: str, level: str = "INFO", json: bool = True) -> None:
    """Send all logs of the process to stderr, and mark this context's lines with `service`.

    Safe to repeat: the last call's level and format hold for the process, the service
    holds for the calling context and the tasks started from it.
    """
    structlog.contextvars.bind_contextvars(service=service)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _ContextHandler)]:
        root.removeHandler(handler)
    handler = _ContextHandler()
    handler.setFormatter(_formatter(json))
    root.addHandler(handler)
    root.setLevel(level)
    _quieten(level)


def get_logger(name: str | None = None, **fields: Any) -> structlog.stdlib.BoundLogger:
    """A logger; `fields` are on each of its lines."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name, **fields)
    return logger


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Lines written inside carry `fields` (tenant, execution_id, node_id, service …)."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def redact_secrets(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """structlog processor: blanks secrets in every field of the line."""
    for key, value in event_dict.items():
        if key not in ("timestamp", "level") and not key.startswith("_"):
            event_dict[key] = redact_field(key, value)
    return event_dict


def _add_trace_id(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    running = trace.get_current_span()
    if running is not trace.INVALID_SPAN:
        event_dict["trace_id"] = trace.format_trace_id(running.get_span_context().trace_id)
    return event_dict


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _add_trace_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(json: bool) -> logging.Formatter:
    """Redaction runs after exceptions have become text: a traceback may quote a DSN."""
    last: list[Processor]
    if json:
        last = [
            structlog.processors.format_exc_info,
            redact_secrets,
            _plain_fields,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ]
    else:
        last = [
            structlog.processors.format_exc_info,
            redact_secrets,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _plain_fields(_logger: WrappedLogger, _name: str, event_dict: EventDict) -> EventDict:
    """A JSON object needs text keys; a stranger's key may be anything."""
    return {str(key): item for key, item in event_dict.items()}


def _quieten(level: str) -> None:
    """Libraries write through the root; the talkative ones only from WARNING up."""
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    if level != "DEBUG":
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
