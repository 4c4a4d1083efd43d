"""A missing server skips tests at home, loudly; in CI it fails them.

A suite that silently skips what needs a server is green and proves nothing.
"""

import os
from typing import NoReturn

import pytest

HIDE = "AGENTFLOW_TEST_HIDE"
"""Comma-separated servers to treat as missing: the negative control of this rule."""

MISSING = pytest.StashKey[set[str]]()


def in_ci() -> bool:
    """Whether CI says it is CI."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def hidden(server: str) -> bool:
    """Whether `server` is to be treated as missing."""
    return server in os.environ.get(HIDE, "").split(",")


def give_up(config: pytest.Config, reason: str) -> NoReturn:
    """End the asking test: skipped at home, failed in CI."""
    config.stash.setdefault(MISSING, set()).add(reason)
    if in_ci():
        pytest.fail(f"needed in CI, but missing: {reason}", pytrace=False)
    pytest.skip(f"missing: {reason}")


def summary(config: pytest.Config) -> list[str]:
    """The lines for the end of the run; none when nothing was missing."""
    found: set[str] = config.stash.get(MISSING, set())
    return sorted(found)
