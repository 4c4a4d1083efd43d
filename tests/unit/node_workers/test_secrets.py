"""Secrets: allowed names, bound places, nothing told."""

import pytest

from agentflow.contracts.errors import BadInput, NodeFailed
from agentflow.node_workers.secrets import Grant, Secrets

VALUE = "sk-canary-7e57"


def secrets(listed: str | None, **environ: str) -> Secrets:
    values = {"MY_KEY": VALUE, "OPENAI_API_KEY": VALUE, "DATABASE_URL": "postgresql://u:p@h/d"}
    if listed is not None:
        values["AGENTFLOW_SECRETS_ACME"] = listed
    return Secrets(values | environ)


@pytest.mark.parametrize(
    ("listed", "name", "host", "port"),
    [
        ("OPENAI_API_KEY", "OPENAI_API_KEY", "api.openai.com", 443),
        ("OPENAI_API_KEY", "secret://OPENAI_API_KEY", "API.OpenAI.com.", 443),
        ("MY_KEY@llm.example", "MY_KEY", "llm.example", 443),
        ("MY_KEY@llm.example:8443", "MY_KEY", "llm.example", 8443),
        ("MY_KEY@[::1]:80", "MY_KEY", "::1", 80),
        ("MY_KEY@*", "MY_KEY", "anywhere.example", 443),
        (" OPENAI_API_KEY , MY_KEY@llm.example ", "MY_KEY", "llm.example", 443),
        ("MY_KEY", "MY_KEY", "127.0.0.1", 8000),
        ("MY_KEY", "MY_KEY", "localhost", 8000),
        ("OPENAI_API_KEY@proxy.example", "OPENAI_API_KEY", "proxy.example", 443),
    ],
)
def test_a_listed_secret_goes_to_its_place(listed: str, name: str, host: str, port: int) -> None:
    assert secrets(listed).for_host("acme", name, host, port) == VALUE


@pytest.mark.parametrize(
    ("listed", "name", "host"),
    [
        (None, "OPENAI_API_KEY", "api.openai.com"),
        ("", "OPENAI_API_KEY", "api.openai.com"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY", "evil.example"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY", "api.openai.com.evil.example"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY", "127.0.0.1"),
        ("OPENAI_API_KEY", "DATABASE_URL", "api.openai.com"),
        ("OPENAI_API_KEY", "PATH", "api.openai.com"),
        ("MY_KEY", "MY_KEY", "evil.example"),
        ("MY_KEY@llm.example", "MY_KEY", "evil.example"),
        ("MY_KEY@llm.example:1", "MY_KEY", "llm.example"),
        ("MISSING@*", "MISSING", "x.example"),
        ("AGENTFLOW_SECRETS_ACME", "AGENTFLOW_SECRETS_ACME", "x.example"),
    ],
)
def test_anything_else_is_not_found_and_nothing_is_told(
    listed: str | None, name: str, host: str
) -> None:
    with pytest.raises(NodeFailed) as failed:
        secrets(listed).for_host("acme", name, host, 443)
    assert failed.value.error_code == "secret_not_found"
    told = repr(failed.value.to_node_error())
    assert VALUE not in told
    assert "postgresql" not in told


def test_a_name_that_exists_and_one_that_does_not_are_refused_alike() -> None:
    words = []
    for name in ("DATABASE_URL", "DATABASE_XXX"):
        with pytest.raises(NodeFailed) as failed:
            secrets("MY_KEY").for_host("acme", name, "x.example", 443)
        words.append(failed.value.message.replace(name, "NAME"))
    assert words[0] == words[1]


def test_the_default_tenant_has_the_well_known_names_until_it_has_a_list() -> None:
    assert secrets(None).for_host("default", "OPENAI_API_KEY", "api.openai.com", 443) == VALUE
    listed = secrets(None, AGENTFLOW_SECRETS_DEFAULT="MY_KEY")
    with pytest.raises(NodeFailed):
        listed.for_host("default", "OPENAI_API_KEY", "api.openai.com", 443)


def test_no_two_tenants_share_a_list() -> None:
    """`ACME` and `Acme` would both read AGENTFLOW_SECRETS_ACME."""
    for tenant in ("ACME", "Acme", "other", "acme-2"):
        with pytest.raises(NodeFailed):
            secrets("MY_KEY@*").for_host(tenant, "MY_KEY", "x.example", 443)


def test_a_dsn_is_listed_without_a_host_and_is_no_providers_key() -> None:
    listed = secrets("DATABASE_URL,OPENAI_API_KEY,MY_KEY@llm.example")
    assert listed.dsn("acme", "DATABASE_URL").startswith("postgresql://")
    for name in ("OPENAI_API_KEY", "MY_KEY", "PATH"):
        with pytest.raises(NodeFailed) as failed:
            listed.dsn("acme", name)
        assert failed.value.error_code == "secret_not_found"


def test_grants_are_read_from_their_text() -> None:
    assert Grant.parse("A") == Grant("A")
    assert Grant.parse(" A@Host.Example:80 ") == Grant("A", "host.example", 80)
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        Grant.parse("A@host:port")
    with pytest.raises(BadInput, match="AGENTFLOW_SECRETS_ACME"):
        secrets("A@host:port")
