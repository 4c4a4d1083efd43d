"""All 300 messages through the triage workflow, held against labels it knows nothing of.

The workflow is not always right, and the page about it says how often: those figures are
computed here from its real results.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agentflow.node_workers.app import make_runner
from agentflow.node_workers.runner import NodeRunner
from tests.support import examples
from tests.support.examples import EXAMPLES
from tests.support.schedulers import run_on_langgraph, run_on_walk

FIELDS = ("intent", "order_number", "action", "priority")
Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture(scope="module")
def answered(example_environ: Mapping[str, str], example_data: Path) -> Pairs:
    """(message, final_output) of each of the 300, run once for all tests here."""
    return asyncio.run(answer_all(make_runner(environ=example_environ), example_data))


async def answer_all(runner: NodeRunner, data: Path) -> Pairs:
    pairs: Pairs = []
    for message in examples.inputs(examples.jobs()["triage"], data):
        ending = await run_on_walk(examples.workflow("triage"), message["initial_state"], runner)
        assert ending.status == "COMPLETED", (message, ending.error)
        pairs.append((message, ending.final_state["final_output"]))
    await runner.aclose()
    return pairs


def right(message: Mapping[str, Any], output: Mapping[str, Any]) -> dict[str, bool]:
    return {field: output[field] == message["expect"][field] for field in FIELDS}


def test_all_300_are_answered_as_well_as_the_page_says(answered: Pairs) -> None:
    assert len(answered) == 300
    count: Counter[str] = Counter()
    for message, output in answered:
        verdicts = right(message, output)
        count.update(field for field, is_right in verdicts.items() if is_right)
        count["everything"] += all(verdicts.values())
        count[message["half"]] += verdicts["intent"]
    page = (EXAMPLES / "triage" / "README.md").read_text()
    said = {name: int(number) for name, number in re.findall(r"\| `(\w+)` \| (\d+) of \d+", page)}
    assert said == dict(count)


def test_what_is_looked_up_is_always_right(answered: Pairs) -> None:
    """Intent and urgency are guesses from words; orders and what follows from them are not."""
    for message, output in answered:
        verdicts = right(message, output)
        assert verdicts["order_number"], message
        assert verdicts["action"] or not verdicts["intent"], message


def test_every_reply_is_a_whole_sentence(answered: Pairs) -> None:
    for message, output in answered:
        assert not re.search(r"[{}]|null", output["result"]), (message, output["result"])
        assert output["message_id"] == message["initial_state"]["message_id"]


async def test_langgraph_gives_the_same_for_one_message_of_each_action(
    answered: Pairs, runner: NodeRunner
) -> None:
    one_of_each = {output["action"]: (message, output) for message, output in answered}
    assert len(one_of_each) == 17
    for message, output in one_of_each.values():
        ending = await run_on_langgraph(
            examples.workflow("triage"), message["initial_state"], runner
        )
        assert ending.final_state["final_output"] == output


async def test_a_message_without_a_sender_is_refused(runner: NodeRunner) -> None:
    state = {"message_id": "M-1", "received_on": "2026-10-15", "user_input": "hello"}
    ending = await run_on_walk(examples.workflow("triage"), state, runner)
    assert (ending.status, ending.error) == ("FAILED", "invalid_input")


async def test_somebody_elses_order_is_not_told(runner: NodeRunner) -> None:
    """HL-25591 belongs to farah.ueda98@example.org."""
    state = {
        "message_id": "M-1",
        "from": "jonas.okafor10@example.com",
        "received_on": "2026-10-15",
        "user_input": "Where is my order HL-25591?",
    }
    ending = await run_on_walk(examples.workflow("triage"), state, runner)
    assert ending.final_state["final_output"]["action"] == "ask_order_number"
    assert ending.final_state["order"][0]["found"] == 0
