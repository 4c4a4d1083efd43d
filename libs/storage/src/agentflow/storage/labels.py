"""What lists can be narrowed by: tags and plain metadata values, cut to what an index holds.

Written by the projection and asked for by lists through the same functions, so that both
cut and fold text alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MAX_LENGTH = 256
MAX_LABELS = 64
MAX_SEARCH_TEXT = 1000


def labels(tags: Iterable[Any], metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key and value of every label; a tag has the key "". At most MAX_LABELS."""
    found = dict.fromkeys(("", tag_label(str(tag))) for tag in tags)
    for key, value in metadata.items():
        if key and isinstance(value, str | int | float | bool):
            found[metadata_key(key), metadata_value(value)] = None
    return list(found)[:MAX_LABELS]


def tag_label(tag: str) -> str:
    return _cut(tag)


def metadata_key(key: str) -> str:
    return _cut(key)


def metadata_value(value: Any) -> str:
    """`true`, `3`, `text`: as a query string can name it."""
    return _cut(str(value).lower() if isinstance(value, bool) else str(value))


def searchable(text: str) -> str:
    """Text as it is stored for search and searched for: case folded, no NUL, of bounded length."""
    return text[:MAX_SEARCH_TEXT].replace("\0", " ").casefold()


def _cut(text: str) -> str:
    return text[:MAX_LENGTH].replace("\0", " ")
