"""Doorway: batches of events go to the projector."""

from agentflow.bus.consumer import Delivery, OnBatch
from agentflow.history.projector import Projector


def on_events(projector: Projector) -> OnBatch:
    """Acknowledged when it returns, after the commit."""

    async def on_event_batch(deliveries: list[Delivery]) -> None:
        """Project every event of every execution, in batches, in order."""
        await projector.project(deliveries)

    return on_event_batch
