"""Talks to a gateway: JSON in and out, server-sent events, problems turned into errors."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import httpx

from agentflow.cli.dev_file import HINT, Target
from agentflow.cli.errors import CliError, InvalidInput, Unreachable
from agentflow.contracts.problem import Issue, Problem

TIMEOUT_SECONDS = 30.0
RECONNECTS = 20
FIRST_PAUSE_SECONDS = 0.05
MAX_PAUSE_SECONDS = 2.0
API = "/api/v1"


class Refused(InvalidInput):
    """The gateway refused the request; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem

    @property
    def issues(self) -> tuple[Issue, ...]:
        return self.problem.errors


class ServerTrouble(CliError):
    """The gateway answered that something is wrong on its side."""

    code = "server_trouble"
    exit_code = 3


@dataclass(frozen=True)
class ServerEvent:
    """One server-sent event: its id (stream sequence), its name, its JSON."""

    id: str | None
    name: str
    data: dict[str, Any]


class Gateway:
    """An async client of one gateway; use as a context manager."""

    def __init__(self, target: Target) -> None:
        headers = {"Accept": "application/json"}
        if target.api_key:
            headers["X-API-Key"] = target.api_key
        self._url = target.url
        self._client = httpx.AsyncClient(
            base_url=target.url + API, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, **params: Any) -> Any:
        """GET; `params` that are None are left out."""
        given = {key: value for key, value in params.items() if value is not None}
        return await self._request("GET", path, params=given)

    async def post(self, path: str, body: Any = None, **params: Any) -> Any:
        given = {key: value for key, value in params.items() if value is not None}
        return await self._request("POST", path, json=body, params=given)

    async def delete(self, path: str) -> Any:
        return await self._request("DELETE", path)

    async def events(self, execution_id: str) -> AsyncIterator[ServerEvent]:
        """Every event of an execution from the first, until the server ends the stream.

        A cut connection is taken up again after the last event seen.
        """
        last: str | None = None
        failures = 0
        while failures < RECONNECTS:
            try:
                async for event in self._stream(f"/executions/{execution_id}/events", last):
                    last, failures = event.id or last, 0
                    yield event
            except httpx.TransportError:
                # A gateway that restarts is back within seconds; the last event seen is kept.
                await asyncio.sleep(min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**failures))
                failures += 1
                continue
            return
        raise Unreachable(f"The event stream of {execution_id} keeps breaking.", hint=HINT)

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = await self._client.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        _raise_for_problem(response)
        return response.json() if response.content else None

    async def _stream(self, path: str, last: str | None) -> AsyncIterator[ServerEvent]:
        headers = {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=60.0)
        async with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.is_error:
                await response.aread()
                _raise_for_problem(response)
            async for event in parse_events(response.aiter_lines()):
                yield event

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"{self._url} does not answer ({type(error).__name__}).", hint=HINT)


async def parse_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Server-sent events out of a stream of lines; comments and broken JSON are passed over."""
    fields: dict[str, str] = {}
    async for line in lines:
        if not line:
            event = _event(fields)
            fields = {}
            if event is not None:
                yield event
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value


def _event(fields: dict[str, str]) -> ServerEvent | None:
    try:
        data = json.loads(fields["data"])
    except (KeyError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    return ServerEvent(fields.get("id"), fields.get("event", "message"), data)


def _raise_for_problem(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        problem = Problem.model_validate_json(response.content)
    except ValueError:
        raise ServerTrouble(f"HTTP {response.status_code} without a problem body.") from None
    if response.status_code == 429 or response.status_code >= 500:
        raise ServerTrouble(f"{problem.detail} ({problem.code})")
    if response.status_code in (401, 403):
        raise Refused(problem.model_copy(update={"detail": f"{problem.detail} {_KEY_HINT}"}))
    raise Refused(problem)


_KEY_HINT = "Set AGENTFLOW_API_KEY, or run this where `agentflow dev` runs."
