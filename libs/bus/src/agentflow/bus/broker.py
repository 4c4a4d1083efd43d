"""One way to make a broker: FastStream's, with our hooks on its connection.

The hooks let the bus know of a reconnect or a slow consumer (re-read the log) and end the
process when the connection is closed for good, instead of spinning on a dead one.
"""

import contextlib
import os
import signal
from collections.abc import Callable
from types import TracebackType

import structlog
from faststream.nats import NatsBroker
from faststream.nats.broker.registrator import NatsRegistrator
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.errors import (
    ConnectionClosedError,
    ConnectionReconnectingError,
    SlowConsumerError,
)
from nats.errors import Error as NatsError

from agentflow.bus.settings import BusSettings

Hook = Callable[[], None]


class ConnectionHooks:
    """Who wants to know what the connection does."""

    def __init__(self, service: str) -> None:
        self.stopping = False
        self._log = structlog.get_logger().bind(service=service)
        self._on_gap: list[Hook] = []
        self._on_disconnect: list[Hook] = []

    def on_gap(self, hook: Hook) -> None:
        """Call `hook` when live messages may have been missed."""
        self._on_gap.append(hook)

    def on_disconnect(self, hook: Hook) -> None:
        self._on_disconnect.append(hook)

    async def reconnected(self) -> None:
        self._log.info("bus.reconnected")
        self._run(self._on_gap)

    async def disconnected(self) -> None:
        if not self.stopping:
            self._log.warning("bus.disconnected", hint="reconnecting for as long as it takes")
        self._run(self._on_disconnect)

    async def failed(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._log.warning("bus.slow_consumer", subject=error.subject)
            self._run(self._on_gap)
        elif not self.stopping:
            self._log.warning("bus.error", error=str(error) or type(error).__name__)

    async def closed(self) -> None:
        if self.stopping:
            return
        self._log.critical("bus.closed", hint="check NATS_URL and the credentials")
        os.kill(os.getpid(), signal.SIGTERM)

    @staticmethod
    def _run(hooks: list[Hook]) -> None:
        for hook in list(hooks):
            hook()


class HookedBroker(NatsBroker):
    """A NatsBroker that carries its hooks."""

    hooks: ConnectionHooks

    def add_consumer(self, consumer: PullStreamSubscriber) -> None:
        """Register a subscriber that was built by hand, as `subscriber()` would."""
        super(NatsRegistrator, self).subscriber(consumer)

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """As FastStream does; while the bus is away there is nothing to drain, only to close."""
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except (ConnectionReconnectingError, ConnectionClosedError):
            connection, self._connection = self._connection, None
            if connection is not None:
                # What is left to write has no reader: the client says so only on closing.
                with contextlib.suppress(NatsError, OSError):
                    await connection.close()
            self.config.disconnect()


def make_broker(settings: BusSettings, service: str) -> HookedBroker:
    """A broker for `service`; nothing connects before `start()` or `connect()`."""
    hooks = ConnectionHooks(service)
    broker = HookedBroker(
        settings.servers,
        name=f"{settings.prefix}-{service}",
        connect_timeout=int(max(1, settings.connect_timeout)),
        reconnect_time_wait=1,
        max_reconnect_attempts=-1,
        ping_interval=10,
        max_outstanding_pings=2,
        pending_size=32 * 1024 * 1024,
        error_cb=hooks.failed,
        reconnected_cb=hooks.reconnected,
        disconnected_cb=hooks.disconnected,
        closed_cb=hooks.closed,
        logger=None,
        graceful_timeout=None,
    )
    broker.hooks = hooks
    return broker
