"""The stack the options ask for, and the file that tells others about it."""

import os
from typing import Protocol, Self

from agentflow.cli.dev_file import DevFile
from agentflow.cli.embedded.addresses import Addresses
from agentflow.cli.embedded.ground import Ground
from agentflow.cli.embedded.options import StackOptions


class Stack(Protocol):
    """A running AgentFlow: servers and all six services."""

    ground: Ground
    mode: str

    @property
    def addresses(self) -> Addresses: ...

    @property
    def pids(self) -> dict[str, list[int]]: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


def make_stack(options: StackOptions) -> Stack:
    """Not started yet; enter it to start it."""
    if options.split:
        from agentflow.cli.embedded.split import SplitStack

        return SplitStack(options)
    from agentflow.cli.embedded.in_process import EmbeddedStack

    return EmbeddedStack(options)


def describe(stack: Stack) -> DevFile:
    """What dev.json says about a running stack."""
    addresses = stack.addresses
    return DevFile(
        gateway_url=addresses.gateway_url,
        nats_url=addresses.nats_url,
        database_url=addresses.database_url,
        redis_url=addresses.redis_url,
        api_key=addresses.api_key,
        mode=stack.mode,
        pid=os.getpid(),
        pids=stack.pids,
    )
