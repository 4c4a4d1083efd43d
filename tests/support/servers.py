"""The real servers tests run against: `from tests.support.servers import NatsServer`."""

from tests.support.child import ServerDied, ServerMissing, free_port
from tests.support.nats_server import NatsServer
from tests.support.postgres_server import PostgresServer
from tests.support.valkey_server import ValkeyServer

__all__ = [
    "NatsServer",
    "PostgresServer",
    "ServerDied",
    "ServerMissing",
    "ValkeyServer",
    "free_port",
]
