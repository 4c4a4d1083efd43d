"""Where the embedded stack keeps its things: everything under one directory, `./.agentflow`.

Deleting that directory forgets everything; nothing else on the machine is touched.
"""

from dataclasses import dataclass
from pathlib import Path

HOME = ".agentflow"


@dataclass(frozen=True)
class Layout:
    """The paths of one embedded stack; `home` is absolute."""

    home: Path

    @classmethod
    def under(cls, directory: Path) -> "Layout":
        """The layout of the stack whose `.agentflow` lies in `directory`."""
        return cls((directory / HOME).resolve())

    @property
    def nats(self) -> Path:
        return self.home / "nats"

    @property
    def valkey(self) -> Path:
        return self.home / "valkey"

    @property
    def database(self) -> Path:
        return self.home / "agentflow.db"

    @property
    def api_key(self) -> Path:
        return self.home / "api_key"

    @property
    def pepper(self) -> Path:
        return self.home / "pepper"

    @property
    def dev_file(self) -> Path:
        return self.home / "dev.json"

    @property
    def lock(self) -> Path:
        return self.home / "dev.lock"

    @property
    def run(self) -> Path:
        """One `<name>.pid` per child process."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def make(self) -> None:
        """Create the directories, readable by their owner only."""
        for directory in (self.home, self.nats, self.valkey, self.run, self.logs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
