"""Cursors: where a page ended, opaque to clients, safe to get back from strangers."""

import base64
import binascii
from datetime import UTC, datetime

import orjson

from agentflow.storage.errors import BadCursor
from agentflow.storage.types import utc_text

MAX_LIMIT = 500
_MAX_CURSOR = 512


def encode_cursor(at: datetime, item_id: str) -> str:
    """The cursor after the item `item_id` of time `at`."""
    return base64.urlsafe_b64encode(orjson.dumps([utc_text(at), item_id])).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """Time and id of the last item seen; raises BadCursor."""
    if len(cursor) > _MAX_CURSOR:
        raise BadCursor("The cursor is too long to be one of ours.")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        at, item_id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(at)
        if not isinstance(item_id, str) or "\0" in item_id or moment.tzinfo is None:
            raise ValueError
        moment.astimezone(UTC)  # one beside the calendar's ends does not exist in UTC
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise BadCursor(
            f"The cursor {cursor[:40]!r} cannot be read.",
            hint="Give back `next_cursor` unchanged, or leave the cursor out.",
        ) from None
    return moment, item_id


def clamp_limit(limit: int) -> int:
    """A page size between 1 and MAX_LIMIT."""
    return max(1, min(limit, MAX_LIMIT))
