"""Validation: keys and passwords written into a spec are refused and never repeated."""

import json
from typing import Any

import pytest

from agentflow.engine.validation import validate_spec
from agentflow.engine.validation.findings import show
from agentflow.engine.validation.secrets import is_secret_under, looks_secret

KEYS = [
    "sk-proj-0123456789abcdefghijABCDEFGHIJ",
    "sk-ant-api03-abcdefghijklmnop",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_0123456789abcdefghij",
    "glpat-0123456789abcdefghij",
    "gsk_0123456789abcdefghij",
    "hf_0123456789abcdefghij",
    "xoxb-123456789012-abcdefghij",
    "AKIAABCDEFGHIJKLMNOP",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "sk_live_0123456789abcdefghij",
    "SG.0123456789abcdefghij.0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "postgresql://shop:hunter2@db.example.org/shop",
    "redis://:hunter2@cache:6379/0",
]


def spec(config: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "start_node": "a",
        "nodes": [{"id": "a", "type": "input", "metadata": metadata or {}}],
        "sources": [{"id": "s", "kind": "api", "config": {"base_url": "https://x.org", **config}}],
    }


@pytest.mark.parametrize("secret", KEYS)
def test_a_key_anywhere_is_refused_with_its_place_and_never_repeated(secret: str) -> None:
    for document, pointer in (
        (spec({"headers": {"X-Thing": f"Bearer {secret}"}}), "/sources/0/config/headers/X-Thing"),
        (spec({}, {"deep": [{"x": secret}]}), "/nodes/0/metadata/deep/0/x"),
        ({**spec({}), "description": f"use {secret}"}, "/description"),
    ):
        errors = validate_spec(document).errors
        assert [(i.code, i.pointer) for i in errors] == [("literal_secret", pointer)]
        assert secret not in json.dumps([issue.model_dump() for issue in errors])


def test_a_secret_in_the_wrong_place_is_not_repeated_by_any_other_error() -> None:
    secret = KEYS[0]
    document = {
        "name": secret,
        "start_node": secret,
        "nodes": [{"id": secret, "type": secret, "source": secret, "when": f"'{secret}' =="}],
        "edges": [{"from": secret, "to": [secret, f"{secret}x"], "queue": secret, secret: 1}],
        "queues": [{"id": "q", "from": secret, "to": secret, "bandwidth": {secret: 1}}],
        "sources": [{"id": secret, "kind": secret, "config": {"provider": secret}}],
    }
    assert secret not in json.dumps([issue.message for issue in validate_spec(document).errors])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "0123456789"),
        ("password", "hunter2"),
        ("client_secret", "abcdef"),
        ("X-API-Key", "abcdef123"),
        ("Authorization", "Bearer 0a1b2c3d4e5f6a7b8c9d"),
        ("token", "0a1b2c3d4e5f6a7b8c9d"),
    ],
)
def test_a_literal_under_a_telling_name_is_a_secret(name: str, value: str) -> None:
    assert is_secret_under(name, value)
    errors = validate_spec(spec({name: value})).errors
    assert [issue.code for issue in errors] == ["literal_secret"]
    assert value not in errors[0].message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key_env", "OPENAI_API_KEY"),
        ("api_key_header", "X-API-Key"),
        ("api_key", "secret://openai"),
        ("api_key", "{user_key}"),
        ("api_key", "$OPENAI_API_KEY"),
        ("api_key", "${OPENAI_API_KEY}"),
        ("api_key", "<your key>"),
        ("api_key", "***"),
        ("api_key", ""),
        ("password", "env:DB_PASSWORD"),
        ("password", "a sentence about passwords"),
        ("Authorization", "Bearer {token}"),
        ("token", "short"),
        ("authorization", "none"),
        ("tokens", "0a1b2c3d4e5f6a7b8c9d"),
        ("prompt", "What is a password? Mine is not sk-learn."),
        ("note", "https://example.org:8080/path@home"),
        ("url", "postgresql://user:{password}@host/db"),
        ("url", "postgresql://user@host/db"),
    ],
)
def test_references_and_plain_words_are_no_secrets(name: str, value: str) -> None:
    assert validate_spec(spec({name: value})).errors == ()


def test_texts_made_to_be_slow_are_looked_at_in_linear_time() -> None:
    for text in ("eyJ-" * 500_000, "://a:" * 400_000, "sk-" * 500_000, "-----BEGIN " * 200_000):
        looks_secret(text)


def test_values_are_shown_short_and_never_secret() -> None:
    assert show("a" * 500).endswith("…'")
    assert show(KEYS[0]) == "'…'"
    assert show(["x"]) == "a value of type list"
