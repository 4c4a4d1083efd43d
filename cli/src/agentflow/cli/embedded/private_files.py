"""Small files that hold a secret: written whole or not at all, readable by their owner only."""

import os
import secrets
from pathlib import Path

PEPPER_BYTES = 32


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step with mode 0600."""
    draft = path.with_name(f"{path.name}.tmp")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    draft.replace(path)


def read_private(path: Path) -> str | None:
    """What it holds; None when it is missing or empty."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def keep_pepper(path: Path) -> str:
    """The pepper of this directory's key hashes, made once: another one would void all keys."""
    pepper = read_private(path)
    if pepper is None:
        pepper = secrets.token_urlsafe(PEPPER_BYTES)
        write_private(path, pepper)
    return pepper
