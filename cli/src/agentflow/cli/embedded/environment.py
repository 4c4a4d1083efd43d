"""Gives a service its environment while it is built, and takes it back.

In one process several services read their settings from the same `os.environ`. They read
once, while `create_app` runs, so a stack lends them its variables for exactly that long.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def lent(variables: Mapping[str, str]) -> Iterator[None]:
    """Set `variables` inside the block; afterwards everything is as it was."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def missing_from(defaults: Mapping[str, str]) -> dict[str, str]:
    """Those of `defaults` that the environment does not set."""
    return {name: value for name, value in defaults.items() if name not in os.environ}
