"""The hash chain of the audit log: pure.

A record's hash is SHA-256 over the hash before it and every field of the record, in one fixed
JSON form. Whoever changes, inserts, reorders or removes a record breaks every hash after it.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from agentflow.storage.types import utc_text

GENESIS = "0" * 64
"""The hash before the first record."""

_CHAINED = (
    "tenant",
    "position",
    "record_id",
    "resource",
    "verb",
    "occurred_at",
    "recorded_at",
    "actor",
    "resource_id",
    "request_id",
    "client_address",
    "details",
)


def record_hash(prev_hash: str, record: Mapping[str, Any]) -> str:
    """Hex SHA-256 of `record` (with `details` as the text that is stored) after `prev_hash`."""
    fields = [_plain(record[name]) for name in _CHAINED]
    return hashlib.sha256(prev_hash.encode() + orjson.dumps(fields)).hexdigest()


def details_text(details: Mapping[str, Any]) -> str:
    """Details as they are stored and hashed: JSON with sorted keys."""
    return orjson.dumps(details, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def broken_link(prev_hash: str, position: int, record: Mapping[str, Any]) -> str | None:
    """Why `record` does not follow `prev_hash` at `position`; None when it does."""
    if record["position"] != position:
        return f"record {position} is missing"
    if record["prev_hash"] != prev_hash:
        return "it does not name the record before it"
    if record["hash"] != record_hash(prev_hash, record):
        return "its content was changed"
    return None


def _plain(value: Any) -> Any:
    return utc_text(value) if isinstance(value, datetime) else value
