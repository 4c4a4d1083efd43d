"""What strangers send: bodies that are no JSON, JSON that is no message, and worse.

Each has a name; `bodies(around)` puts the bad part inside an otherwise good document, where
that makes sense, so that a shallow check does not catch it.
"""

import json
from collections.abc import Mapping
from typing import Any

DEEP = 100_000
WORKFLOW: dict[str, Any] = {
    "name": "hello",
    "start_node": "a",
    "nodes": [
        {"id": "a", "type": "input"},
        {
            "id": "b",
            "type": "aggregator",
            "metadata": {"strategy": "template", "template": "Hello {user_input}!"},
        },
    ],
    "edges": [{"from": "a", "to": "b"}],
}
"""Pure nodes only: a good message that is served in a moment."""


def not_json() -> dict[str, bytes]:
    """Bodies no parser accepts."""
    return {
        "nothing": b"",
        "blanks": b" \n\t ",
        "a word": b"hello",
        "cut off": b'{"workflow": {"nodes": [',
        "single quotes": b"{'workflow': {}}",
        "trailing comma": b'{"a": 1,}',
        "two documents": b"{}{}",
        "no UTF-8": b'{"a": "\xff\xfe"}',
        "UTF-16": '{"a": 1}'.encode("utf-16"),
        "raw surrogate": b'{"a": "\xed\xa0\x80"}',
        "raw NUL": b'{"a": "\x00"}',
        "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        "100,000 brackets": b"[" * DEEP,
        "100,000 braces": b'{"a":' * DEEP,
        "an open string of brackets": b'"' + b'\\"[' * 1_000_000,
    }


def no_object() -> dict[str, bytes]:
    """JSON, but no message."""
    return {
        "null": b"null",
        "a number": b"7",
        "a string": b'"workflow"',
        "an array": b"[1, 2]",
        "true": b"true",
    }


def poisoned(good: Mapping[str, Any], key: str = "initial_state") -> dict[str, bytes]:
    """A good document with one thing inside `key` that nothing can store."""

    def inside(text: str) -> bytes:
        document = json.dumps({**good, key: "@@"})
        return document.replace('"@@"', '{"x": [' + text + "]}").encode("utf-8", "surrogatepass")

    return {
        "NaN": inside("NaN"),
        "minus infinity": inside("-Infinity"),
        "1e999": inside("1e999"),
        "a huge integer": inside("9" * 400),
        "an endless integer": inside("9" * 1_000_000),
        "an escaped NUL": inside('"a\\u0000b"'),
        "a NUL in a key": inside('{"a\\u0000": 1}'),
        "a lone surrogate": inside('"\\ud800"'),
        "a lone surrogate in a key": inside('{"\\udfff": 1}'),
        "a key twice": inside('{"a": 1, "a": 2}'),
        "100,000 levels": inside("[" * DEEP + "]" * DEEP),
        "300 levels": inside("[" * 300 + "]" * 300),
        "more keys than allowed": inside(
            "{" + ",".join(f'"k{n}": 0' for n in range(250_000)) + "}"
        ),
    }
