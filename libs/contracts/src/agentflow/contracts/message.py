"""The law of the bus: a message carries its address.

Each class names its subject once, as a template over its own fields; nobody types a
subject again. Messages are frozen facts or orders; producers are strict, consumers ignore
fields they do not know, so that deploys can roll.
"""

import re
from functools import lru_cache
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

ROOT = "agentflow"
"""First token of every subject unless the installation sets another prefix."""

StreamName = Literal["COMMANDS", "TASKS", "EVENTS", "AUDIT", "DEAD"]

_FIELD = re.compile(r"\{(\w+)\}")


class Message(BaseModel):
    """Base of everything published."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    SUBJECT: ClassVar[str]
    STREAM: ClassVar[StreamName | None]
    VERSION: ClassVar[int] = 1

    @classmethod
    def schema_name(cls) -> str:
        """What the `Agentflow-Schema` header says, e.g. `NodeCompleted/1`."""
        return f"{cls.__name__}/{cls.VERSION}"

    def subject(self, root: str = ROOT) -> str:
        """Where this message goes."""
        template, fields = _template(self.SUBJECT)
        values = tuple(getattr(self, field) for field in fields)
        return f"{root}.{template % values}"

    @classmethod
    def pattern(cls, root: str = ROOT, **tokens: str) -> str:
        """The subject to subscribe to: unnamed fields become `*`."""
        filled = _FIELD.sub(lambda m: tokens.get(m.group(1), "*"), cls.SUBJECT)
        return f"{root}.{filled}"

    def encode(self) -> bytes:
        """The JSON payload; absent optional fields are left out."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse a payload; raises pydantic.ValidationError."""
        message: Self = cls.__pydantic_validator__.validate_json(data)
        return message


@lru_cache
def _template(subject: str) -> tuple[str, tuple[str, ...]]:
    """`a.{b}.c` as a %-template and its fields: subjects are built for every message."""
    return _FIELD.sub("%s", subject), tuple(_FIELD.findall(subject))
