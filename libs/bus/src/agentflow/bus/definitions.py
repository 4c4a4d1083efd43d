"""Workflow and source definitions on the bus, kept current by the gateway.

A user who publishes `{"workflow_id": …}` straight to a command subject needs no database:
executors find the definition here. Versions are immutable, `latest` points at one.
"""

from typing import Any

import orjson
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from agentflow.bus import names
from agentflow.bus.bus import Bus


class Definitions:
    """The installation's key-value bucket of definitions."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bucket: KeyValue | None = None

    async def put_workflow(
        self, tenant: str, workflow_id: str, version: int, spec: dict[str, Any]
    ) -> None:
        """Store a version and make it the latest."""
        bucket = await self._kv()
        await bucket.put(f"wf.{tenant}.{workflow_id}.{version}", orjson.dumps(spec))
        await bucket.put(f"wf.{tenant}.{workflow_id}.latest", str(version).encode())

    async def get_workflow(
        self, tenant: str, workflow_id: str, version: int | None = None
    ) -> tuple[dict[str, Any], int] | None:
        """The spec and its version (the latest unless named), or None."""
        if version is None:
            latest = await self._get(f"wf.{tenant}.{workflow_id}.latest")
            if latest is None:
                return None
            version = int(latest)
        stored = await self._get(f"wf.{tenant}.{workflow_id}.{version}")
        return None if stored is None else (orjson.loads(stored), version)

    async def delete_workflow(self, tenant: str, workflow_id: str) -> None:
        """New executions no longer find it; running ones keep their version."""
        await (await self._kv()).delete(f"wf.{tenant}.{workflow_id}.latest")

    async def put_source(self, tenant: str, source_id: str, source: dict[str, Any]) -> None:
        """Store a source; secrets appear in it only by name."""
        await (await self._kv()).put(f"src.{tenant}.{source_id}", orjson.dumps(source))

    async def get_source(self, tenant: str, source_id: str) -> dict[str, Any] | None:
        """The source, or None."""
        stored = await self._get(f"src.{tenant}.{source_id}")
        return None if stored is None else orjson.loads(stored)

    async def delete_source(self, tenant: str, source_id: str) -> None:
        await (await self._kv()).delete(f"src.{tenant}.{source_id}")

    async def _get(self, key: str) -> bytes | None:
        try:
            entry = await (await self._kv()).get(key)
        except KeyNotFoundError:
            return None
        return entry.value

    async def _kv(self) -> KeyValue:
        if self._bucket is None:
            name = names.bucket_name(self._bus.prefix, names.DEFINITIONS)
            self._bucket = await self._bus.nc.jetstream().key_value(name)
        return self._bucket
