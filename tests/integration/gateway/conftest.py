"""One gateway for a whole module of tests that do not disturb it: starting costs most."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support import missing
from tests.support.gateway_stage import GatewayStage, gateway_stage
from tests.support.nats_server import NatsServer
from tests.support.servers import ServerMissing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[GatewayStage]:
    """A gateway the tests of a module share; they mark themselves with loop_scope="module"."""
    folder = tmp_path_factory.mktemp("gateway")
    if missing.hidden("nats"):
        missing.give_up(request.config, "nats-server (hidden)")
    try:
        server = NatsServer(folder / "nats")
    except ServerMissing as error:
        missing.give_up(request.config, str(error))
    with server:
        async with gateway_stage(server.url, folder) as stage:
            yield stage
