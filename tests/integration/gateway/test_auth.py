"""Who may do what: every route × every role, and what happens to those refused."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest
from fastapi.routing import APIRoute

from agentflow.bus.bus import utc_now
from agentflow.contracts.audits import AuditRecord
from agentflow.gateway.edge import API
from agentflow.gateway.permissions import GRANTS, Permission, Role
from agentflow.storage.api_keys import ApiKeys
from agentflow.storage.settings import StorageSettings
from tests.support.gateway_stage import TENANT, GatewayStage, gateway_stage, hello
from tests.support.waiting import eventually

PUBLIC = {
    *("/health", "/health/live", "/health/ready", "/ready", "/metrics"),
    *("/docs", "/docs/assets/{name}", "/redoc", "/openapi.json", "/asyncapi.json"),
}
NEEDS = {
    ("POST", "/workflows/validate"): Permission.VALIDATE,
    ("POST", "/workflows/execute"): Permission.EXECUTE,
    ("POST", "/workflows/execute/async"): Permission.EXECUTE,
    ("GET", "/jobs/{job_id}"): Permission.READ,
    ("GET", "/jobs/{job_id}/result"): Permission.READ,
    ("DELETE", "/jobs/{job_id}"): Permission.CANCEL,
    ("GET", "/executions"): Permission.READ,
    ("GET", "/executions/{execution_id}"): Permission.READ,
    ("GET", "/executions/{execution_id}/events"): Permission.READ,
    ("POST", "/executions/{execution_id}/cancel"): Permission.CANCEL,
}


def routes(stage: GatewayStage) -> Iterator[tuple[str, str]]:
    """Every method and path the gateway serves, without the prefix."""
    for route in stage.server.config.app.routes:  # type: ignore[union-attr]  # it is our FastAPI app
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            yield method, route.path.removeprefix(API)


@pytest.mark.nats
@pytest.mark.asyncio(loop_scope="module")
async def test_every_route_is_public_on_purpose_or_names_its_permission(
    shared: GatewayStage,
) -> None:
    served = set(routes(shared))
    assert {path for _, path in served} == PUBLIC | {path for _, path in NEEDS}
    assert {(method, path) for method, path in served if path not in PUBLIC} == set(NEEDS)


@pytest.mark.nats
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("prefix", ["", API])
@pytest.mark.parametrize("role", [None, *Role])
async def test_every_route_asks_every_role_for_its_permission(
    shared: GatewayStage, prefix: str, role: Role | None
) -> None:
    headers = shared.as_role(role) if role else {}
    async with httpx.AsyncClient(base_url=shared.url, headers=headers, trust_env=False) as client:
        for method, path in routes(shared):
            filled = path.replace("{name}", "docs.js")
            for parameter in ("{job_id}", "{execution_id}"):
                filled = filled.replace(parameter, "exec_none")
            status = (await client.request(method, prefix + filled)).status_code
            if path in PUBLIC:
                assert status == 200, path
            elif role is None:
                assert status == 401, path
            elif NEEDS[method, path] in GRANTS[role]:
                assert status in (200, 404, 422), (role, method, path)
            else:
                assert status == 403, (role, method, path)


def test_a_viewer_may_only_read_and_nobody_has_what_is_not_granted() -> None:
    assert GRANTS[Role.VIEWER] == {Permission.READ}
    assert set(GRANTS) == set(Role)


@pytest.mark.nats
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {key}"},
        {"Authorization": "bearer   {key}"},
    ],
)
async def test_the_key_may_come_in_either_header(
    shared: GatewayStage, headers: dict[str, str]
) -> None:
    filled = {name: value.format(key=shared.keys["viewer"]) for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as client:
        assert (await client.get("/executions", headers=filled)).status_code == 200


@pytest.mark.nats
@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_that_is_none_is_401_and_says_how_to_send_one(shared: GatewayStage) -> None:
    good = shared.keys["developer"]
    prefix, secret = good.split(".")
    wrong = [
        "nonsense",
        f"{prefix}.{secret[:-1]}",
        f"{prefix}.",
        f"{prefix}.{secret[::-1]}",
        "af_0000000000000000." + secret,
        "ü" * 40,
        "x" * 5000,
    ]
    async with httpx.AsyncClient(base_url=shared.url, trust_env=False) as client:
        for key in wrong:
            answer = await client.get("/executions", headers={b"X-API-Key": key.encode()})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), key
            assert "X-API-Key" in answer.json()["detail"]
            assert answer.headers["www-authenticate"].startswith("Bearer")
        basic = await client.get("/executions", headers={"Authorization": "Basic eDp5"})
        assert basic.status_code == 401


@pytest.mark.nats
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_another_tenants_is_not_there(shared: GatewayStage) -> None:
    mine = (await shared.execute()).json()["execution_id"]
    rival = shared.as_role("rival")
    for method, path in (
        ("GET", f"/jobs/{mine}"),
        ("GET", f"/jobs/{mine}/result"),
        ("DELETE", f"/jobs/{mine}"),
        ("GET", f"/executions/{mine}"),
        ("GET", f"/executions/{mine}/events"),
        ("POST", f"/executions/{mine}/cancel"),
    ):
        theirs = await shared.client.request(method, path, headers=rival)
        nowhere = await shared.client.request(
            method, path.replace(mine, "exec_nowhere"), headers=rival
        )
        assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found"), path
        assert theirs.json()["detail"].replace(mine, "exec_nowhere") == nowhere.json()["detail"]


async def test_revoked_and_expired_keys_are_refused_within_the_cache_time(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path, key_cache_seconds=0.1) as on:
        keys = ApiKeys(on.database, StorageSettings())
        soon = utc_now() + timedelta(seconds=0.5)
        made = await keys.create(
            TENANT, name="x", user="u", role="viewer", now=utc_now(), expires_at=soon
        )
        other = await keys.create(TENANT, name="y", user="u", role="viewer", now=utc_now())

        async def status(secret: str) -> int:
            answer = await on.client.get("/executions", headers={"X-API-Key": secret})
            return answer.status_code

        assert (await status(made.secret), await status(other.secret)) == (200, 200)
        await keys.revoke(TENANT, other.key.key_id, utc_now())

        async def both_refused() -> bool:
            return (await status(made.secret), await status(other.secret)) == (401, 401)

        await eventually(both_refused)


async def test_refusals_are_on_record_with_reason_and_address_and_never_the_key(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        heard: list[AuditRecord] = []
        subject = AuditRecord.pattern(on.bus_settings.prefix)

        async def listen(msg) -> None:  # type: ignore[no-untyped-def]  # nats.aio.msg.Msg
            heard.append(AuditRecord.decode(msg.data))
            assert b"hunter2" not in msg.data

        await on.nc.subscribe(subject, cb=listen)
        await on.nc.flush()
        await on.client.get("/executions", headers={"X-API-Key": "af_0.hunter2"})
        await on.client.post(
            "/workflows/execute", json={"workflow": hello()}, headers=on.as_role("viewer")
        )
        await eventually(lambda: len(heard) == 2)
        stranger, viewer = heard
        assert (stranger.resource, stranger.verb) == ("auth", "failed")
        assert stranger.details["reason"] == "unknown"
        assert stranger.client_address == "127.0.0.1"
        assert (viewer.tenant, viewer.actor) == (TENANT, "viewer-user")
        assert viewer.details["reason"] == "forbidden"
        assert await on.stream_messages("AUDIT") == 2


async def test_a_flood_of_refusals_cannot_fill_the_record(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, auth_failures_per_minute=1) as on:

        async def refused() -> None:
            answer = await on.client.get("/executions", headers={"X-API-Key": "no"})
            assert answer.status_code == 401

        for _ in range(10):
            await asyncio.gather(*(refused() for _ in range(20)))
        await on.gateway.failures.close()
        assert 15 <= await on.stream_messages("AUDIT") <= 30
        figures = (await on.client.get("/metrics")).text
        assert 'agentflow_gateway_auth_failures_total{reason="malformed"} 200.0' in figures


async def test_known_keys_go_on_working_while_the_database_is_away(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path, key_cache_seconds=0.01) as on:
        assert (await on.execute()).status_code == 200
        take_away(tmp_path / "gateway.db")
        await on.gateway.record._database.engine.dispose()
        assert (await on.execute()).json()["status"] == "success"
        unknown = await on.client.get("/executions", headers=on.as_role("viewer"))
        assert (unknown.status_code, unknown.json()["code"]) == (503, "dependency_down")
        assert unknown.headers["retry-after"]
        listing = await on.client.get("/executions")
        assert listing.status_code == 503
        assert (await on.client.get("/health/ready")).status_code == 503
        bring_back(tmp_path / "gateway.db")

        async def back() -> bool:
            return (await on.client.get("/executions")).status_code == 200

        await eventually(back)
        assert (await on.client.get("/health/ready")).json()["status"] == "ready"


def take_away(database: Path) -> None:
    """Where the file was, nothing can be opened."""
    database.rename(database.with_suffix(".away"))
    for left in database.parent.glob(f"{database.name}-*"):
        left.unlink()
    database.mkdir()


def bring_back(database: Path) -> None:
    database.rmdir()
    database.with_suffix(".away").rename(database)


async def test_nothing_secret_is_in_metrics(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        await on.client.get(f"/jobs/{execution_id}")
        figures = (await on.client.get("/metrics")).text
        assert execution_id not in figures
        assert on.keys["developer"] not in figures
        assert 'route="/api/v1/jobs/{job_id}"' in figures
        assert orjson.dumps(figures)
