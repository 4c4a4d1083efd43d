"""Readers of the log end, however their cancellation is taken."""

import asyncio

from agentflow.bus.log_reader import StoredMessage
from agentflow.gateway.event_stream import _ended, frame, last_event_id


async def test_a_reader_that_loses_its_first_cancellation_still_ends() -> None:
    async def stubborn() -> None:
        for _ in range(2):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue
        await asyncio.sleep(3600)

    reader = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await _ended({reader})
    assert reader.cancelled()


def test_a_frame_holds_one_event_on_one_line() -> None:
    subject = "agentflow.events.acme.exec_1.node.completed"
    whole = frame(StoredMessage(subject, b'{"a":1}', 7))
    assert whole == b'id: 7\nevent: node.completed\ndata: {"a":1}\n\n'
    pretty = frame(StoredMessage(subject, b'{\n "a": 1\r\n}', 7))
    assert pretty == whole
    assert frame(StoredMessage(subject, b"a\nb", 7)) is None


def test_only_numbers_of_ours_are_places_in_the_log() -> None:
    assert last_event_id("42") == 42
    for given in (None, "", "-1", "4.2", "x", "４２", "0x2"):
        assert last_event_id(given) == 0
    assert 0 < last_event_id("9" * 500) < 2**63
