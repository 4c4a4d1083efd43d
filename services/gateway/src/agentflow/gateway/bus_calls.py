"""Questions to the bus end in an answer or in 503, within the gateway's patience."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.errors import Error as NatsError

from agentflow.bus.bus import Bus
from agentflow.bus.errors import BusDown


@asynccontextmanager
async def answered(bus: Bus, seconds: float) -> AsyncIterator[None]:
    """Run the block against the bus; raises BusDown when it is away or silent."""
    require_connection(bus)
    try:
        async with asyncio.timeout(seconds):
            yield
    except (NatsError, TimeoutError, OSError) as error:
        raise BusDown("The message bus does not answer just now.") from error


def require_connection(bus: Bus) -> None:
    """Raise BusDown at once rather than wait for a connection that is not there."""
    if not bus.connected:
        raise BusDown("The message bus is not connected just now.")
