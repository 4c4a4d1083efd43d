"""A plain connection to the bus for operators' commands."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from agentflow.bus.settings import BusSettings
from agentflow.cli.dev_file import find_dev_file
from agentflow.cli.errors import CliError, Unreachable

CONNECT_TIMEOUT_SECONDS = 3
Result = TypeVar("Result")


def bus_settings(url: str | None) -> BusSettings:
    """The named server, else the one the environment names, else the running stack's."""
    if url is not None:
        return BusSettings(nats_url=url)
    settings = BusSettings()
    if "nats_url" in settings.model_fields_set:
        return settings
    dev = find_dev_file()
    return settings if dev is None else BusSettings(nats_url=dev.nats_url)


async def on_bus(
    url: str | None, work: Callable[[JetStreamContext, BusSettings], Awaitable[Result]]
) -> Result:
    """Connect, do the work, disconnect; raises Unreachable when nobody answers."""
    settings = bus_settings(url)
    try:
        # The client tries a first connection again for two minutes, whatever it is told.
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            connection = await nats.connect(
                settings.servers,
                allow_reconnect=False,
                error_cb=_ignore,  # told by the exception; the default prints a traceback
            )
    except (OSError, NatsError) as error:
        raise Unreachable(
            f"No NATS server answers at {settings.nats_url} ({type(error).__name__}).",
            hint="Is `agentflow dev` running here? Else set AGENTFLOW_NATS_URL.",
        ) from None
    try:
        return await work(connection.jetstream(), settings)
    except APIError as error:
        raise CliError(f"The NATS server refused: {error.description}.") from error
    finally:
        await connection.close()


async def _ignore(_: Exception) -> None:
    return
