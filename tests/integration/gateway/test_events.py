"""The event stream of an execution: whole, in order, resumable, ended by the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from agentflow.bus.bus import utc_now
from agentflow.contracts.events import ExecutionCompleted, NodeCompleted
from agentflow.contracts.ids import ExecutionId, NodeId
from tests.support.gateway_stage import TENANT, GatewayStage, gateway_stage, hello
from tests.support.nats_server import NatsServer
from tests.support.waiting import eventually

ROAD = ["command.accepted", "execution.started", "node.completed", "execution.completed"]


@dataclass
class Frame:
    id: int
    event: str
    data: dict[str, Any]


async def frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            if "data" in fields:
                yield Frame(int(fields["id"]), fields["event"], orjson.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def read_all(on: GatewayStage, execution_id: str, **headers: str) -> list[Frame]:
    path = f"/api/v1/executions/{execution_id}/events"
    async with on.client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [frame async for frame in frames(answer)]


async def node_done(on: GatewayStage, execution_id: str, node: str) -> None:
    await on.fleet.tell(
        NodeCompleted(
            tenant=TENANT,
            execution_id=ExecutionId(execution_id),
            occurred_at=utc_now(),
            node_id=NodeId(node),
            node_type="input",
            output=node,
        )
    )


async def finish(on: GatewayStage, execution_id: str) -> None:
    await on.fleet.tell(
        ExecutionCompleted(
            tenant=TENANT,
            execution_id=ExecutionId(execution_id),
            occurred_at=utc_now(),
            final_state={},
            duration_ms=1,
        )
    )


async def test_a_finished_execution_is_replayed_whole_and_the_stream_ends(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        await eventually(lambda: _logged(on, execution_id, 4))
        seen = await read_all(on, execution_id)
        assert sorted(f.event for f in seen) == sorted(ROAD)
        assert [f.id for f in seen] == sorted(f.id for f in seen)
        assert all(f.data["execution_id"] == execution_id for f in seen)


async def test_a_running_execution_is_replayed_and_then_followed_live(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        path = f"/executions/{execution_id}/events"
        async with on.client.stream("GET", path) as answer:
            stream = frames(answer)
            before = {(await anext(stream)).event, (await anext(stream)).event}
            assert before == {"command.accepted", "execution.started"}
            await node_done(on, execution_id, "a")
            assert (await anext(stream)).data["node_id"] == "a"
            await node_done(on, execution_id, "b")
            assert (await anext(stream)).data["node_id"] == "b"
            await finish(on, execution_id)
            assert (await anext(stream)).event == "execution.completed"
            assert [f async for f in stream] == []


async def test_a_client_that_comes_back_misses_nothing_and_gets_nothing_twice(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        await eventually(lambda: _logged(on, execution_id, 4))
        whole = await read_all(on, execution_id)
        for place in range(len(whole) - 1):
            last = str(whole[place].id)
            rest = await read_all(on, execution_id, **{"Last-Event-ID": last})
            assert rest == whole[place + 1 :]


async def test_who_has_seen_the_end_is_told_not_to_come_back(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        end = str((await read_all(on, execution_id))[-1].id)
        path = f"/executions/{execution_id}/events"
        answer = await on.client.get(path, headers={"Last-Event-ID": end})
        assert (answer.status_code, answer.content) == (204, b"")


async def test_a_last_event_id_that_is_not_ours_starts_from_the_first(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        await eventually(lambda: _logged(on, execution_id, 4))
        for given in ("x", "-1", "1e3", "0x10", ""):
            assert len(await read_all(on, execution_id, **{"Last-Event-ID": given})) == 4
        huge = {"Last-Event-ID": "9" * 100}
        answer = await on.client.get(f"/executions/{execution_id}/events", headers=huge)
        assert answer.status_code == 204


async def test_an_idle_stream_is_kept_open_by_comments(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, sse_keepalive_seconds=0.1) as on:
        execution_id = await on.background(hello("hang"))
        async with on.client.stream("GET", f"/executions/{execution_id}/events") as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if line.startswith(": keep-alive"):
                    break


async def test_many_clients_see_the_same_stream(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=on.url, headers=on.as_role("viewer"), timeout=30, limits=limits
        ) as client:

            async def watch() -> list[Frame]:
                async with client.stream("GET", f"/executions/{execution_id}/events") as answer:
                    return [frame async for frame in frames(answer)]

            watching = [asyncio.create_task(watch()) for _ in range(100)]
            await eventually(lambda: on.gateway.streams.open == 100)
            for number in range(20):
                await node_done(on, execution_id, f"n{number}")
            await finish(on, execution_id)
            seen = await asyncio.gather(*watching)
        assert all(one == seen[0] for one in seen)
        assert len(seen[0]) == 23
        await eventually(lambda: on.gateway.streams.open == 0)


async def test_a_client_that_leaves_leaves_no_reader_behind(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, sse_keepalive_seconds=0.1) as on:
        execution_id = await on.background(hello("hang"))
        async with on.client.stream("GET", f"/executions/{execution_id}/events") as answer:
            await anext(frames(answer))
        await eventually(lambda: on.gateway.streams.open == 0)
        stream = f"{on.bus_settings.prefix}_EVENTS"

        async def only_durables_left() -> bool:
            found = await on.nc.jetstream().consumers_info(stream)
            return all(consumer.config.durable_name for consumer in found)

        await eventually(only_durables_left)


async def test_there_are_only_so_many_streams(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, max_event_streams=1) as on:
        execution_id = await on.background(hello("hang"))
        path = f"/executions/{execution_id}/events"
        async with on.client.stream("GET", path) as answer:
            await anext(frames(answer))
            second = await on.client.get(path)
            assert (second.status_code, second.json()["code"]) == (503, "too_many_streams")
            assert second.headers["retry-after"] == "5"


async def test_a_stream_survives_a_restart_of_the_bus(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with gateway_stage(nats_server.url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        async with on.client.stream("GET", f"/executions/{execution_id}/events") as answer:
            stream = frames(answer)
            seen = [await anext(stream), await anext(stream)]
            nats_server.kill()
            nats_server.start()
            await eventually(lambda: on.gateway.bus.connected and on.fleet.bus.connected)
            await node_done(on, execution_id, "after")
            await finish(on, execution_id)
            seen += [frame async for frame in stream]
        assert [f.event for f in seen[2:]] == ["node.completed", "execution.completed"]
        assert len({f.id for f in seen}) == 4


async def test_a_stop_ends_open_streams_at_once(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, shutdown_grace_seconds=300) as on:
        execution_id = await on.background(hello("hang"))
        async with on.client.stream("GET", f"/executions/{execution_id}/events") as answer:
            stream = frames(answer)
            await anext(stream)
            waiting = asyncio.create_task(on.execute(hello("hang"), wait=300))
            await eventually(lambda: on.gateway.feed.waiting_for == 1)
            on.server.end()
            rest = [frame async for frame in stream]
            assert len(rest) <= 1
            assert (await waiting).status_code == 202


async def _logged(on: GatewayStage, execution_id: str, events: int) -> bool:
    found = [m async for m in on.gateway.bus.read(TENANT, execution_id)]
    return len(found) >= events
