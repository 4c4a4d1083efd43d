"""Consumers as FastStream subscribers: FastStream starts, stops and documents them; the
messages themselves go through our loop.

FastStream's own pull subscribers fetch ahead of their free slots and cost about 100 us a
message; ours hands each message to a doorway that takes a Delivery.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, PullSub
from faststream.nats.subscriber.config import (
    NatsSubscriberConfig,
    NatsSubscriberSpecificationConfig,
)
from faststream.nats.subscriber.specification import NatsSubscriberSpecification
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from agentflow.bus import names
from agentflow.bus.batch_loop import BatchLoop, OnBatch
from agentflow.bus.broker import HookedBroker
from agentflow.bus.bus import Bus
from agentflow.bus.delivery import Delivery
from agentflow.bus.pull_loop import PullLoop
from agentflow.contracts.message import Message, StreamName

Handler = Callable[[Delivery], Awaitable[None]]
Loop = PullLoop | BatchLoop
MakeLoop = Callable[[Client], Loop]

__all__ = ["Consumer", "Delivery", "Handler", "OnBatch", "consume", "consume_batches"]


class Consumer(PullStreamSubscriber):
    """A FastStream subscriber whose messages are pulled by one of our loops."""

    make_loop: MakeLoop
    loop: Loop | None = None
    grace: float = 20.0

    async def _create_subscription(self) -> None:
        if self.loop is not None:
            return
        self.loop = self.make_loop(self.connection)
        await self.loop.start()

    def gap(self) -> None:
        if self.loop is not None:
            self.loop.gap()

    @property
    def in_hand(self) -> int:
        """Messages being handled now."""
        return self.loop.running if self.loop is not None else 0

    async def drain(self, grace: float | None = None) -> None:
        """Stop pulling, finish or hand back within `grace` seconds."""
        if self.loop is not None:
            await self.loop.drain(self.grace if grace is None else grace)
            self.loop = None

    async def stop(self) -> None:
        await self.drain()
        await super().stop()


def consume(
    broker: HookedBroker,
    bus: Bus,
    *,
    message: type[Message],
    durable: str,
    handler: Handler,
    slots: int,
    ack_wait: float,
    subject: str | None = None,
    grace: float = 20.0,
) -> Consumer:
    """Hand each message of `durable` to `handler`, at most `slots` at a time.

    The handler settles its delivery; one that raises has it back after a backoff, and after
    ten deliveries in the dead letters. `ack_wait` is the lease in seconds (renewed), `grace`
    the seconds handlers get at shutdown.
    """
    if message.STREAM is None:
        raise ValueError(f"{message.__name__} is not stored in a stream")
    stream = names.stream_name(bus.prefix, message.STREAM)
    consumer = _register(
        broker, stream, durable, subject or message.pattern(bus.prefix), message, handler
    )
    consumer.grace = grace
    consumer.make_loop = lambda nc: PullLoop(
        nc,
        prefix=bus.prefix,
        stream=stream,
        durable=durable,
        handler=handler,
        slots=slots,
        ack_wait=ack_wait,
    )
    return consumer


def consume_batches(
    broker: HookedBroker,
    bus: Bus,
    *,
    stream: StreamName,
    durable: str,
    subjects: list[str],
    handler: OnBatch,
    message: type[Message],
    max_batch: int = 500,
    max_wait: float = 0.02,
    ack_wait: float = 30.0,
) -> Consumer:
    """Hand the messages of `durable` to `handler` in batches, in order; acked when it returns."""
    name = names.stream_name(bus.prefix, stream)
    consumer = _register(broker, name, durable, subjects[0], message, handler)
    consumer.make_loop = lambda nc: BatchLoop(
        nc,
        prefix=bus.prefix,
        stream=name,
        durable=durable,
        handler=handler,
        max_batch=max_batch,
        max_wait=max_wait,
        ack_wait=ack_wait,
    )
    return consumer


def _register(
    broker: HookedBroker,
    stream: str,
    durable: str,
    subject: str,
    message: type[Message],
    handler: Callable[..., Any],
) -> Consumer:
    outer: Any = broker.config
    calls: CallsCollection[Any] = CallsCollection()
    config = NatsSubscriberConfig(
        _outer_config=outer,
        subject=subject,
        sub_config=ConsumerConfig(durable_name=durable),
        extra_options={},
        _ack_policy=AckPolicy.MANUAL,
        no_reply=True,
    )
    specification = NatsSubscriberSpecification(
        _outer_config=outer,
        calls=calls,
        specification_config=NatsSubscriberSpecificationConfig(
            subject=subject,
            queue=durable,
            title_=f"{durable}:{message.__name__}",
            description_=(message.__doc__ or "").strip(),
            include_in_schema=True,
        ),
    )
    consumer = Consumer(
        config,
        specification,
        calls,
        queue="",
        pull_sub=PullSub(),
        stream=JStream(stream, declare=False),
    )
    broker.add_consumer(consumer)
    consumer.add_call(parser_=None, decoder_=None, dependencies_=())
    consumer(_doorway(message, handler))
    broker.hooks.on_gap(consumer.gap)
    return consumer


def _doorway(message: type[Message], handler: Callable[..., Any]) -> Callable[..., Any]:
    """What FastStream documents: the handler's name and the message it takes."""

    async def doorway(body: Any) -> None:
        raise NotImplementedError("messages go through the loop")

    doorway.__name__ = handler.__name__
    doorway.__doc__ = handler.__doc__ or message.__doc__
    doorway.__annotations__ = {"body": message, "return": None}
    return doorway
