"""Creates the streams on the embedded server; the services only check them."""

from agentflow.bus import topology
from agentflow.bus.settings import BusSettings


async def apply_topology(nats_url: str) -> None:
    """Create or adjust every stream, consumer and bucket."""
    import nats

    connection = await nats.connect(nats_url)
    try:
        await topology.apply(connection.jetstream(), BusSettings(nats_url=nats_url))
    finally:
        await connection.close()
