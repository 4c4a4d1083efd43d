"""The gateway's parts, put together once; routes reach them through the request.

Building connects to nothing. `open()` does, and refuses to go on when bus or tables are not
what this release needs; `close()` undoes it.
"""

from dataclasses import dataclass

from starlette.requests import Request

from agentflow.bus.bus import Bus
from agentflow.gateway.auth import Doorkeeper
from agentflow.gateway.auth_failures import AuthFailures
from agentflow.gateway.body import BodyReader
from agentflow.gateway.cancel import Canceller
from agentflow.gateway.event_stream import EventStreams
from agentflow.gateway.executions import Executions
from agentflow.gateway.idempotency import IdempotencyKeys
from agentflow.gateway.key_cache import KeyCache
from agentflow.gateway.large_values import LargeValues
from agentflow.gateway.live_feed import LiveFeed
from agentflow.gateway.measures import Measures
from agentflow.gateway.record import SqlRecord
from agentflow.gateway.settings import GatewaySettings
from agentflow.gateway.submit import Submitter
from agentflow.gateway.validation import Validation


@dataclass(frozen=True)
class Gateway:
    """Everything a route may need."""

    settings: GatewaySettings
    bus: Bus
    record: SqlRecord
    measures: Measures
    body: BodyReader
    doorkeeper: Doorkeeper
    failures: AuthFailures
    feed: LiveFeed
    validation: Validation
    idempotency: IdempotencyKeys
    values: LargeValues
    submitter: Submitter
    executions: Executions
    canceller: Canceller
    streams: EventStreams

    async def open(self) -> None:
        """Connect; raises BusDown, TopologyError, DatabaseDown or SchemaOutOfDate."""
        await self.record.open()
        await self.bus.open()
        await self.feed.start()
        self.streams.start()
        await self.validation.start()

    async def close(self) -> None:
        """Let what is on its way arrive, then let go."""
        self.quiet()
        await self.submitter.close()
        await self.idempotency.close()
        await self.failures.close()
        await self.feed.stop()
        await self.validation.stop()
        await self.bus.close()
        await self.bus.broker.stop()
        await self.record.close()

    def quiet(self) -> None:
        """End open streams and waits, so that a stop need not wait for them."""
        self.streams.stop()
        self.feed.release()


def build(settings: GatewaySettings, bus: Bus, record: SqlRecord, measures: Measures) -> Gateway:
    """All parts, wired; nothing is connected yet."""
    seconds = settings.bus_timeout_seconds
    failures = AuthFailures(bus, settings.auth_failures_per_minute)
    keys = KeyCache(record, seconds=settings.key_cache_seconds, entries=settings.key_cache_entries)
    feed = LiveFeed(bus, settings.log_check_seconds)
    validation = Validation(bus, settings.validation_cache_entries)
    idempotency = IdempotencyKeys(bus, seconds)
    values = LargeValues(bus, settings.resolve_limit_bytes)
    executions = Executions(bus, record, values, seconds)
    return Gateway(
        settings=settings,
        bus=bus,
        record=record,
        measures=measures,
        body=BodyReader(settings),
        doorkeeper=Doorkeeper(keys, failures, measures),
        failures=failures,
        feed=feed,
        validation=validation,
        idempotency=idempotency,
        values=values,
        submitter=Submitter(bus, feed, validation, idempotency, values, measures, settings),
        executions=executions,
        canceller=Canceller(bus, feed, executions, settings),
        streams=EventStreams(bus, measures, settings),
    )


def gateway_of(request: Request) -> Gateway:
    """The parts of the application that serves `request`."""
    found: Gateway = request.app.state.gateway
    return found
