"""The live feed: events as they are stored, without a consumer.

The EVENTS stream republishes each event after storing it, with its sequence in a header.
A feed is a shortcut: after a gap (reconnect, slow consumer) the listener reads the log.
"""

import asyncio
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from agentflow.bus import names
from agentflow.bus.log_reader import StoredMessage

SEQUENCE = "Nats-Sequence"
OnStored = Callable[[StoredMessage], object]


class LiveSubscription:
    """A running subscription to a part of the live feed."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def stop(self) -> None:
        """Hear nothing more."""
        await self._subscription.unsubscribe()


async def listen(
    nc: Client, prefix: str, event_pattern: str, on_stored: OnStored
) -> LiveSubscription:
    """Call `on_stored` (plain or async) for each event stored on `event_pattern` from now on.

    `event_pattern` is an events subject, e.g. `NodeCompleted.pattern()`.
    """

    async def on_message(msg: Msg) -> None:
        headers = msg.headers or {}
        stored = StoredMessage(
            headers.get("Nats-Subject") or names.event_subject(prefix, msg.subject),
            msg.data,
            _sequence_of(headers),
            headers,
        )
        outcome = on_stored(stored)
        if asyncio.iscoroutine(outcome):
            await outcome

    subscription = await nc.subscribe(names.live_subject(prefix, event_pattern), cb=on_message)
    return LiveSubscription(subscription)


def _sequence_of(headers: dict[str, str]) -> int:
    """The stream's sequence; 0, which every reader has behind it, when it is not the stream's."""
    said = headers.get(SEQUENCE, "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0
