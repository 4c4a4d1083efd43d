"""Run a workflow with nothing but a NATS client: no REST, none of our packages.

    python examples/publish_directly.py              needs a running stack: agentflow dev
    python examples/publish_directly.py --live       follows the live feed, needs no $JS.API
    python examples/publish_directly.py --broken     a spec with errors: a problem comes back

The command goes to `agentflow.commands.{tenant}.execute`. Its `reply_to` names our inbox:
first `accepted` (or a problem) arrives there, at the end the result. What happens in between
are events on `agentflow.events.{tenant}.{execution_id}.>`. Exit code: 0 completed, 1 ended
otherwise, 2 refused, 3 nobody answered.
"""

import argparse
import asyncio
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

TENANT = "default"
ANSWER_SECONDS = 30.0

WORKFLOW: dict[str, Any] = {
    "name": "published-directly",
    "start_node": "message",
    "nodes": [
        {"id": "message", "type": "input", "metadata": {"validation": {"required": True}}},
        {
            "id": "mood",
            "type": "router",
            "metadata": {
                "strategy": "keyword",
                "routes": [{"intent": "angry", "keywords": ["refund", "broken", "never again"]}],
                "default_intent": "calm",
            },
        },
        {
            "id": "reply",
            "type": "llm",
            "metadata": {
                "source_id": "model",
                "prompt": "Answer this {intent} customer: {user_input}",
            },
        },
        {
            "id": "record",
            "type": "aggregator",
            "metadata": {"strategy": "merge", "source_keys": ["intent", "text_result"]},
        },
    ],
    "edges": [
        {"from": "message", "to": "mood"},
        {"from": "mood", "to": "reply"},
        {"from": "reply", "to": "record"},
        {"from": "record", "to": "END"},
    ],
    "sources": [
        {
            "id": "model",
            "kind": "llm",
            "config": {
                "provider": "demo",
                "replies": [
                    {"match": "angry customer", "reply": "We are sorry and will put it right."},
                    {"match": "calm customer", "reply": "Thank you for writing to us."},
                ],
            },
        }
    ],
}


def broken_workflow() -> dict[str, Any]:
    """Two mistakes: an edge into nowhere, and a source nobody declared."""
    broken: dict[str, Any] = json.loads(json.dumps(WORKFLOW))
    broken["edges"][2]["to"] = "recrod"
    broken["nodes"][2]["metadata"]["source_id"] = "modle"
    return broken


async def main(options: argparse.Namespace) -> int:
    try:
        client = await nats.connect(
            options.nats, max_reconnect_attempts=1, reconnect_time_wait=0.2, error_cb=stay_calm
        )
    except (NatsError, OSError) as error:
        print(f"Nobody answers at {options.nats} ({error}). Is it running?", file=sys.stderr)
        return 3
    try:
        return await execute(client, options)
    except TimeoutError:
        print(f"No answer within {ANSWER_SECONDS:.0f} s. Is the executor running?", file=sys.stderr)
        return 3
    except NatsError as error:
        print(f"Cannot publish: {error!r}. Is the whole stack running?", file=sys.stderr)
        return 3
    finally:
        await client.close()


async def stay_calm(error: Exception) -> None:
    """What goes wrong is said once, by whoever waits for it."""


async def execute(client: Client, options: argparse.Namespace) -> int:
    """Publish the command, then print what comes back until the result is there."""
    inbox = client.new_inbox()
    replies = await client.subscribe(inbox)
    command: dict[str, Any] = {
        "workflow": broken_workflow() if options.broken else WORKFLOW,
        "initial_state": {"user_input": options.text},
        "reply_to": inbox,
    }
    events: Subscription | None = None
    if options.live:
        # The live feed has no past: choose the id, so that we can listen before we publish.
        command["execution_id"] = f"exec_{uuid.uuid4().hex}"
        feed = f"agentflow.live.{options.tenant}.{command['execution_id']}.>"
        events = await client.subscribe(feed)
    ack = await client.jetstream().publish(
        f"agentflow.commands.{options.tenant}.execute", json.dumps(command).encode()
    )
    show("stored", {"stream": ack.stream, "sequence": ack.seq})

    answer = await next_reply(replies)
    if answer.get("kind") != "accepted":
        show("problem", answer)
        return 2
    show("accepted", answer)

    if events is None:
        # The stream has a past: an ordered consumer starts at the first event.
        log = f"agentflow.events.{options.tenant}.{answer['execution_id']}.>"
        events = await client.jetstream().subscribe(log, ordered_consumer=True)
    async with asyncio.timeout(ANSWER_SECONDS):
        async for event in events.messages:
            if show_event(event):
                break
    result = await next_reply(replies)
    show("result", result)
    return 0 if result.get("status") == "COMPLETED" else 1


async def next_reply(replies: Subscription) -> dict[str, Any]:
    message = await replies.next_msg(timeout=ANSWER_SECONDS)
    reply: dict[str, Any] = json.loads(message.data)
    return reply


def show_event(message: Msg) -> bool:
    """Print one event; True when it is the last one of its execution."""
    entity, verb = message.subject.rsplit(".", 2)[1:]
    event = json.loads(message.data)
    show("event", {"what": f"{entity}.{verb}", "node": event.get("node_id")})
    return entity == "execution" and verb in ("completed", "failed", "cancelled", "timed_out")


def show(kind: str, content: dict[str, Any]) -> None:
    """One line of JSON per thing that happened."""
    print(json.dumps({kind: content}), flush=True)


def nats_url() -> str:
    """NATS_URL, else what `agentflow dev` wrote down here, else the usual port."""
    if url := os.environ.get("NATS_URL"):
        return url
    try:
        return str(json.loads(Path(".agentflow/dev.json").read_text())["nats_url"])
    except (OSError, ValueError, KeyError):
        return "nats://127.0.0.1:4222"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run a workflow over plain NATS.")
    parser.add_argument("--nats", default=nats_url(), help="default: %(default)s")
    parser.add_argument("--tenant", default=TENANT)
    parser.add_argument("--text", default="The kettle is broken, I want a refund!")
    parser.add_argument("--broken", action="store_true", help="publish a spec with errors")
    parser.add_argument("--live", action="store_true", help="follow the live feed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse_options())))
