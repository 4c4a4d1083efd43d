"""What the pages say about real providers is true, shown on servers of our own."""

import json
from typing import Any

from agentflow.node_workers.app import make_runner
from agentflow.node_workers.settings import WorkersSettings
from tests.support import examples
from tests.support.examples import EXAMPLES, ROOT
from tests.support.pages import blocks
from tests.support.providers.http_server import Connection, HttpServer, Request
from tests.support.providers.openai_server import OpenAIServer, saying
from tests.support.schedulers import run_on_langgraph

ANSWER = "From nine to six, says the real model."
LOOPBACK = WorkersSettings(egress_allow=("loopback",))


def source_in(page: str, marker: str) -> dict[str, Any]:
    """The JSON object on the page that holds `marker`."""
    lines = (EXAMPLES / page).read_text().splitlines()
    found: dict[str, Any] = json.loads(next(line for line in lines if marker in line))
    return found


async def test_another_model_is_one_changed_source() -> None:
    """As examples/README.md says; only the address is ours, so that nobody has to pay."""
    source = source_in("README.md", '"provider": "openai"')
    spec = examples.workflow("simple_llm")
    assert [s["id"] for s in spec["sources"]] == [source["id"]]
    async with OpenAIServer(key="secret-of-the-test") as server:
        server.script.append(saying(ANSWER))
        source["config"]["base_url"] = server.base_url
        environ = {
            "OPENAI_API_KEY": "secret-of-the-test",
            "AGENTFLOW_SECRETS_DEFAULT": "OPENAI_API_KEY@127.0.0.1",
        }
        runner = make_runner(LOOPBACK, environ)
        state = {"user_input": "What are your opening hours?"}
        ending = await run_on_langgraph({**spec, "sources": [source]}, state, runner)
        await runner.aclose()
    assert (ending.status, ending.final_state.get("final_output")) == ("COMPLETED", ANSWER)
    asked = server.requests[0].json()
    assert asked["model"] == "gpt-4o-mini"
    assert [m["content"] for m in asked["messages"]] == [
        "You are a librarian. Answer in one sentence.",
        "What are your opening hours?",
    ]


async def test_every_example_with_a_model_names_it_in_sources_only() -> None:
    """Otherwise changing the source would not be enough."""
    for name in examples.names():
        spec = examples.workflow(name)
        for node in spec["nodes"]:
            assert not {"model", "model_name", "provider"} & set(node.get("metadata", {})), name


async def test_the_api_node_of_the_spec_page_calls_a_service() -> None:
    page = ROOT / "docs" / "reference" / "workflow-spec.md"
    nodes = [json.loads(b.text) for b in blocks(page) if b.kind == "node"]
    node = next(n for n in nodes if n["type"] == "api")

    async def forecast(request: Request, connection: Connection) -> None:
        await connection.answer(200, {"sky": "clear", "asked": request.target})

    async with HttpServer(forecast) as server:
        source = {"id": node["metadata"]["source_id"], "kind": "api"}
        source["config"] = {"base_url": server.url}
        spec = {"start_node": node["id"], "nodes": [node], "sources": [source]}
        runner = make_runner(LOOPBACK, {})
        ending = await run_on_langgraph(spec, {"city": "Łódź"}, runner)
        await runner.aclose()
    assert ending.status == "COMPLETED", ending
    assert ending.final_state["forecast"] == {
        "sky": "clear",
        "asked": "/v1/forecast?city=%C5%81%C3%B3d%C5%BA",
    }
