"""Regular expressions from strangers: RE2, whose time is linear in the text.

No back-references and no look-around: RE2 refuses them when compiling, and we say so.
"""

from functools import lru_cache
from typing import Any, Final

import re2  # type: ignore[import-untyped]  # the wheel ships no types

from agentflow.engine.errors import BadPattern

MAX_LENGTH: Final = 2_000
MAX_PROGRAM_BYTES: Final = 2 * 1024 * 1024


def compile_pattern(text: str, ignore_case: bool = False) -> Any:
    """An object with `.search(text)`; raises BadPattern."""
    if not isinstance(text, str):
        raise BadPattern("A pattern is a text.")
    if len(text) > MAX_LENGTH:
        raise BadPattern(f"The pattern has {len(text):,} characters; at most {MAX_LENGTH:,} fit.")
    return _compile(text, ignore_case)


@lru_cache(maxsize=1024)
def _compile(text: str, ignore_case: bool) -> Any:
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.max_mem = MAX_PROGRAM_BYTES
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except Exception as error:  # noqa: BLE001 - re2.error is untyped, bad Unicode raises others
        what = error.args[0] if error.args else error
        reason = what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)
    raise BadPattern(
        f"Not a regular expression RE2 accepts: {reason[:200]}.",
        hint="Back-references and look-around are not available; they could take forever.",
    )
