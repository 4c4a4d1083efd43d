"""Templates: text with places that are filled from the state.

The simple form replaces `{key}` and `{key.path.0}` when the first name exists in the state and
leaves every other brace alone, so that JSON in a prompt survives. `{{ … }}` are literal braces;
a `}}` that closes no `{{` stays as it is, because JSON is full of them. A value that is not a
text is inserted as JSON. What was inserted is never read again. Jinja: `jinja_templates.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol

from agentflow.contracts.state import VALUE_LIMIT_BYTES
from agentflow.engine.errors import BadTemplate, TemplateFailed

TemplateEngine = Literal["simple", "jinja"]
ENGINES: Final = ("simple", "jinja")

MAX_LENGTH: Final = 1024 * 1024
MAX_OUTPUT: Final = VALUE_LIMIT_BYTES
"""Characters of one rendered text."""
MISSING: Final = object()

_PLACE = re.compile(r"\{\{|\}\}|\{([^\W\d][\w-]*(?:\.[\w-]+)*)\}")


class Rendered(NamedTuple):
    """A filled template; `warnings` name the placeholders that were unknown."""

    text: str
    warnings: tuple[str, ...] = ()


class Template(Protocol):
    """A compiled template. `names` are the top-level state keys it reads; None: any."""

    @property
    def names(self) -> frozenset[str] | None: ...

    def render(self, state: Mapping[str, Any]) -> Rendered:
        """The text; raises TemplateFailed (template_failed or payload_too_large)."""


def compile_template(text: str, engine: str = "simple") -> Template:
    """Compile `text`; raises BadTemplate, with line and column where they are known."""
    if engine not in ENGINES:
        raise BadTemplate(f"There is no template engine {str(engine)[:50]!r}.", hint=_ENGINE_HINT)
    if not isinstance(text, str):
        raise BadTemplate("A template is a text.")
    if len(text) > MAX_LENGTH:
        raise BadTemplate(
            f"The template has {len(text):,} characters; at most {MAX_LENGTH:,} are accepted."
        )
    return _compile(text, engine)


@lru_cache(maxsize=2048)
def _compile(text: str, engine: str) -> Template:
    if engine == "simple":
        return parse_simple(text)
    from agentflow.engine.jinja_templates import compile_jinja

    return compile_jinja(text)


_ENGINE_HINT = f"Use one of: {', '.join(ENGINES)}."


@dataclass(frozen=True, slots=True)
class SimpleTemplate:
    """A template in the simple form. `placeholders` are its paths as written, once each."""

    names: frozenset[str]
    placeholders: tuple[str, ...]
    _parts: tuple[str | tuple[str, ...], ...] = field(repr=False)

    def render(self, state: Mapping[str, Any]) -> Rendered:
        """Fill the template; an unknown placeholder stays and is warned of once."""
        pieces: list[str] = []
        unknown: dict[str, None] = {}
        length = 0
        for part in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            else:
                value = look_up(state, part)
                if value is MISSING:
                    unknown[".".join(part)] = None
                pieces.append(f"{{{'.'.join(part)}}}" if value is MISSING else as_text(value))
            length += len(pieces[-1])
            if length > MAX_OUTPUT:
                raise TemplateFailed(
                    f"The rendered text would have more than {MAX_OUTPUT:,} characters.",
                    code="payload_too_large",
                )
        warnings = (
            f"The placeholder {{{name}}} is not in the state; it stays." for name in unknown
        )
        return Rendered("".join(pieces), tuple(warnings))


def parse_simple(text: str) -> SimpleTemplate:
    """Split the text into literal pieces and placeholder paths. No text is wrong."""
    parts: list[str | tuple[str, ...]] = []
    literal: list[str] = []
    position = open_pairs = 0
    for match in _PLACE.finditer(text):
        literal.append(text[position : match.start()])
        position = match.end()
        path, word = match.group(1), match.group()
        if path:
            parts += ["".join(literal), tuple(path.split("."))]
            literal = []
        elif word == "{{":
            open_pairs += 1
            literal.append("{")
        else:
            literal.append("}" if open_pairs else "}}")
            open_pairs -= open_pairs > 0
    parts.append("".join([*literal, text[position:]]))
    paths = [part for part in parts if isinstance(part, tuple)]
    return SimpleTemplate(
        names=frozenset(path[0] for path in paths),
        placeholders=tuple(dict.fromkeys(".".join(path) for path in paths)),
        _parts=tuple(part for part in parts if part != ""),
    )


def look_up(value: Any, path: tuple[str, ...]) -> Any:
    """What `path` leads to inside JSON; MISSING when it leads nowhere."""
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step, MISSING)
        elif isinstance(value, list | tuple) and step.isdecimal() and len(step) < 10:
            value = value[int(step)] if int(step) < len(value) else MISSING
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
