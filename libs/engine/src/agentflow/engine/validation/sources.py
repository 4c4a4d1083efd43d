"""Sources: every node has the one it needs, and every source has what its kind needs.

A source inlined in the spec wins over a stored one. What is stored is told by the caller;
where that knows a source but not its kind, any kind is taken.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from agentflow.contracts.spec import Source, SourceKind
from agentflow.engine.validation.draft import EMPTY, Draft, NodeDraft
from agentflow.engine.validation.findings import Findings, Path, show

KnownSources = Mapping[str, Any] | Callable[[str], Any] | None
"""Stored sources: id → Source, its kind, an object with `kind`, or True; None: not stored."""

KINDS: Final = get_args(SourceKind)
PROVIDERS: Final[dict[str, frozenset[str]]] = {
    "llm": frozenset(
        {"openai", "azure_openai", "anthropic", "google", "gemini", "groq", "ollama", "demo"}
    ),
    "image": frozenset({"openai", "azure_openai", "google", "gemini", "demo"}),
    "db": frozenset({"postgresql", "postgres", "mysql", "mariadb", "sqlite"}),
}
AUTH_METHODS: Final = frozenset(
    {"none", "api_key", "bearer", "basic", "oauth2", "jwt", "hmac", "aws_sigv4"}
)
_CONNECTION: Final = (
    "connection_string_env",
    "dsn_env",
    "url_env",
    "connection_string",
    "dsn",
    "path",
)
_MODEL: Final = ("model", "model_name", "deployment")


def check_sources(draft: Draft, findings: Findings, known: KnownSources) -> None:
    """Tell what is wrong with the sources and with the nodes' use of them."""
    inlined: dict[str, Any] = {}
    for place, raw in draft.sources:
        if isinstance(raw.get("id"), str):
            inlined.setdefault(raw["id"], raw.get("kind"))
        _check_config(("sources", place), raw, findings)
    for node in draft.nodes:
        wanted = wanted_kind(node)
        if wanted is not None:
            _check_use(node, wanted, inlined, findings, known)


def wanted_kind(node: NodeDraft) -> str | None:
    """The kind of source the node needs; None: it needs none."""
    if node.kind == "router" and node.metadata.get("strategy") == "llm":
        return "llm"
    return node.kind if node.kind in KINDS else None


def _check_use(
    node: NodeDraft, wanted: str, inlined: dict[str, Any], findings: Findings, known: KnownSources
) -> None:
    found = node.setting("source_id", "source")
    if found is None:
        if not _is_complete_without(node):
            message = f"Node {show(node.id)} needs a source of kind {wanted!r}."
            path = node.path("metadata", "source_id")
            findings.add("missing_source", message, path, node_id=node.id)
        return
    source_id, path = found
    if not isinstance(source_id, str):
        return
    kind = inlined[source_id] if source_id in inlined else _stored_kind(known, source_id)
    if kind is None:
        stored = list(known) if isinstance(known, Mapping) else []
        message = f"There is no source {show(source_id)}."
        hint = findings.did_you_mean(source_id, [*inlined, *stored])
        findings.add("unknown_source", message, path, node_id=node.id, hint=hint)
    elif kind in KINDS and kind != wanted:
        message = f"The source {show(source_id)} is of kind {kind!r}; the node needs {wanted!r}."
        findings.add("wrong_source_kind", message, path, node_id=node.id)


def _is_complete_without(node: NodeDraft) -> bool:
    """An api node that says the whole address needs no source."""
    if node.kind != "api":
        return False
    addresses = (node.metadata.get(name) for name in ("url", "base_url", "path"))
    return any(isinstance(a, str) and a.startswith(("http://", "https://")) for a in addresses)


def _stored_kind(known: KnownSources, source_id: str) -> Any:
    """The kind of a stored source, True when only its being there is known, None when it is not."""
    if known is None:
        return None
    found = known.get(source_id) if isinstance(known, Mapping) else known(source_id)
    if isinstance(found, Source):
        return found.kind
    return found.get("kind") if isinstance(found, Mapping) else found


def _check_config(base: Path, raw: Mapping[str, Any], findings: Findings) -> None:
    kind, given = raw.get("kind"), raw.get("config")
    config = given if isinstance(given, Mapping) else EMPTY
    if kind not in KINDS or not (given is None or isinstance(given, Mapping)):
        return
    checks = _Config((*base, "config"), config, show(raw.get("id")), findings)
    if kind in ("llm", "image"):
        provider = checks.provider(kind, required=True)
        if provider not in (None, "demo"):
            checks.need(_MODEL, "a model")
        if provider == "azure_openai":
            checks.need(("azure_endpoint", "base_url", "azure_endpoint_env"), "its endpoint")
    elif kind == "db":
        checks.provider(kind, required=False)
        checks.need(_CONNECTION, "the name of the variable with its address")
    else:
        checks.need(("base_url", "base_url_env"), "the address it starts from")
        checks.one_of(("auth_method", "auth_type"), AUTH_METHODS)
    checks.address("base_url")
    checks.address("azure_endpoint")


class _Config:
    """The `config` of one source, with the checks made of it."""

    def __init__(
        self, path: Path, config: Mapping[str, Any], name: str, findings: Findings
    ) -> None:
        self._path = path
        self._config = config
        self._name = name
        self._findings = findings

    def need(self, names: tuple[str, ...], what: str) -> None:
        """One of `names` has to say something."""
        if not any(self._config.get(name) for name in names):
            message = f"The source {self._name} lacks {names[0]!r}: {what}."
            self._findings.add("missing_config", message, (*self._path, names[0]))

    def provider(self, kind: str, *, required: bool) -> str | None:
        """The provider, if it is one there is; tells when it is not."""
        provider = self._config.get("provider")
        if provider is None:
            if required:
                self.need(("provider",), "who answers")
            return None
        if isinstance(provider, str) and provider.casefold() in PROVIDERS[kind]:
            return provider.casefold()
        message = f"There is no provider {show(provider)} for kind {kind!r}."
        hint = self._findings.choices(provider, PROVIDERS[kind])
        path = (*self._path, "provider")
        self._findings.add("unsupported_provider", message, path, hint=hint)
        return None

    def one_of(self, names: tuple[str, ...], allowed: frozenset[str]) -> None:
        for name in names:
            value = self._config.get(name)
            if value is not None and value not in allowed:
                message = f"{name!r} cannot be {show(value)}."
                path = (*self._path, name)
                self._findings.add(
                    "invalid_value", message, path, hint=self._findings.choices(value, allowed)
                )

    def address(self, name: str) -> None:
        value = self._config.get(name)
        if value is None or (isinstance(value, str) and value.startswith(("http://", "https://"))):
            return
        message = f"{name!r} has to be an address that starts with http:// or https://."
        self._findings.add("invalid_value", message, (*self._path, name))
