"""The meter of one Jinja rendering: work is counted, because nothing can be interrupted.

Every loop step, operator, comparison, filter and call pays for the size of what it touches.
An empty meter ends the rendering; so time and memory are bounded without looking at a clock.
"""

from typing import Any, Final

from agentflow.engine.errors import TemplateFailed

BUDGET: Final = 2_000_000
"""Units of one rendering: an item of a container, or 64 characters of text, is one unit."""
MAX_LOOP_STEPS: Final = 100_000
MAX_INTEGER_BITS: Final = 128


class Meter:
    """What one rendering may still spend."""

    __slots__ = ("_left", "_steps")

    def __init__(self) -> None:
        self._left = BUDGET
        self._steps = MAX_LOOP_STEPS

    def step(self) -> None:
        """Pay for one turn of a loop."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateFailed(f"The template loops more than {MAX_LOOP_STEPS:,} times.")

    def pay(self, units: int) -> None:
        """Pay for work that is about to be done."""
        self._left -= units
        if self._left < 0:
            raise TemplateFailed(
                "The template does too much work for one text.",
                code="payload_too_large",
            )

    def weigh(self, value: Any) -> None:
        """Pay for the size of a value, shared parts as often as they appear in it."""
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                self.pay(1 + len(item) // 64)
            elif isinstance(item, dict):
                self.pay(1 + len(item))
                waiting.extend(item.values())
            elif isinstance(item, list | tuple):
                self.pay(1 + len(item))
                waiting.extend(item)
            elif isinstance(item, int) and item.bit_length() > MAX_INTEGER_BITS:
                raise TemplateFailed("A number in the template grows too large.")
            else:
                self.pay(1)
