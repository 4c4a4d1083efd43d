"""Reading and replaying dead letters: nothing that could not be processed is lost silently.

Replay publishes the original payload to its original subject and removes the letter only
after the stream has stored it: a crash between leaves both, never neither.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.table import Table

from agentflow.bus import names
from agentflow.bus.settings import BusSettings
from agentflow.cli.errors import InvalidInput
from agentflow.cli.tables import plain_table
from agentflow.contracts.audits import DeadLetter

KEPT_HEADERS = ("traceparent", "tracestate", "Agentflow-Schema", "Agentflow-Reply-To")
"""Nats-* headers are the server's: a replayed message gets its own."""


@dataclass(frozen=True)
class StoredLetter:
    """A dead letter and its place in the DEAD stream."""

    sequence: int
    letter: DeadLetter

    def to_json(self) -> dict[str, Any]:
        return {"sequence": self.sequence, **self.letter.model_dump(mode="json")}


async def read(js: JetStreamContext, settings: BusSettings, limit: int) -> list[StoredLetter]:
    """The oldest `limit` letters."""
    stream = names.stream_name(settings.prefix, "DEAD")
    state = (await js.stream_info(stream)).state
    letters: list[StoredLetter] = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        if len(letters) >= limit:
            break
        letter = await _get(js, stream, sequence)
        if letter is not None:
            letters.append(letter)
    return letters


async def replay(js: JetStreamContext, settings: BusSettings, sequence: int) -> dict[str, Any]:
    """Publish letter `sequence` again; raises InvalidInput when there is none."""
    stream = names.stream_name(settings.prefix, "DEAD")
    stored = await _get(js, stream, sequence)
    if stored is None:
        raise InvalidInput(
            f"There is no dead letter {sequence}.", hint="See `agentflow bus dlq list`."
        )
    letter = stored.letter
    headers = {key: value for key, value in letter.headers.items() if key in KEPT_HEADERS}
    payload = base64.b64decode(letter.payload_base64)
    ack = await js.publish(letter.origin_subject, payload, headers=headers or None)
    await js.delete_msg(stream, sequence)
    return {"replayed": sequence, "subject": letter.origin_subject, "stored_as": ack.seq}


def table(letters: Iterable[StoredLetter]) -> Table:
    """One line per letter."""
    shown = plain_table(">SEQ", "WHEN", "CODE", "FROM", ">TRIES", "REASON")
    for stored in letters:
        letter = stored.letter
        shown.add_row(
            str(stored.sequence),
            letter.occurred_at.strftime("%Y-%m-%d %H:%M:%S"),
            letter.code,
            letter.origin_subject,
            str(letter.deliveries),
            letter.reason,
        )
    return shown


async def _get(js: JetStreamContext, stream: str, sequence: int) -> StoredLetter | None:
    try:
        message = await js.get_msg(stream, sequence)
    except NotFoundError:
        return None
    if message.data is None:
        return None
    return StoredLetter(sequence, DeadLetter.decode(message.data))
