"""Every command against a running `agentflow dev`, through the real command in its own process."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from agentflow.contracts.strict_json import parse_json
from tests.support.cli import COMMAND, Dev, environment, running_dev

pytestmark = pytest.mark.e2e

ROUTE = {
    "name": "route",
    "start_node": "ask",
    "nodes": [
        {"id": "ask", "type": "input", "metadata": {"validation": {"required": True}}},
        {
            "id": "mood",
            "type": "router",
            "metadata": {
                "strategy": "keyword",
                "routes": [{"intent": "angry", "keywords": ["broken"]}],
                "default_intent": "calm",
            },
        },
        {"id": "reply", "type": "llm", "metadata": {"source_id": "m", "prompt": "{user_input}"}},
    ],
    "edges": [{"from": "ask", "to": "mood"}, {"from": "mood", "to": "reply"}],
    "sources": [{"id": "m", "kind": "llm", "config": {"provider": "demo"}}],
}
SLOW = {**ROUTE, "name": "slow", "sources": [
    {"id": "m", "kind": "llm", "config": {"provider": "demo", "delay_seconds": 60}}
]}  # fmt: skip


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    directory = tmp_path_factory.mktemp("dev")
    for name, spec in (("route", ROUTE), ("slow", SLOW)):
        (directory / f"{name}.json").write_text(json.dumps(spec, indent=2))
    with running_dev(directory) as dev:
        yield dev


def test_run_prints_the_result_as_json_and_exits_0(dev: Dev) -> None:
    done = dev.run("run", "route.json", "--input", "user_input=it is broken")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "COMPLETED"
    assert result["final_state"]["intent"] == "angry"
    assert result["tokens_used"] > 0
    assert "COMPLETED in" in done.stderr


def test_run_and_run_local_print_the_same_final_state(dev: Dev) -> None:
    remote, local = (
        dev.run("run", "route.json", "-i", "user_input=hello", *more) for more in ([], ["--local"])
    )
    assert json.loads(remote.stdout)["final_state"] == json.loads(local.stdout)["final_state"]


def test_watch_into_a_pipe_says_each_node_once_without_colours(dev: Dev) -> None:
    done = dev.run("run", "route.json", "-i", "user_input=x", "--watch")
    lines = [line for line in done.stderr.splitlines() if line.startswith("✔")]
    assert [line.split()[1] for line in lines] == ["ask", "mood", "reply"]
    assert "tokens $0" in lines[2]
    assert "\x1b" not in done.stderr


def test_json_says_nothing_but_the_result(dev: Dev) -> None:
    done = dev.run("run", "route.json", "-i", "user_input=x", "--json")
    assert json.loads(done.stdout)["status"] == "COMPLETED"
    assert len(done.stderr.splitlines()) <= 1


def test_a_failed_execution_exits_1_and_says_which_node_and_why(dev: Dev) -> None:
    done = dev.run("run", "route.json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "FAILED"
    assert "invalid_input in node ask" in done.stderr


def test_a_timed_out_execution_exits_124_with_its_partial_state(dev: Dev) -> None:
    done = dev.run("run", "slow.json", "-i", "user_input=x", "--timeout", "1")
    assert done.returncode == 124, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "TIMED_OUT"
    assert result["final_state"]["intent"] == "calm"


def test_an_invalid_spec_exits_2_with_line_caret_code_and_hint(dev: Dev) -> None:
    text = (dev.directory / "route.json").read_text().replace('"to": "reply"', '"to": "rpely"')
    (dev.directory / "typo.json").write_text(text)
    done = dev.run("run", "typo.json", "-i", "user_input=x")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "unknown_edge_target" in done.stderr
    assert re.search(r'│ +"to": "rpely"\n +\^', done.stderr)
    assert "Did you mean 'reply'" in done.stderr


def test_executions_are_listed_shown_and_tailed(dev: Dev) -> None:
    done = dev.run("run", "route.json", "-i", "user_input=again")
    execution_id = json.loads(done.stdout)["execution_id"]
    table = dev.run("executions", "ls")
    assert execution_id in table.stdout
    page = json.loads(dev.run("executions", "ls", "--json", "--limit", "1").stdout)
    assert len(page["items"]) == 1
    shown = json.loads(dev.run("executions", "show", execution_id).stdout)
    assert shown["status"] == "COMPLETED"
    tailed = dev.run("executions", "tail", execution_id)
    names = [line.split()[1] for line in tailed.stdout.splitlines()]
    assert names[0] in ("command.accepted", "execution.started")
    assert names[-1] == "execution.completed"
    events = dev.run("executions", "tail", execution_id, "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in events] == names


def test_an_execution_that_is_not_there_exits_2(dev: Dev) -> None:
    done = dev.run("executions", "show", "exec_nowhere")
    assert done.returncode == 2
    assert "exec_nowhere" in done.stderr or "execution" in done.stderr


def test_cancel_ends_a_running_execution(dev: Dev) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "slow.json", "-i", "user_input=x"],
        cwd=dev.directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        execution_id = process.stderr.readline().split()[0]
        cancelled = dev.run("executions", "cancel", execution_id)
        assert cancelled.returncode == 0, cancelled.stderr
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(out)["status"] == "CANCELLED"


def test_the_bus_is_as_it_should_be_and_status_says_when_it_is_not(dev: Dev) -> None:
    assert dev.run("bus", "status").returncode == 0
    findings = json.loads(dev.run("bus", "status", "--json").stdout)
    assert {"agentflow_COMMANDS", "agentflow_EVENTS"} <= {f["name"] for f in findings}
    other = dev.run("bus", "status", env={"AGENTFLOW_BUS_PREFIX": "elsewhere"})
    assert other.returncode == 1
    assert "missing" in other.stdout


async def test_a_command_nobody_can_read_is_listed_as_dead_and_can_be_replayed(dev: Dev) -> None:
    client = await nats.connect(dev.file["nats_url"])
    try:
        await client.jetstream().publish("agentflow.commands.default.execute", b"\xff not json")
        while not (letters := json.loads(dev.run("bus", "dlq", "list", "--json").stdout)):
            pass
        info = await client.jetstream().stream_info("agentflow_COMMANDS")
    finally:
        await client.close()
    letter = letters[0]
    assert letter["origin_subject"] == "agentflow.commands.default.execute"
    assert letter["code"] in dev.run("bus", "dlq", "list").stdout
    replayed = json.loads(dev.run("bus", "dlq", "replay", str(letter["sequence"])).stdout)
    assert replayed["stored_as"] > info.state.last_seq
    again = dev.run("bus", "dlq", "replay", str(letter["sequence"]))
    assert again.returncode == 2
    assert "no dead letter" in again.stderr


def test_doctor_finds_everything_in_order(dev: Dev) -> None:
    done = dev.run("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(done.stdout)}
    assert {"gateway", "bus", "database", "cache", "stack"} <= findings.keys()
    assert [f for f in findings.values() if f["state"] == "bad"] == []
    assert done.returncode == 0


def test_keys_are_made_listed_and_revoked_and_a_role_is_held(dev: Dev) -> None:
    pepper = (dev.directory / ".agentflow" / "pepper").read_text()
    env = {"AGENTFLOW_API_KEY_PEPPER": pepper}
    made = json.loads(dev.run("keys", "create", "--role", "viewer", env=env).stdout)
    as_viewer = {"AGENTFLOW_API_KEY": made["api_key"]}
    assert dev.run("executions", "ls", env=as_viewer).returncode == 0
    refused = dev.run("run", "route.json", "-i", "user_input=x", env=as_viewer)
    assert refused.returncode == 2
    listed = dev.run("keys", "list", "--json")
    assert made["key_id"] in listed.stdout
    assert made["api_key"] not in listed.stdout
    assert dev.run("keys", "revoke", made["key_id"]).returncode == 0
    assert dev.run("keys", "create", "--role", "king").returncode == 2


def test_a_wrong_key_is_refused_with_what_to_do(dev: Dev) -> None:
    done = dev.run("executions", "ls", env={"AGENTFLOW_API_KEY": "af_wrong.key"})
    assert done.returncode == 2
    assert "AGENTFLOW_API_KEY" in done.stderr


def test_a_spec_can_come_from_stdin(dev: Dev) -> None:
    spec = json.dumps(parse_json((dev.directory / "route.json").read_bytes()))
    done = dev.run("run", "-", "-i", "user_input=x", stdin=spec)
    assert done.returncode == 0, done.stderr


def test_dev_json_says_where_everything_is_and_only_its_owner_reads_it(dev: Dev) -> None:
    file = dev.file
    assert file["gateway_url"].startswith("http://127.0.0.1:")
    assert file["nats_url"].startswith("nats://127.0.0.1:")
    assert file["database_url"].endswith("agentflow.db")
    assert {"gateway", "executor", "node-workers", "history", "audit", "validator"} <= {
        *file["pids"]
    }
    path = Path(dev.directory / ".agentflow" / "dev.json")
    assert path.stat().st_mode & 0o777 == 0o600
