"""Recognising keys and passwords that somebody wrote into a spec.

Two ways: the value has the shape of a known kind of key, or it stands under a name such as
`password` and is no reference. References (`secret://…`, `{placeholder}`, `$NAME`, `env:NAME`) and
names of variables (keys ending in `_env`, `_header` …) are never taken for secrets.
"""

import re
from functools import cache, lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # the wheel ships no types

_SHAPES: Final = (
    rb"\bsk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter …
    rb"\b(?:gh[pousr]_|github_pat_|glpat-|gsk_|hf_|xai-|pplx-|r8_)[A-Za-z0-9_-]{16,}",
    rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    rb"\bAIza[0-9A-Za-z_-]{30,}",
    rb"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",
    rb"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    rb"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}",
    rb"-----BEGIN (?:[A-Z]{2,20} ){0,2}PRIVATE KEY",
)
_MARKS: Final = (
    *("sk-", "sk_", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gsk_"),
    *("hf_", "xai-", "pplx-", "r8_", "xox", "AKIA", "ASIA", "AIza", "SG.", "eyJ", "-----BEGIN"),
)
_DSN: Final = re.compile(r"://[^\s/:@?#]{0,200}:([^\s/@?#]{1,200})@")
_REFERENCE: Final = re.compile(r"\{[^{}]*\}|\$\{?\w+\}?|<[^<>]*>|[*x.…]+|secret://.*|env:\w+")
_SCHEME: Final = re.compile(r"(?:bearer|basic|token|apikey|digest)\s+", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\s{}]+")

_STRONG = (
    "api_key apikey password passwd pwd passphrase secret client_secret secret_key private_key "
    "access_key secret_access_key access_token auth_token refresh_token bearer_token api_token "
    "x_api_key signing_key connection_password aws_secret_access_key session_token"
)
STRONG_NAMES: Final = frozenset(_STRONG.split())
WEAK_NAMES: Final = frozenset({"token", "authorization", "auth", "credential", "credentials"})
MIN_STRONG: Final = 4
MIN_WEAK: Final = 16


def looks_secret(value: str) -> bool:
    """Whether the value has the shape of a key, or is an address with a password in it."""
    if any(mark in value for mark in _MARKS) and _shapes().search(value.encode("utf-8", "replace")):
        return True
    found = _DSN.search(value) if "://" in value else None
    return found is not None and not _REFERENCE.fullmatch(found.group(1))


@cache
def _shapes() -> Any:
    """RE2, because Python's own engine takes quadratic time on texts made for it."""
    return re2.compile(b"|".join(_SHAPES))


def is_secret_under(name: str, value: str) -> bool:
    """Whether a value is a literal secret because of the name it stands under."""
    least = _least_length(name)
    if not least or len(value) < least:
        return False
    text = _SCHEME.sub("", value.strip(), count=1)
    if not text or _REFERENCE.fullmatch(text) or not _WORD.fullmatch(text):
        return False
    return len(text) >= least and (least == MIN_STRONG or _looks_random(text))


@lru_cache(maxsize=4096)
def _least_length(name: str) -> int:
    """From which length on a value under this name may be a secret; 0: never."""
    plain = name.casefold().replace("-", "_")
    if plain in STRONG_NAMES:
        return MIN_STRONG
    return MIN_WEAK if plain in WEAK_NAMES else 0


def _looks_random(text: str) -> bool:
    """Letters and several digits in one long word: what people do not write."""
    digits = sum(character.isdigit() for character in text)
    return digits >= 3 and sum(character.isalpha() for character in text) >= 4
