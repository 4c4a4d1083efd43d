"""Templates in node settings, rendered from the state.

A text becomes text. In structured settings (parameters, query, body) a string that is one
whole placeholder becomes the value itself with its type; other strings become text; objects
and lists are walked.
"""

import re
from typing import Any
from urllib.parse import quote

from agentflow.contracts.state import JsonObject
from agentflow.engine.templates import MISSING, as_text, compile_template, look_up

_WHOLE = re.compile(r"\{([^\W\d][\w-]*(?:\.[\w-]+)*)\}")


class Renderer:
    """Renders the settings of one node against one state, and collects the warnings."""

    def __init__(self, state: JsonObject, engine: str | None = None) -> None:
        """`engine`: `simple` (the default) for `{key}`, `jinja` for Jinja2."""
        self.state = state
        self.warnings: list[str] = []
        self._engine = engine or "simple"

    def text(self, template: str) -> str:
        """The rendered text; raises BadTemplate or TemplateFailed."""
        rendered = compile_template(template, self._engine).render(self.state)
        self.warnings.extend(rendered.warnings)
        return rendered.text

    def path(self, template: str) -> str:
        """A URL path: what is filled in is percent-encoded, what was written stays."""
        if self._engine != "simple":
            return self.text(template)

        def fill(match: re.Match[str]) -> str:
            found = look_up(self.state, tuple(match.group(1).split(".")))
            if found is MISSING:
                self.warnings.append(f"The placeholder {match.group()} is not in the state.")
                return match.group()
            return quote(as_text(found), safe="")

        return _WHOLE.sub(fill, template)

    def value(self, setting: Any) -> Any:
        """The setting with every string in it rendered."""
        if isinstance(setting, str):
            whole = _WHOLE.fullmatch(setting) if self._engine == "simple" else None
            if whole is not None:
                found = look_up(self.state, tuple(whole.group(1).split(".")))
                if found is not MISSING:
                    return found
            return self.text(setting)
        if isinstance(setting, dict):
            return {key: self.value(item) for key, item in setting.items()}
        if isinstance(setting, list | tuple):
            return [self.value(item) for item in setting]
        return setting
