"""What each node type's `metadata` may say, typed. Keys nobody knows are kept.

These models check shapes for the validation and name defaults for those who run the node.
They are lenient where people are: an id may be given as `source` or `source_id`.
"""

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Text = str
KeyList = list[str]


class NodeMetadata(BaseModel):
    """Base of all node metadata."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    output_key: str | None = Field(default=None, min_length=1, max_length=200)
    template_engine: Literal["simple", "jinja"] = "simple"


class InputValidation(BaseModel):
    """Checks of an `input` node. Lengths are characters of the text, or of its JSON."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    required: bool = False
    min_length: int | None = Field(default=None, ge=0)
    max_length: int | None = Field(default=None, ge=0)
    required_fields: list[str] = Field(default_factory=list)
    json_schema: dict[str, Any] | bool | None = Field(default=None, alias="schema")


class InputMetadata(NodeMetadata):
    """An `input` node: `validation` of what comes in."""

    validation: InputValidation = InputValidation()


class Route(BaseModel):
    """One way out of a router: the first that matches gives the intent."""

    model_config = ConfigDict(frozen=True, extra="allow")

    intent: str = Field(min_length=1)
    keywords: list[str] = Field(default_factory=list)
    pattern: str | None = None
    condition: str | None = None
    examples: list[Any] = Field(default_factory=list)
    match: Literal["word", "substring"] | None = None
    ignore_case: bool = False


RouterStrategy = Literal["keyword", "pattern", "rules", "llm", "ml", "default"]


class RouterMetadata(NodeMetadata):
    """A `router` node."""

    strategy: RouterStrategy = "keyword"
    routes: list[Route] = Field(default_factory=list)
    default_intent: str | None = None
    input_key: str | None = None
    match: Literal["word", "substring"] = "word"


class PromptMetadata(NodeMetadata):
    """What nodes that send a prompt share."""

    prompt: str | None = Field(
        default=None, validation_alias=AliasChoices("prompt", "prompt_template")
    )


class LlmMetadata(PromptMetadata):
    """An `llm` node."""

    system_prompt: str | None = None
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    response_schema: dict[str, Any] | bool | None = None
    parse_json: bool = False
    stream: bool = False


class ImageMetadata(PromptMetadata):
    """An `image` node."""

    size: str | None = None
    quality: str | None = None
    style: str | None = None
    download: bool = False


class DbMetadata(NodeMetadata):
    """A `db` node; `timeout` in seconds, `limit` in rows."""

    query: str | None = None
    params: dict[str, Any] | list[Any] = Field(default_factory=dict)
    limit: int | str = 100
    offset: int | str = 0
    timeout: float | None = Field(default=None, gt=0)


AggregatorStrategy = Literal["merge", "priority", "template", "concat", "select", "expression"]


class AggregatorMetadata(NodeMetadata):
    """An `aggregator` node."""

    strategy: AggregatorStrategy = "merge"
    source_keys: list[str] = Field(default_factory=list)
    priority_order: list[str] = Field(default_factory=list)
    template: str | None = None
    expression: str | None = None
    separator: str = "\n"
    custom_fields: dict[str, Any] = Field(default_factory=dict)
    include_metadata: bool = True


class ApiMetadata(NodeMetadata):
    """An `api` (or `http`) node; `cache_ttl` in seconds."""

    method: str = Field(default="GET", pattern=r"^(?i:get|head|post|put|patch|delete|options)$")
    path: str | None = None
    query: dict[str, Any] | str | None = None
    headers: dict[str, Any] = Field(default_factory=dict)
    body: Any = None
    extract: Any = None
    response_schema: dict[str, Any] | bool | None = None
    pagination: dict[str, Any] | bool | None = None
    cache_ttl: float | None = Field(default=None, ge=0)


METADATA: dict[str, type[NodeMetadata]] = {
    "input": InputMetadata,
    "router": RouterMetadata,
    "llm": LlmMetadata,
    "image": ImageMetadata,
    "db": DbMetadata,
    "aggregator": AggregatorMetadata,
    "api": ApiMetadata,
}
"""The metadata model of each built-in node type."""

OUTPUT_KEYS = {
    "router": "intent",
    "llm": "text_result",
    "image": "image_result",
    "db": "db_result",
    "api": "api_result",
    "aggregator": "final_output",
}
"""Where a node of that type writes when its metadata names no `output_key`."""
