"""Keywords: whole words or phrases, whatever the case.

A word ends where its letters and digits end, in every script; in scripts that write without
spaces between words (Chinese, Japanese, Thai …) any place counts as an end.
"""

import unicodedata
from typing import Final

_UNSPACED: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0xA4CF),  # CJK, kana, Yi
    (0xAC00, 0xD7AF),  # Hangul, whose particles follow without a space
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def normal(text: str) -> str:
    """The text as keywords are compared: composed, case folded, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def holds_phrase(text: str, phrase: str) -> bool:
    """Whether `phrase` stands in `text` as whole words; both already `normal`."""
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        if not (_joined(text, start) or _joined(text, end)):
            return True
        start = text.find(phrase, start + 1)
    return False


def _joined(text: str, place: int) -> bool:
    """Whether the characters before and at `place` belong to one word."""
    if place <= 0 or place >= len(text):
        return False
    return _in_word(text[place - 1]) and _in_word(text[place])


def _in_word(character: str) -> bool:
    if not (character.isalnum() or character == "_"):
        return unicodedata.category(character).startswith("M")
    code = ord(character)
    return code < 0x0E00 or not any(low <= code <= high for low, high in _UNSPACED)
